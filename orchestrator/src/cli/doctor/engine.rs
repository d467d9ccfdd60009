//! The container engine: whether it can be reached, is near enough, and locks bottles in.

use std::{collections::BTreeSet, path::Path};

use super::{super::failure::chain, files, finding::Finding};
use crate::{
    config::Config,
    engine::{
        docker::{Facts, ImageFacts, examine},
        spec::DEFAULT_IMAGE,
    },
};

/// Docker 20.10, the oldest that we are tested with.
const API_MIN: (u32, u32) = (1, 41);

/// Looks at the configured engine and the images that profiles name.
pub(super) async fn look(config: &Config) -> Vec<Finding> {
    let images: BTreeSet<String> = config
        .profiles
        .values()
        .map(|profile| profile.image.clone().unwrap_or_else(|| DEFAULT_IMAGE.to_owned()))
        .collect();
    at(config.engine.socket.as_deref(), &images.into_iter().collect::<Vec<_>>()).await
}

/// Looks at the engine in its usual place, while there is no configuration to say another.
pub(super) async fn look_at_usual() -> Vec<Finding> {
    at(None, &[]).await
}

async fn at(socket: Option<&Path>, images: &[String]) -> Vec<Finding> {
    let socket = socket.unwrap_or_else(|| Path::new("/var/run/docker.sock"));
    match examine(Some(socket), images).await {
        Ok(facts) => judge(&facts, &this_host()),
        Err(error) => vec![unreachable(socket, &chain(&error))],
    }
}

fn this_host() -> String {
    nix::unistd::gethostname().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// CASES 162
fn unreachable(socket: &Path, error: &str) -> Finding {
    use std::os::unix::fs::FileTypeExt as _;
    let shown = socket.display();
    let what = format!("{shown}: {error}");
    match std::fs::metadata(socket) {
        Err(missing) if missing.kind() == std::io::ErrorKind::NotFound => {
            Finding::fail("engine", what, "install and start Docker, or set engine.socket")
        }
        Err(_) => Finding::fail("engine", what, "let the daemon's user reach that directory"),
        Ok(data) if !data.file_type().is_socket() => {
            Finding::fail("engine", format!("{shown} is no socket"), "set engine.socket")
        }
        Ok(_) if !may_use(socket) => Finding::fail(
            "engine",
            what,
            "usermod -aG docker <user> and log in anew; that makes the user as good as root",
        ),
        Ok(_) => Finding::fail("engine", what, "systemctl restart docker, and see its log"),
    }
}

fn may_use(socket: &Path) -> bool {
    use nix::unistd::{AccessFlags, access};
    access(socket, AccessFlags::R_OK | AccessFlags::W_OK).is_ok()
}

fn judge(facts: &Facts, host: &str) -> Vec<Finding> {
    let Facts { version, api_version, .. } = facts;
    let mut findings = vec![match parse(api_version) {
        Some(api) if api >= API_MIN => {
            Finding::ok("engine", format!("Docker {version} answers, API {api_version}"))
        }
        Some(_) | None => Finding::fail(
            "engine",
            format!(
                "Docker {version} speaks API {api_version}, {}.{} is needed",
                API_MIN.0, API_MIN.1
            ),
            "update Docker to 20.10 or later",
        ),
    }];
    // Bottles' directories are mounted by path: an engine on another host has other files.
    if facts.host != host {
        findings.push(Finding::warn(
            "engine",
            format!("it says that it runs on {:?}, this is {host:?}", facts.host),
            "use the engine of this host: directories are mounted by their path",
        ));
    }
    if facts.rootless {
        findings.push(Finding::fail(
            "engine",
            "it runs rootless: the uids of bottles and sidecars cannot be told apart",
            "use a Docker daemon that runs as root",
        ));
    }
    findings.push(match &facts.lack {
        Some(lack) => Finding::fail("engine", lack, ""),
        None => {
            let cgroups = &facts.cgroup_version;
            Finding::ok(
                "engine",
                format!("seccomp, limits of memory and processes; cgroups {cgroups}"),
            )
        }
    });
    findings.extend(
        facts
            .warnings
            .iter()
            .map(|warning| Finding::warn("engine", warning, "see Docker's manual")),
    );
    findings.extend(facts.root.iter().map(|root| files::room("engine", Path::new(root))));
    let images =
        facts.images.iter().map(|(name, found)| image(name, found.as_ref(), &facts.architecture));
    findings.extend(images);
    findings
}

/// CASES 231: whether the image is there and of this host's kind.
fn image(name: &str, found: Option<&ImageFacts>, host: &str) -> Finding {
    // Docker names processors in Go's words for images and in the kernel's for hosts.
    let host = match host {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    match found {
        None => {
            let fix = format!("docker pull {name}, or `make setup` for the default one");
            Finding::fail("images", format!("{name} is not there"), &fix)
        }
        Some(ImageFacts { os, architecture }) if os != "linux" || architecture != host => {
            let what = format!("{name} is for {os}/{architecture}, this host is linux/{host}");
            Finding::fail("images", what, "name the digest of the image for this host")
        }
        Some(_) => Finding::ok("images", format!("{name} is there")),
    }
}

fn parse(version: &str) -> Option<(u32, u32)> {
    let (major, minor) = version.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::{super::finding::Grade, *};
    use crate::engine::EngineError;

    fn facts() -> Facts {
        Facts {
            version: "27.0".to_owned(),
            api_version: "1.46".to_owned(),
            host: "here".to_owned(),
            architecture: "x86_64".to_owned(),
            root: None,
            cgroup_version: "2".to_owned(),
            rootless: false,
            warnings: vec![],
            lack: None,
            images: vec![],
        }
    }

    fn grades(facts: &Facts) -> Vec<Grade> {
        judge(facts, "here").iter().map(|finding| finding.grade).collect()
    }

    // CASES 162, 177, 231
    #[test]
    fn an_engine_that_does_not_do_is_told_why() {
        assert_eq!(grades(&facts()), [Grade::Ok, Grade::Ok]);
        for old in ["1.40", "1.9", "2", "", "x.y"] {
            assert!(
                grades(&Facts { api_version: old.to_owned(), ..facts() }).contains(&Grade::Fail),
                "{old}"
            );
        }
        assert!(grades(&Facts { host: "there".to_owned(), ..facts() }).contains(&Grade::Warn));
        assert!(grades(&Facts { rootless: true, ..facts() }).contains(&Grade::Fail));
        let lack = EngineError::Lacks { what: "seccomp filters", advice: "use another kernel" };
        let lacking = Facts { lack: Some(lack), ..facts() };
        let told = judge(&lacking, "here");
        assert!(
            told.iter().any(|f| f.grade == Grade::Fail && f.what.contains("another kernel")),
            "{told:?}"
        );
        let image = |architecture: &str| {
            Some(ImageFacts { os: "linux".to_owned(), architecture: architecture.to_owned() })
        };
        for (found, grade) in
            [(image("amd64"), Grade::Ok), (image("arm64"), Grade::Fail), (None, Grade::Fail)]
        {
            let facts = Facts { images: vec![("a".to_owned(), found)], ..facts() };
            assert_eq!(grades(&facts).last(), Some(&grade));
        }
    }

    // CASES 162
    #[test]
    fn a_socket_that_cannot_be_used_is_told_with_what_to_do() {
        let dir = tempfile::tempdir().unwrap();
        let missing = unreachable(&dir.path().join("no.sock"), "no such file");
        assert!(missing.fix.unwrap().contains("start Docker"));
        let file = dir.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert!(unreachable(&file, "x").what.contains("is no socket"));
    }
}
