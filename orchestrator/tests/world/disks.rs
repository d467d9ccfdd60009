//! A disk that fills up under a daemon, and a queue that is replaced under one.

use std::{fs, io::Write as _, os::unix::fs::chown, path::Path, process::Command};

use orchestrator::engine::{
    Role,
    spec::{Places, uid},
};

use crate::installation::{End, Installation, furnish};

/// Where a child finds its installation.
const DIR: &str = "BOT_BOTTLE_TEST_FULL_DISK";

/// Not a test by itself: [`a_full_disk_holds_everything_up_and_loses_nothing`] runs it where the
/// data directory is a small disk.
#[tokio::test(flavor = "multi_thread")]
async fn on_a_small_disk() {
    let Some(dir) = std::env::var_os(DIR) else { return };
    let dir = Path::new(&dir);
    tracing_subscriber::fmt().with_ansi(false).init();
    let installation = Installation::start(dir, vec![]).await;
    // Asleep after its first run, with a remark that asks for another one.
    installation.until("spoken to", async |this| this.world.outside.look().chapter == 2).await;
    let filler = installation.data_dir.join("filler");
    let mut taken = fs::File::create(&filler).unwrap();
    for block in [4096, 1] {
        while taken.write_all(&vec![b'x'; block]).is_ok() {}
    }
    drop(taken);
    let rounds = || installation.world.gate.calls().get("list_issues").copied().unwrap_or(0);
    let before = rounds();
    // Nobody else writes meanwhile: agents would fail as well.
    installation.wait("looked for again", async |_| rounds() > before + 2).await;
    fs::remove_file(filler).unwrap();
    assert_eq!(installation.finish().await, End::good());
}

// CASES 204
#[test]
fn a_full_disk_holds_everything_up_and_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    furnish(dir.path());
    fs::create_dir(dir.path().join("data")).unwrap();
    let script =
        "mount -t tmpfs -o size=3m,mode=700 none \"$1/data\" && exec \"$2\" \"$3\" --exact";
    let output = Command::new("timeout")
        .args(["--foreground", "--signal=KILL", "55"])
        .args(["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh"])
        .arg(dir.path())
        .arg(std::env::current_exe().unwrap())
        .arg("disks::on_a_small_disk")
        .env(DIR, dir.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
}

// CASES 123, 124: inotify watches the old directory; the regular look finds the new one.
#[tokio::test(flavor = "multi_thread")]
async fn a_queue_that_is_replaced_under_a_running_bottle_is_read_on() {
    let dir = tempfile::tempdir().unwrap();
    furnish(dir.path());
    let installation = Installation::start(dir.path(), vec![]).await;
    let told = async |this: &Installation| {
        this.world.outside.look().deeds.iter().any(|deed| deed.starts_with("run 1 is told"))
    };
    installation.until("told", told).await;
    let slug = installation.world.outside.look().sidecars.keys().next().unwrap().parse().unwrap();
    let queue = Places::of(&installation.data_dir, &slug).queue;
    let (new, old) = (queue.join("new"), queue.join("old"));
    fs::rename(&new, &old).unwrap();
    fs::create_dir(&new).unwrap();
    chown(&new, Some(uid(1, Role::Sidecar)), None).unwrap();
    for entry in fs::read_dir(old).unwrap() {
        let entry = entry.unwrap();
        // The daemon may read it at this moment.
        drop(fs::rename(entry.path(), new.join(entry.file_name())));
    }
    assert_eq!(installation.finish().await, End::good());
}
