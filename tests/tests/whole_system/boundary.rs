//! What the inside of a bottle looks like, and what cannot be reached from it (TH6, CASES 177).

use e2e::rig::{Fault, Rig};

use crate::agent;

/// Prints what the kernel says of this process and tries what must fail.
const PROBE: &str = r#"
grep -E '^(CapEff|CapBnd|NoNewPrivs|Seccomp):' /proc/self/status | tr -d '\t'
echo "links: $(ls /sys/class/net | tr '\n' ' ')"
echo "routes: $(tail -n +2 /proc/net/route | wc -l)"
try() { name=$1; shift; if "$@" >/dev/null 2>&1; then echo "$name: POSSIBLE"; else echo "$name: no"; fi; }
try write-root touch /etc/x
try write-socket-dir touch /run/bot-bottle/agent/x
try replace-program cp /bin/true /opt/bot-bottle/bin/bottle
try mount mount -t tmpfs none /mnt
try user-namespace unshare --user true
try device mknod /tmp/null c 1 3
try become-root su -c true
try docker-socket test -e /var/run/docker.sock
try control-socket test -e /run/bot-bottle/control
try queue test -e /run/bot-bottle/queue
try internet curl --silent --max-time 2 --proxy '' http://1.1.1.1/
try forge curl --silent --max-time 2 --proxy '' "$FORGE_URL_OF_TEST"
try egress curl --silent --fail --max-time 5 --proxy http://127.0.0.1:3128 https://example.org/
try other-repository git ls-remote http://127.0.0.1:3128/git/alice/other.git
echo "tmp: $(touch /tmp/x && echo writable)"
echo "home: $(touch ~/x && echo writable)"
bottle signal-done success probed
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_bottle_has_no_network_no_privilege_and_nothing_but_its_socket() -> Result<(), Fault> {
    let rig = Rig::start(&agent("true")).await?;
    // A repository that the agent's token could read, and that this bottle must not.
    rig.forge.create_repo("alice", "alice/other").await.expect("made");
    rig.configure(&agent(&PROBE.replace("$FORGE_URL_OF_TEST", rig.forge.base_url())))?;
    let mut rig = rig;
    rig.end_daemon(nix::sys::signal::Signal::SIGTERM).await?;
    rig.start_daemon().await?;
    rig.ask_for_work("Probe", "").await?;
    let slug = rig.wait_for_detail("frozen", "probed").await?;
    let output = rig.try_command(&["logs", &slug, "--output"]).await?;
    for line in [
        "CapEff:0000000000000000",
        "CapBnd:0000000000000000",
        "NoNewPrivs:1",
        "Seccomp:2",
        "links: lo ",
        "routes: 0",
        "write-root: no",
        "write-socket-dir: no",
        "replace-program: no",
        "mount: no",
        "user-namespace: no",
        "device: no",
        "become-root: no",
        "docker-socket: no",
        "control-socket: no",
        "queue: no",
        "internet: no",
        "forge: no",
        "egress: no",
        "other-repository: no",
        "tmp: writable",
        "home: writable",
    ] {
        assert!(
            output.lines().any(|found| found.trim_end() == line.trim_end()),
            "no {line:?} in\n{output}"
        );
    }
    sidecar_is_confined(&rig, &slug).await?;
    rig.finish().await
}

/// The sidecar from outside: its kernel status and its container.
async fn sidecar_is_confined(rig: &Rig, slug: &str) -> Result<(), Fault> {
    let sidecar = format!("{slug}-sidecar");
    let pid = rig.docker.run(&["inspect", "--format", "{{.State.Pid}}", &sidecar]).await?;
    let status = std::fs::read_to_string(format!("/proc/{}/status", pid.trim()))?.replace('\t', "");
    for line in ["CapEff:0000000000000000", "CapBnd:0000000000000000", "NoNewPrivs:1", "Seccomp:2"]
    {
        assert!(status.lines().any(|found| found == line), "no {line} in\n{status}");
    }
    // Not dumpable: its /proc entry belongs to root, not to its own user.
    let owner = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(format!(
        "/proc/{}/environ",
        pid.trim()
    ))?);
    assert_eq!(owner, 0, "the sidecar can be dumped");
    let users =
        rig.docker.run(&["inspect", "--format", "{{.Config.User}}", &sidecar, slug]).await?;
    let users: std::collections::BTreeSet<&str> = users.lines().collect();
    assert_eq!(users.len(), 2, "both containers run as {users:?}");
    Ok(())
}
