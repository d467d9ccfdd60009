//! Disks that are full, read-only or broken, and copies of a database in use.
//!
//! A disk is a mount of a child process's own, in a mount namespace that goes with it.

use std::{
    fs,
    os::unix::{
        fs::{MetadataExt as _, PermissionsExt as _},
        process::ExitStatusExt as _,
    },
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use jiff::Timestamp;
use orchestrator::store::{Store, backup, open};
use rusqlite::Connection;
use tokio::{task::JoinSet, time::Instant};

use super::{CHILD, PATIENCE, answered};
use crate::support::Disk;

/// Where a child finds its disk; [`on_another_disk`] sets it.
const DISK: &str = "BOT_BOTTLE_TEST_DISK";

/// Runs a test of this program as a child, with a tmpfs of its own mounted and prepared by the
/// shell, at most half a minute.
fn on_another_disk(test: &str, prepare: &str) -> Output {
    let dir = tempfile::tempdir().unwrap();
    let script =
        format!("mount -t tmpfs -o size=2m none \"$1\" && {prepare} && exec \"$2\" \"$3\" --exact");
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
        .output()
        .unwrap()
}

fn disk() -> Option<PathBuf> {
    std::env::var_os(DISK).map(PathBuf::from)
}

/// Takes all space that is left on a disk; gives the file that has it.
fn fill(dir: &Path) -> PathBuf {
    let filler = dir.join("filler");
    let mut taken = fs::File::create(&filler).unwrap();
    let block = [b'x'; 4096];
    while std::io::Write::write_all(&mut taken, &block).is_ok() {}
    filler
}

/// Not a test by itself: [`a_full_disk_takes_nothing_and_loses_nothing`] runs it on a small disk.
#[tokio::test]
async fn on_a_full_disk() {
    let Some(dir) = disk() else { return };
    let path = dir.join("bot-bottle.db");
    let store = Store::start(open(&path).unwrap()).unwrap();
    let write = async |key: String| {
        let large = "x".repeat(20_000);
        store.write(move |books| books.set_meta(&key, &large)).await
    };
    write("before".to_owned()).await.unwrap();
    let filler = fill(&dir);
    let mut stored = Vec::new();
    let error = loop {
        let key = format!("k{}", stored.len());
        match write(key.clone()).await {
            Ok(()) => stored.push(key),
            Err(error) => break error,
        }
    };
    assert!(error.is_full(), "{error:?}");
    // Its hints are not stored, so nothing is launched; what is stored can be read.
    let arrived =
        store.write(|books| books.arrive("delivery", Some("team/project#7"), Timestamp::now()));
    let refused = arrived.await.is_err();
    let read = store.write(|books| books.meta("before")).await.unwrap();
    assert_eq!(read.map(|text| text.len()), Some(20_000));

    fs::remove_file(filler).unwrap();
    write("after".to_owned()).await.unwrap();
    let arrived = move |books: &orchestrator::store::Books<'_>| {
        books.arrive("delivery", Some("team/project#7"), Timestamp::now())
    };
    assert_eq!(store.write(arrived).await.unwrap(), refused, "a repeat of it is new");
    store.close().await;

    let there = open(&path).unwrap();
    let count = |key: &str| {
        let sql = "SELECT count(*) FROM meta WHERE key = ?1";
        there.query_row(sql, [key], |row| row.get::<_, i64>(0)).unwrap()
    };
    for key in stored.iter().map(String::as_str).chain(["before", "after"]) {
        assert_eq!(count(key), 1, "{key} was answered");
    }
    assert_eq!(count(&format!("k{}", stored.len())), 0, "what failed is not there");
}

// CASES 204
#[test]
fn a_full_disk_takes_nothing_and_loses_nothing() {
    let output = on_another_disk("store::faults::on_a_full_disk", "true");
    assert!(output.status.success(), "{output:?}");
}

/// Not a test by itself: [`a_disk_that_takes_no_writes_is_refused`] runs it on a read-only disk.
#[test]
fn on_a_read_only_disk() {
    let Some(dir) = disk() else { return };
    let error = open(&dir.join("bot-bottle.db")).unwrap_err().to_string();
    assert!(error.contains("Read-only file system") && error.contains("data_dir"), "{error}");
    assert_eq!(fs::read_dir(dir).unwrap().count(), 1);
}

// CASES 210
#[test]
fn a_disk_that_takes_no_writes_is_refused() {
    let prepare = "touch \"$1/bot-bottle.db\" && chmod 600 \"$1/bot-bottle.db\" \
                   && mount -o remount,ro \"$1\"";
    let output = on_another_disk("store::faults::on_a_read_only_disk", prepare);
    assert!(output.status.success(), "{output:?}");
}

// CASES 205: a limit on the size of files stands in for the broken disk; SQLite sees an error of
// the same class.
#[test]
fn a_disk_that_fails_at_a_commit_ends_the_process() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bot-bottle.db");
    let script = "trap '' XFSZ; ulimit -c 0; ulimit -f 1024; \
                  exec \"$1\" store::child --exact --nocapture";
    let output = Command::new("timeout")
        .args(["--foreground", "--signal=KILL", "30", "sh", "-c", script, "sh"])
        .arg(std::env::current_exe().unwrap())
        .env(CHILD, &path)
        .output()
        .unwrap();
    // `timeout` dies as its child did, or tells of it in its code.
    let signal = output.status.signal().or_else(|| Some(output.status.code()? - 128));
    assert_eq!(signal, Some(nix::sys::signal::Signal::SIGABRT as i32), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let answered: Vec<String> = answered(text.lines()).collect();
    assert!(answered.len() > 8, "{text}");
    super::assert_kept(&path, &answered);
}

// CASES 213
#[tokio::test(flavor = "multi_thread")]
async fn a_backup_of_a_busy_database_is_whole() {
    let disk = Disk::new();
    let path = disk.dir.path().join("bot-bottle.db");
    let copy = disk.dir.path().join("copy.db");
    let (end, last) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
    let mut writers = JoinSet::new();
    let (store, ended, written) = (disk.store.clone(), Arc::clone(&end), Arc::clone(&last));
    writers.spawn(async move {
        let mut n = 0;
        while !ended.load(Ordering::SeqCst) {
            n += 1;
            let both = store.write(move |books| {
                books.set_meta(&format!("a{n}"), &"x".repeat(1000))?;
                books.set_meta(&format!("z{n}"), &"x".repeat(1000))
            });
            both.await.unwrap();
            written.store(n, Ordering::SeqCst);
        }
    });
    let deadline = Instant::now() + PATIENCE;
    while last.load(Ordering::SeqCst) < 50 {
        assert!(Instant::now() < deadline, "nothing is written");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let before = last.load(Ordering::SeqCst);
    let (from, to) = (path.clone(), copy.clone());
    tokio::task::spawn_blocking(move || backup(&from, &to)).await.unwrap().unwrap();
    end.store(true, Ordering::SeqCst);
    writers.join_all().await;

    assert_eq!(fs::metadata(&copy).unwrap().mode() & 0o777, 0o600);
    let there = open(&copy).unwrap();
    let count = |sql: &str| there.query_row(sql, [], |row| row.get::<_, u32>(0)).unwrap();
    let firsts = count("SELECT count(*) FROM meta WHERE key LIKE 'a%'");
    assert!(firsts >= before, "{firsts} of {before}: what is in the log belongs to it");
    assert_eq!(count("SELECT count(*) FROM meta WHERE key LIKE 'z%'"), firsts);
    drop(there);

    let again = backup(&path, &copy).unwrap_err().to_string();
    assert!(again.contains("exists already"), "{again}");
    let gone = disk.dir.path().join("gone.db");
    backup(&gone, &disk.dir.path().join("other.db")).unwrap_err();
    assert!(!gone.exists(), "a missing database is not made");
    let left: Vec<_> = fs::read_dir(disk.dir.path()).unwrap().flatten().collect();
    let drafts = left.iter().filter(|entry| entry.file_name().to_string_lossy().starts_with('.'));
    assert_eq!(drafts.count(), 0, "{left:?}");
}

// CASES 213: what was deleted, and may be remembered in free pages, does not travel.
#[tokio::test]
async fn a_backup_leaves_out_what_was_deleted() {
    let disk = Disk::new();
    let path = disk.dir.path().join("bot-bottle.db");
    let copy = disk.dir.path().join("copy.db");
    let text = "canary-4c1d".repeat(2000);
    disk.store.write(move |books| books.set_meta("a", &text)).await.unwrap();
    disk.store.write(|books| books.set_meta("a", "")).await.unwrap();
    backup(&path, &copy).unwrap();
    let bytes = fs::read(&copy).unwrap();
    assert!(!bytes.windows(11).any(|window| window == b"canary-4c1d"));
}

// CASES 214
#[test]
fn there_is_one_sqlite() {
    let lock = Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.lock");
    let lock = fs::read_to_string(lock).unwrap();
    let bundles = lock.lines().filter(|line| line.ends_with("sqlite3-sys\""));
    assert_eq!(bundles.collect::<Vec<_>>(), ["name = \"libsqlite3-sys\""]);
    let linked = fs::read_to_string("/proc/self/maps").unwrap();
    assert!(!linked.contains("libsqlite3"), "the system's library is here as well");
    drop(Connection::open_in_memory().unwrap());
}

// CASES 210: made for its owner alone, whatever the umask, and its log beside it too.
#[test]
fn nobody_else_may_read_a_new_database() {
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let connection = open(&dir.path().join("bot-bottle.db")).unwrap();
    connection.execute("INSERT INTO meta VALUES ('a', '1')", []).unwrap();
    for entry in fs::read_dir(dir.path()).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().mode() & 0o777, 0o600, "{:?}", entry.file_name());
    }
}
