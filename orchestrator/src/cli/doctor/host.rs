//! Who runs this, in which environment, on which kernel.

use nix::{
    sys::{
        resource::{Resource, getrlimit},
        statfs::{self, CGROUP2_SUPER_MAGIC},
    },
    unistd::{Group, geteuid, getgroups},
};

use super::finding::Finding;
use crate::config::Environment;

/// Files that the daemon may need: sockets, queues and connections of a busy day.
const FILES_MIN: u64 = 1024;
/// One of ours, and the rest of the system's (CASES 180).
const INOTIFY_MIN: u64 = 16;

/// Variables that change whom programs trust or what they run, and what each means to us.
const VARIABLES: &[(&str, &str)] = &[
    (
        "DOCKER_HOST",
        "is not used: the daemon talks to engine.socket; `docker` shows another engine",
    ),
    (
        "DOCKER_CONTEXT",
        "is not used: the daemon talks to engine.socket; `docker` shows another engine",
    ),
    ("SSL_CERT_FILE", "is not used: put your own authority into forge.ca_file"),
    ("SSL_CERT_DIR", "is not used: put your own authority into forge.ca_file"),
    ("HTTPS_PROXY", "is not used: the forge is reached directly"),
    ("https_proxy", "is not used: the forge is reached directly"),
    ("HTTP_PROXY", "is not used: the forge is reached directly"),
    ("http_proxy", "is not used: the forge is reached directly"),
    ("ALL_PROXY", "is not used: the forge is reached directly"),
    ("GIT_DIR", "does not reach bottles, but misleads git where you type"),
    ("GIT_CONFIG_GLOBAL", "does not reach bottles, but misleads git where you type"),
    ("GIT_SSH_COMMAND", "does not reach bottles, but misleads git where you type"),
    ("GIT_SSL_NO_VERIFY", "does not reach bottles, but lets git trust everybody where you type"),
    ("GIT_EXEC_PATH", "does not reach bottles, but misleads git where you type"),
    ("GIT_ASKPASS", "does not reach bottles, but may tell git's passwords where you type"),
    ("GIT_TRACE_CURL", "does not reach bottles, but prints git's tokens where you type"),
    ("LD_PRELOAD", "runs the code of others in the daemon, which holds the forge's token"),
    ("LD_LIBRARY_PATH", "may run the code of others in the daemon, which holds the forge's token"),
    ("LD_AUDIT", "runs the code of others in the daemon, which holds the forge's token"),
];

/// Looks at user, environment and kernel.
pub(super) fn look(env: Environment<'_>) -> Vec<Finding> {
    let mut findings = vec![user(geteuid().is_root(), in_docker_group())];
    findings.extend(environment(env));
    findings.push(cgroups());
    findings.push(open_files());
    findings.push(inotify());
    findings
}

/// CASES 227
fn user(root: bool, docker_group: bool) -> Finding {
    const WHY: &str = "whoever may talk to Docker's socket is as good as root on this host";
    match (root, docker_group) {
        (true, _) => Finding::warn(
            "user",
            format!("this is root; {WHY}"),
            "let nobody else into the daemon's directory, and keep agents' tokens small",
        ),
        (false, true) => Finding::warn(
            "user",
            format!("this user is in the group docker, which is the same as root: {WHY}"),
            "use an account that does nothing else, or run the daemon as a system service",
        ),
        (false, false) => Finding::ok("user", "neither root nor in the group docker"),
    }
}

fn in_docker_group() -> bool {
    let docker = Group::from_name("docker").ok().flatten().map(|group| group.gid);
    getgroups().is_ok_and(|groups| groups.iter().any(|gid| Some(*gid) == docker))
}

/// CASES 225. Values are not shown: they may hold passwords.
fn environment(env: Environment<'_>) -> Vec<Finding> {
    let set = |name: &str| env(name).filter(|value| !value.is_empty());
    let mut findings: Vec<Finding> = VARIABLES
        .iter()
        .filter(|(name, _)| set(name).is_some())
        .map(|(name, means)| {
            Finding::warn(
                "environment",
                format!("{name} is set; it {means}"),
                &format!("unset {name}"),
            )
        })
        .collect();
    if let Some(level) = set("RUST_LOG").filter(|level| level.contains("trace")) {
        let what = format!(
            "RUST_LOG={level}: the log grows fast; what others' code says stays at info, for it prints headers"
        );
        findings.push(Finding::warn("environment", what, "unset RUST_LOG"));
    }
    if findings.is_empty() {
        findings.push(Finding::ok("environment", "no variable changes whom is trusted"));
    }
    findings
}

fn cgroups() -> Finding {
    match statfs::statfs("/sys/fs/cgroup") {
        Ok(found) if found.filesystem_type() == CGROUP2_SUPER_MAGIC => {
            Finding::ok("kernel", "control groups of version 2")
        }
        Ok(_) => Finding::warn(
            "kernel",
            "control groups of version 1: a bottle's limits hold, but less exactly",
            "boot with systemd.unified_cgroup_hierarchy=1",
        ),
        Err(error) => Finding::skip("kernel", format!("/sys/fs/cgroup: {error}")),
    }
}

fn open_files() -> Finding {
    match getrlimit(Resource::RLIMIT_NOFILE) {
        Ok((soft, _)) => files(soft),
        Err(error) => Finding::skip("limits", format!("open files: {error}")),
    }
}

fn files(limit: u64) -> Finding {
    if limit < FILES_MIN {
        let what = format!("{limit} files may be open at a time, at least {FILES_MIN} are needed");
        return Finding::fail("limits", what, "ulimit -n 16384, or LimitNOFILE in the unit");
    }
    Finding::ok("limits", format!("{limit} files may be open at a time"))
}

fn inotify() -> Finding {
    const FILE: &str = "/proc/sys/fs/inotify/max_user_instances";
    let read = std::fs::read_to_string(FILE).ok().and_then(|text| text.trim().parse().ok());
    read.map_or_else(|| Finding::skip("limits", format!("{FILE} cannot be read")), instances)
}

fn instances(limit: u64) -> Finding {
    if limit < INOTIFY_MIN {
        let what = format!("{limit} inotify instances per user, at least {INOTIFY_MIN} should be");
        return Finding::warn("limits", what, "sysctl fs.inotify.max_user_instances=128");
    }
    Finding::ok("limits", format!("{limit} inotify instances per user"))
}

#[cfg(test)]
mod tests {
    use super::{super::finding::Grade, *};

    // CASES 180
    #[test]
    fn a_limit_of_the_host_is_told_with_its_number() {
        let low = files(256);
        assert_eq!(low.grade, Grade::Fail);
        assert!(low.what.contains("256") && low.what.contains("1024"), "{}", low.what);
        assert_eq!(files(1024).grade, Grade::Ok);
        let few = instances(4);
        assert_eq!(few.grade, Grade::Warn);
        assert!(few.what.contains('4') && few.what.contains("16"), "{}", few.what);
        assert_eq!(instances(128).grade, Grade::Ok);
    }

    // CASES 227
    #[test]
    fn root_and_the_docker_group_are_told_to_be_the_same() {
        for (root, group) in [(true, false), (true, true), (false, true)] {
            let finding = user(root, group);
            assert_eq!(finding.grade, Grade::Warn);
            assert!(finding.what.contains("as good as root"), "{}", finding.what);
        }
        assert_eq!(user(false, false).grade, Grade::Ok);
    }

    // CASES 225
    #[test]
    fn variables_that_change_security_are_shown_without_their_values() {
        let all = environment(&|name| Some(format!("secret-{name}-trace")));
        assert_eq!(all.len(), VARIABLES.len() + 1);
        for name in [
            "DOCKER_HOST",
            "SSL_CERT_FILE",
            "HTTPS_PROXY",
            "GIT_SSH_COMMAND",
            "LD_PRELOAD",
            "RUST_LOG",
        ] {
            assert!(all.iter().any(|finding| finding.what.contains(name)), "{name}");
        }
        let others = all.iter().filter(|finding| !finding.what.contains("RUST_LOG"));
        assert!(others.clone().all(|finding| !finding.what.contains("secret-")));
        let none = environment(&|name| (name == "RUST_LOG").then(|| "debug".to_owned()));
        assert!(none.iter().all(|finding| finding.grade == Grade::Ok), "{none:?}");
    }
}
