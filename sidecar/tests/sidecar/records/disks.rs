//! Queues on disks that are full, closed, or two instead of one: each a mount of a child process's
//! own, in a mount namespace that goes with it.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};

use sidecar::queue::OpenError;

use super::*;
use crate::harness::settings;

/// Where a child finds its disk.
const DISK: &str = "BOT_BOTTLE_TEST_DISK";

/// Runs a test of this program as a child on a disk that the shell prepares, at most half a minute.
fn on_another_disk(test: &str, prepare: &str) -> Output {
    let dir = tempfile::tempdir().unwrap();
    let script = format!("{prepare} && exec \"$2\" \"$3\" --exact");
    Command::new("timeout")
        .args([
            "--foreground",
            "--signal=KILL",
            "30",
            "unshare",
            "--mount",
            "--propagation",
            "private",
        ])
        .args(["sh", "-c", &script, "sh"])
        .arg(dir.path())
        .arg(std::env::current_exe().unwrap())
        .arg(test)
        .env(DISK, dir.path())
        // What the child makes for itself goes with its disk.
        .env("TMPDIR", dir.path())
        .output()
        .unwrap()
}

fn disk() -> Option<PathBuf> {
    std::env::var_os(DISK).map(PathBuf::from)
}

/// Takes all space that is left on a disk; gives the file that has it.
fn fill_disk(dir: &Path) -> PathBuf {
    let filler = dir.join("filler");
    let mut taken = fs::File::create(&filler).unwrap();
    for block in [4096, 1] {
        while std::io::Write::write_all(&mut taken, &vec![b'x'; block]).is_ok() {}
    }
    filler
}

/// Not a test by itself: [`a_full_disk_acknowledges_nothing`] runs it on a small disk.
#[tokio::test]
async fn on_a_full_disk() {
    let Some(dir) = disk() else { return };
    let bottle = Bottle::at_work_with(settings()).await;
    bottle.agent.post_comment(number(17), "before".to_owned()).await.unwrap();
    let filler = fill_disk(&dir);
    let done = |summary: &str| bottle.agent.signal_done(DoneStatus::Success, summary.to_owned());
    let error = refused(done(&"x".repeat(5000)).await);
    assert_eq!(error.data.kind, ErrorCode::QueueFull, "{error:?}");
    let tmp = bottle.dir.path().join("queue/tmp");
    assert_eq!(fs::read_dir(&tmp).unwrap().count(), 0, "half an event is not kept");
    assert_eq!(bottle.queue_files().len(), 1);
    fs::remove_file(filler).unwrap();
    assert!(done("room again").await.unwrap().counted, "what was refused has not counted");
    assert_eq!(bottle.queue_files().len(), 2);
}

// CASES 132
#[test]
fn a_full_disk_acknowledges_nothing() {
    let test = "records::disks::on_a_full_disk";
    let output = on_another_disk(test, "mount -t tmpfs -o size=1m none \"$1\"");
    assert!(output.status.success(), "{output:?}");
}

/// Not a test by itself: [`two_mounts_are_no_queue`] runs it.
#[test]
fn on_two_mounts() {
    let Some(dir) = disk() else { return };
    let error = Queue::open(&dir).unwrap_err();
    assert!(matches!(error, OpenError::TwoMounts { .. }), "{error:?}");
}

// CASES 125: two file systems, and two mounts of one, which `rename` does not cross either.
#[test]
fn two_mounts_are_no_queue() {
    let prepare = "mkdir -p \"$1/tmp\" \"$1/new\"";
    let mounts = ["mount -t tmpfs none \"$1/new\"", "mount --bind \"$1/new\" \"$1/new\""];
    for mount in mounts {
        let output =
            on_another_disk("records::disks::on_two_mounts", &format!("{prepare} && {mount}"));
        assert!(output.status.success(), "{mount}: {output:?}");
    }
}

/// Not a test by itself: [`a_closed_queue_is_told_and_nothing_ends`] runs it as another user.
#[tokio::test]
async fn in_a_closed_directory() {
    if disk().is_none() {
        return;
    }
    let bottle = Bottle::at_work().await;
    let queue = bottle.dir.path().join("queue");
    let set = |mode| {
        for part in ["tmp", "new"] {
            let rights = std::os::unix::fs::PermissionsExt::from_mode(mode);
            fs::set_permissions(queue.join(part), rights).unwrap();
        }
    };
    let done = || bottle.agent.signal_done(DoneStatus::Success, "done".to_owned());
    for closed in [0o000, 0o500] {
        set(closed);
        let error = refused(done().await);
        assert_eq!(error.data.kind, ErrorCode::QueueFull, "{error:?}");
        assert!(bottle.agent.context().await.is_ok(), "the sidecar lives on");
    }
    assert_eq!(bottle.forge.changes(), Vec::<String>::new());
    set(0o700);
    assert!(done().await.unwrap().counted);
}

// CASES 133: for root no mode closes a directory, so the sidecar is another user, as it is in life.
#[test]
fn a_closed_queue_is_told_and_nothing_ends() {
    let prepare = "mount -t tmpfs none \"$1\" && chmod 777 \"$1\" && cp \"$2\" \"$1/test\"";
    let script = format!(
        "{prepare} && exec setpriv --reuid 65534 --regid 65534 --clear-groups \"$1/test\" \"$3\" --exact"
    );
    let output =
        on_another_disk("records::disks::in_a_closed_directory", &format!("{{ {script}; }}"));
    assert!(output.status.success(), "{output:?}");
}
