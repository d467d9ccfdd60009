//! No secret is found where it should not be (TH1, CASES §5.2, 5.4).

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Output, Stdio},
};

use e2e::rig::{BOT, Fault, Rig};
use nix::sys::signal::Signal;
use tokio::io::AsyncWriteExt as _;

use crate::{WAIT, agent, go};

/// Where bottles come from.
const IMAGE: &str = "bot-bottle/default:bookworm";

// CASES 217: the database's bytes and its log's are among what is searched.
#[tokio::test(flavor = "multi_thread")]
async fn secrets_are_found_nowhere_but_at_the_forge() -> Result<(), Fault> {
    let mut rig = Rig::start(&agent(&format!(
        "bottle read-issue 1; {WAIT}env; bottle signal-done success 'all done'\n"
    )))
    .await?;
    let issue = rig.ask_for_work("Do something", "").await?;
    let slug = rig.wait_for("running").await?;
    let sidecar = format!("{slug}-sidecar");
    let format = "{{.Config.Image}}";
    let image = rig.docker.run(&["inspect", "--format", format, &sidecar]).await?;
    let images = [image.trim(), IMAGE];
    let both = [slug.as_str(), sidecar.as_str()];
    let mut found = sweep(&rig, &both, &[], "running").await?;
    rig.end_daemon(Signal::SIGKILL).await?;
    found.extend(sweep(&rig, &both, &[], "running without daemon").await?);
    rig.start_daemon().await?;
    go(&rig, &slug).await?;
    rig.wait_for_detail("frozen", "all done").await?;
    found.extend(sweep(&rig, &both, &[], "frozen").await?);
    rig.try_command(&["freeze", &slug, "--cold"]).await?;
    rig.wait_for_detail("frozen", "cold").await?;
    found.extend(sweep(&rig, &both, &[], "cold").await?);
    rig.forge.close("alice", e2e::rig::REPO, issue).await.expect("closed");
    rig.wait_for("destroyed").await?;
    crate::story::is_gone(&rig, &slug).await?;
    found.extend(sweep(&rig, &[], &images, "destroyed").await?);
    assert!(found.is_empty(), "secrets were found:\n{}", found.join("\n"));

    // They did reach the forge, or this test would prove nothing.
    let requests = rig.forge.requests();
    assert!(
        requests.iter().any(|request| request.user.as_deref() == Some(BOT)),
        "the agent's token was never used"
    );
    assert!(
        requests
            .iter()
            .all(|request| !String::from_utf8_lossy(&request.body).contains(&rig.bot_token))
    );
    rig.finish().await
}

// CASES 5.4: a sweep that cannot find proves nothing.
#[tokio::test(flavor = "multi_thread")]
async fn the_sweep_finds_a_secret_wherever_one_is_left() -> Result<(), Fault> {
    let rig = Rig::start(&agent("true")).await?;
    let name = format!("bot-bottle-control-{:08x}", rand::random::<u32>());
    let variable = format!("TOKEN={}", rig.bot_token);
    let leak = "echo $TOKEN >/left; echo $TOKEN; touch /ready; sleep 60";
    rig.docker
        .run(&[
            "run",
            "--detach",
            "--user",
            "0",
            "--network",
            "none",
            "--name",
            &name,
            "--env",
            &variable,
            IMAGE,
            "sh",
            "-c",
            leak,
        ])
        .await?;
    let left = async {
        let (container, image) = (name.as_str(), format!("{name}:control"));
        e2e::rig::wait_until("it has left its secret", async || {
            rig.docker.run(&["exec", container, "test", "-e", "/ready"]).await.is_ok()
        })
        .await?;
        let in_container = sweep(&rig, &[container], &[], "control").await?;
        rig.docker.run(&["commit", container, &image]).await?;
        let in_image = sweep(&rig, &[], &[&image], "control").await;
        rig.docker.run(&["rmi", "--force", &image]).await?;
        Ok::<_, Fault>((in_container, in_image?))
    }
    .await;
    rig.docker.run(&["rm", "--force", &name]).await?;
    let (in_container, in_image) = left?;
    for place in ["docker inspect", "docker logs", "environ", "/containers/", "container-0.tar"] {
        assert!(
            in_container.iter().any(|hit| hit.contains(place)),
            "not found in {place}: {in_container:#?}"
        );
    }
    assert!(in_image.iter().any(|hit| hit.contains("image-0.tar")), "{in_image:#?}");

    fs::write(rig.data_dir().join("leak"), hex(rig.webhook_secret.as_bytes()))?;
    let by_file = sweep(&rig, &[], &[], "control").await?;
    assert!(by_file.iter().any(|hit| hit.contains("leak")), "{by_file:#?}");
    rig.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sweep_of_what_is_not_there_fails() -> Result<(), Fault> {
    let rig = Rig::start(&agent("true")).await?;
    for (containers, images) in [(&["no-such-container"][..], &[][..]), (&[], &["no-such-image:1"])]
    {
        assert!(sweep(&rig, containers, images, "control").await.is_err());
    }
    let gone = rig.dir().join("gone");
    assert!(search(&[gone], &needles(&rig)).await.is_err());
    rig.finish().await
}

/// Looks for every secret in every form in these containers and images, in every process, and in
/// the files of daemon and engine; says what was found where.
async fn sweep(
    rig: &Rig,
    containers: &[&str],
    images: &[&str],
    when: &str,
) -> Result<Vec<String>, Fault> {
    let needles = needles(rig);
    let mut found = Vec::new();
    let mut look = |place: &str, bytes: &[u8]| {
        for (name, needle) in &needles {
            if contains(bytes, needle.as_bytes()) {
                found.push(format!("{name} in {place}"));
            }
        }
    };
    for container in containers {
        look(
            &format!("docker inspect {container}"),
            rig.docker.run(&["inspect", container]).await?.as_bytes(),
        );
        look(&format!("docker logs {container}"), &both_streams(&["logs", container]).await?);
    }
    for process in processes() {
        for file in ["environ", "cmdline"] {
            let path = Path::new("/proc").join(&process).join(file);
            // It may have ended meanwhile.
            look(&path.display().to_string(), &fs::read(&path).unwrap_or_default());
        }
    }
    look("the daemon's log", rig.log().as_bytes());
    let unpacked = tempfile::tempdir_in(rig.dir())?;
    let mut places = engine_places(rig).await?;
    places.extend(unpack(rig, unpacked.path(), containers, images).await?);
    places.push(rig.data_dir());
    found.extend(search(&places, &needles).await?);
    Ok(found.into_iter().map(|hit| format!("{when}: {hit}")).collect())
}

/// The file systems of containers and the layers of images as files below `dir`.
async fn unpack(
    rig: &Rig,
    dir: &Path,
    containers: &[&str],
    images: &[&str],
) -> Result<Vec<PathBuf>, Fault> {
    let mut files = Vec::new();
    let all = [("export", "container", containers), ("save", "image", images)];
    for (verb, kind, names) in all {
        for (number, name) in names.iter().enumerate() {
            let file = dir.join(format!("{kind}-{number}.tar"));
            rig.docker.run(&[verb, "--output", &file.display().to_string(), name]).await?;
            files.push(file);
        }
    }
    Ok(files)
}

/// Where the engine keeps what it knows of containers, by its own word.
async fn engine_places(rig: &Rig) -> Result<Vec<PathBuf>, Fault> {
    let root = rig.docker.run(&["info", "--format", "{{.DockerRootDir}}"]).await?;
    let root = Path::new(root.trim());
    // Its own containerd, or that of the system: the database remembers an environment after `rm`.
    let databases = [root.join("containerd/daemon"), PathBuf::from("/var/lib/containerd")]
        .map(|dir| dir.join("io.containerd.metadata.v1.bolt"));
    let mut places: Vec<_> = databases.into_iter().filter(|dir| dir.is_dir()).collect();
    if places.is_empty() {
        return Err("containerd's database is in none of its usual places".into());
    }
    places.extend([root.join("containers"), root.join("image")]);
    Ok(places)
}

/// Searches files, and directories with all below, for the needles; fails when a place is missing.
async fn search(places: &[PathBuf], needles: &[(String, String)]) -> Result<Vec<String>, Fault> {
    if let Some(missing) = places.iter().find(|place| !place.exists()) {
        return Err(format!("{} is not there to be searched", missing.display()).into());
    }
    // Hundreds of megabytes at each stage of a bottle's life: not by a loop of a debug build.
    let mut grep = tokio::process::Command::new("timeout")
        .args(["--kill-after=1", "55", "grep"])
        .args(["-r", "-a", "-F", "-o", "-H", "--devices=skip", "-f", "-", "--"])
        .args(places)
        .env("LC_ALL", "C")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let lines: Vec<&str> = needles.iter().map(|(_, needle)| needle.as_str()).collect();
    // Dropped at the end of the statement: the needles end there.
    grep.stdin
        .take()
        .ok_or("grep takes no needles")?
        .write_all(lines.join("\n").as_bytes())
        .await?;
    let output = grep.wait_with_output().await?;
    // Other tests' containers and the daemon's own files come and go.
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    if let Some(error) = errors.lines().find(|line| !line.contains("No such file or directory")) {
        return Err(format!("cannot search: {error}").into());
    }
    if output.status.code().is_none_or(|code| code > 2) {
        return Err(format!("grep ended with {}", output.status).into());
    }
    let hits = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut found: Vec<String> = hits.lines().map(|hit| named(hit, needles)).collect();
    found.dedup();
    Ok(found)
}

/// `path:needle` without the needle.
fn named(hit: &str, needles: &[(String, String)]) -> String {
    let path = |(name, needle): &(String, String)| {
        let path = hit.strip_suffix(needle.as_str())?.strip_suffix(':')?;
        Some(format!("{name} in {path}"))
    };
    needles.iter().find_map(path).unwrap_or_else(|| "something that has no name".to_owned())
}

async fn both_streams(words: &[&str]) -> Result<Vec<u8>, Fault> {
    let Output { status, mut stdout, stderr } = tokio::process::Command::new("timeout")
        .args(["--kill-after=1", "55", "docker"])
        .args(words)
        .output()
        .await?;
    if !status.success() {
        return Err(format!("docker {words:?}: {}", String::from_utf8_lossy(&stderr)).into());
    }
    stdout.extend(stderr);
    Ok(stdout)
}

/// Each secret as it is, reversed, in hexadecimal, base64 and URL-safe base64.
fn needles(rig: &Rig) -> Vec<(String, String)> {
    let secrets = [
        ("agent's token", &rig.bot_token),
        ("daemon's token", &rig.daemon_token),
        ("webhook secret", &rig.webhook_secret),
    ];
    let mut needles = Vec::new();
    for (name, secret) in secrets {
        let bytes = secret.as_bytes();
        let reversed: String = secret.chars().rev().collect();
        for (form, needle) in
            [("plain", secret.clone()), ("reversed", reversed), ("hex", hex(bytes))]
        {
            needles.push((format!("{name} ({form})"), needle));
        }
        // The middle of a base64 text does not depend on what follows; each start has its own.
        for skip in 0..3 {
            let text = base64(bytes.get(skip..).unwrap_or_default());
            let middle = text.get(..text.len() / 4 * 4 - 4).unwrap_or_default();
            needles.push((format!("{name} (base64)"), middle.to_owned()));
        }
    }
    needles
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

fn contains(bytes: &[u8], needle: &[u8]) -> bool {
    bytes.windows(needle.len()).any(|window| window == needle)
}

/// Every process of this host but those of the test itself, which holds the secrets.
fn processes() -> Vec<String> {
    let own = std::process::id().to_string();
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(|name| name.bytes().all(|b| b.is_ascii_digit()) && *name != own).collect()
}
