//! No secret is found where it should not be (TH1, CASES §5.2, 5.4).

use std::path::{Path, PathBuf};

use e2e::rig::{BOT, Fault, Rig};
use nix::sys::signal::Signal;

use crate::{WAIT, agent, go};

/// Everywhere that a container's or the daemon's secret could be left on this host.
const ENGINE_PLACES: [&str; 4] = [
    "/var/lib/docker/containers",
    "/var/lib/docker/image",
    "/var/lib/containerd/io.containerd.metadata.v1.bolt",
    "/var/lib/docker/containerd",
];

#[tokio::test(flavor = "multi_thread")]
async fn secrets_are_found_nowhere_but_at_the_forge() -> Result<(), Fault> {
    let mut rig = Rig::start(&agent(&format!(
        "bottle read-issue 1; {WAIT}env; bottle signal-done success 'all done'\n"
    )))
    .await?;
    let issue = rig.ask_for_work("Do something", "").await?;
    let slug = rig.wait_for("running").await?;
    let mut found = sweep(&rig, &slug, "running").await?;
    rig.end_daemon(Signal::SIGKILL).await?;
    found.extend(sweep(&rig, &slug, "running without daemon").await?);
    rig.start_daemon().await?;
    go(&rig, &slug).await?;
    rig.wait_for_detail("frozen", "all done").await?;
    found.extend(sweep(&rig, &slug, "frozen").await?);
    rig.try_command(&["freeze", &slug, "--cold"]).await?;
    rig.wait_for_detail("frozen", "cold").await?;
    found.extend(sweep(&rig, &slug, "cold").await?);
    rig.forge.close("alice", e2e::rig::REPO, issue).await.expect("closed");
    rig.wait_for("destroyed").await?;
    crate::story::is_gone(&rig, &slug).await?;
    found.extend(sweep(&rig, &slug, "destroyed").await?);
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
async fn the_sweep_finds_a_secret_in_an_environment_and_in_a_file() -> Result<(), Fault> {
    let rig = Rig::start(&agent("true")).await?;
    let name = format!("bot-bottle-control-{:08x}", rand::random::<u32>());
    let variable = format!("TOKEN={}", rig.bot_token);
    let image = "bot-bottle/default:bookworm";
    rig.docker
        .run(&[
            "run",
            "--detach",
            "--network",
            "none",
            "--name",
            &name,
            "--env",
            &variable,
            image,
            "sleep",
            "60",
        ])
        .await?;
    let by_environment = sweep(&rig, &name, "control").await;
    rig.docker.run(&["rm", "--force", &name]).await?;
    let by_environment = by_environment?;
    for place in ["inspect", "environ", "/var/lib/docker/containers"] {
        assert!(
            by_environment.iter().any(|hit| hit.contains(place)),
            "not found by {place}: {by_environment:#?}"
        );
    }
    let encoded = hex(rig.webhook_secret.as_bytes());
    std::fs::write(rig.data_dir().join("leak"), encoded)?;
    let by_file = sweep(&rig, "none", "control").await?;
    assert!(by_file.iter().any(|hit| hit.contains("leak")), "{by_file:#?}");
    rig.finish().await
}

/// Looks for every secret in every form in every place; says what was found where.
async fn sweep(rig: &Rig, slug: &str, when: &str) -> Result<Vec<String>, Fault> {
    let needles = needles(rig);
    let mut found = Vec::new();
    let mut look = |place: &str, bytes: &[u8]| {
        for (name, needle) in &needles {
            if contains(bytes, needle) {
                found.push(format!("{when}: {name} in {place}"));
            }
        }
    };
    for container in [slug.to_owned(), format!("{slug}-sidecar")] {
        for (what, words) in [("inspect", ["inspect", &container]), ("logs", ["logs", &container])]
        {
            if let Ok(text) = rig.docker.run(&words).await {
                look(&format!("docker {what} {container}"), text.as_bytes());
            }
        }
    }
    for process in processes() {
        for file in ["environ", "cmdline"] {
            let path = Path::new("/proc").join(&process).join(file);
            look(&format!("{}", path.display()), &std::fs::read(&path).unwrap_or_default());
        }
    }
    look("the daemon's log", rig.log().as_bytes());
    let mut files = Vec::new();
    files_below(&rig.data_dir(), &mut files);
    for place in ENGINE_PLACES {
        files_below(Path::new(place), &mut files);
    }
    for file in files {
        look(&file.display().to_string(), &std::fs::read(&file).unwrap_or_default());
    }
    Ok(found)
}

/// Each secret as it is, reversed, in hexadecimal, base64 and URL-safe base64.
fn needles(rig: &Rig) -> Vec<(String, Vec<u8>)> {
    let secrets = [
        ("agent's token", &rig.bot_token),
        ("daemon's token", &rig.daemon_token),
        ("webhook secret", &rig.webhook_secret),
    ];
    let mut needles = Vec::new();
    for (name, secret) in secrets {
        let bytes = secret.as_bytes();
        let reversed: Vec<u8> = bytes.iter().rev().copied().collect();
        for (form, needle) in
            [("plain", bytes.to_vec()), ("reversed", reversed), ("hex", hex(bytes).into_bytes())]
        {
            needles.push((format!("{name} ({form})"), needle));
        }
        // The middle of a base64 text does not depend on what follows; each start has its own.
        for skip in 0..3 {
            let text = base64(bytes.get(skip..).unwrap_or_default());
            let middle = text.get(..text.len() / 4 * 4 - 4).unwrap_or_default();
            needles.push((format!("{name} (base64)"), middle.as_bytes().to_vec()));
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
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(|name| name.bytes().all(|b| b.is_ascii_digit()) && *name != own).collect()
}

fn files_below(dir: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => files_below(&entry.path(), files),
            Ok(kind) if kind.is_file() => files.push(entry.path()),
            Ok(_) | Err(_) => {}
        }
    }
}
