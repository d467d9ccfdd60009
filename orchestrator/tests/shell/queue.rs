//! One bottle's queue, filled by somebody who hates us.

mod faults;

use std::{
    ffi::OsStr,
    fs::{self, File},
    os::unix::{
        ffi::OsStrExt as _,
        fs::{self as unix, OpenOptionsExt as _},
        net::UnixListener,
    },
    path::{Path, PathBuf},
    time::Duration,
};

use jiff::Timestamp;
use nix::{sys::stat::Mode, unistd::mkfifo};
use orchestrator::{
    engine::{
        Role,
        spec::{Places, uid},
    },
    intake::queue::Relay,
};
use orchestrator_core::bottle::Bottle;
use protocol::{
    event::{Happening, Operation, OperationOutcome, QueueEvent, VERSION},
    ids::{EventId, Slug},
    limits,
};
use tokio::time::timeout;

use crate::support::{Disk, NONCE, laws, name, running};

const SLUG: &str = "implementer-k3v9q";

struct Queue {
    disk: Disk,
    relay: Relay,
    slug: Slug,
    places: Places,
    owner: u32,
}

impl Queue {
    async fn new() -> Self {
        let disk = Disk::new();
        let bottle = running(SLUG, 1, 7);
        let slug = bottle.slug.clone();
        disk.store.write(move |books| books.save(&bottle, None)).await.unwrap();
        let relay = Relay::new(disk.dir.path(), disk.store.clone());
        let places = Places::of(disk.dir.path(), &slug);
        let queue = Self { disk, relay, slug, places, owner: uid(1, Role::Sidecar) };
        queue.make();
        queue
    }

    fn make(&self) {
        for part in ["tmp", "new", "bad"] {
            fs::create_dir_all(self.places.queue.join(part)).unwrap();
        }
    }

    fn new_file(&self, name: impl AsRef<Path>) -> PathBuf {
        self.places.queue.join("new").join(name)
    }

    fn write(&self, name: impl AsRef<Path>, content: &[u8]) -> PathBuf {
        let path = self.new_file(name);
        fs::write(&path, content).unwrap();
        unix::chown(&path, Some(self.owner), Some(self.owner)).unwrap();
        path
    }

    /// As an honest sidecar would write it.
    fn put(&self, event: &QueueEvent) -> PathBuf {
        self.write(format!("{}.json", event.id), &serde_json::to_vec(event).unwrap())
    }

    /// One scan, which ends.
    async fn scan(&self) -> bool {
        let laws = laws(4);
        let scan = self.relay.scan(&laws, &self.slug);
        let scanned = timeout(Duration::from_secs(15), scan).await;
        if scanned.is_err() {
            self.release();
        }
        scanned.expect("a scan must not block").unwrap()
    }

    /// Lets a reader go that hangs on a FIFO, so that the test fails instead of hanging with it.
    fn release(&self) {
        for entry in fs::read_dir(self.places.queue.join("new")).unwrap() {
            let mut file = File::options();
            file.write(true).custom_flags(nix::fcntl::OFlag::O_NONBLOCK.bits());
            drop(file.open(entry.unwrap().path()));
        }
    }

    async fn log(&self) -> Vec<String> {
        let slug = self.slug.clone();
        let read = move |books: &orchestrator::store::Books<'_>| {
            books.log_after(&slug, 0, std::num::NonZeroU32::new(100_000).unwrap())
        };
        self.disk.store.write(read).await.unwrap().into_iter().map(|row| row.sentence).collect()
    }

    async fn bottle(&self) -> Bottle {
        let slug = self.slug.clone();
        self.disk.store.write(move |books| books.bottle(&slug)).await.unwrap().unwrap()
    }

    fn left(&self, part: &str) -> usize {
        fs::read_dir(self.places.queue.join(part)).unwrap().count()
    }
}

fn id(sequence: u32) -> EventId {
    EventId::new(&name(NONCE), sequence)
}

fn said(sequence: u32, sentence: &str) -> QueueEvent {
    let operation = Operation {
        method: "post_comment".to_owned(),
        number: None,
        outcome: OperationOutcome::Done,
        sentence: sentence.to_owned(),
    };
    QueueEvent {
        version: VERSION,
        id: id(sequence),
        slug: name(SLUG),
        run: Some(name(&format!("{SLUG}.1"))),
        at: Timestamp::UNIX_EPOCH,
        what: Happening::Operation { operation },
    }
}

// CASES 123, 131: no watch is set, so nothing of this comes by inotify.
#[tokio::test]
async fn events_become_log_lines_in_their_order_exactly_once() {
    let queue = Queue::new().await;
    // Written in another order, with times before and after all others.
    for (sequence, year) in [(3, 0), (1, 68), (2, 10)] {
        let path = queue.put(&said(sequence, &format!("line {sequence}")));
        let odd = File::options().write(true).open(path).unwrap();
        let since_1970 = Duration::from_secs(year * 366 * 24 * 3600);
        odd.set_modified(std::time::SystemTime::UNIX_EPOCH + since_1970).unwrap();
    }
    assert!(queue.scan().await);
    assert!(!queue.scan().await);
    assert_eq!(queue.log().await, ["line 1", "line 2", "line 3"]);
    assert_eq!((queue.left("new"), queue.left("bad")), (0, 0));
    assert!(queue.bottle().await.last_checkin.is_some(), "it is a sign of life");
}

// CASES 117
#[tokio::test]
async fn half_written_files_are_not_read() {
    let queue = Queue::new().await;
    fs::write(queue.places.queue.join("tmp/x.json"), b"{").unwrap();
    assert!(!queue.scan().await);
    assert_eq!(queue.left("tmp"), 1);
}

/// Fills the queue with everything that is no event; gives how many entries there are.
fn fill_with_evil(queue: &Queue) -> usize {
    let good = serde_json::to_string(&said(900, "evil")).unwrap();
    let own = |sequence: u32| format!("{}.json", id(sequence));
    let elsewhere = queue.disk.dir.path().join("elsewhere");
    fs::write(&elsewhere, &good).unwrap();
    unix::chown(&elsewhere, Some(queue.owner), None).unwrap();

    unix::symlink(&elsewhere, queue.new_file(own(1))).unwrap();
    unix::symlink("/proc/self/fd/0", queue.new_file(own(2))).unwrap();
    mkfifo(&queue.new_file(own(3)), Mode::S_IRWXU).unwrap();
    drop(UnixListener::bind(queue.new_file(own(4))).unwrap());
    fs::create_dir(queue.new_file(own(5))).unwrap();
    fs::hard_link(&elsewhere, queue.new_file(own(6))).unwrap();
    fs::write(queue.new_file(own(7)), good.replace("00000900", "00000007")).unwrap(); // ours: root's
    let sparse = queue.write(own(8), b"");
    File::options().write(true).open(sparse).unwrap().set_len(1 << 40).unwrap();
    queue.write(own(9), &vec![b' '; limits::QUEUE_FILE_MAX_BYTES + 1]);
    queue.write(own(10), &good.as_bytes()[..good.len() / 2]);
    queue.write(own(11), b"");
    queue.write(own(12), b"not json");
    let event = |sequence: u32| serde_json::to_value(said(sequence, "evil")).unwrap();
    let put = |sequence: u32, change: &dyn Fn(&mut serde_json::Value)| {
        let mut value = event(sequence);
        change(&mut value);
        queue.write(own(sequence), &serde_json::to_vec(&value).unwrap());
    };
    put(13, &|value| value["version"] = 2.into());
    put(14, &|value| value["extra"] = 1.into());
    put(15, &|value| value["slug"] = "implementer-zzzzz".into());
    put(16, &|value| value["id"] = id(17).as_str().into());
    put(18, &|value| value["what"] = serde_json::json!({ "kind": "promoted" }));
    let long = format!("{}.json", "x".repeat(250));
    let names: [&[u8]; 8] = [
        b"a\nb.json",
        b"-rf",
        b".hidden.json",
        b"\xff\xfe.json",
        long.as_bytes(),
        b"00000000000000AA-00000001.json",
        b"00000000000000aa-1.json",
        b"\x1b[31m.json",
    ];
    for name in names {
        queue.write(OsStr::from_bytes(name), good.as_bytes());
    }
    17 + names.len()
}

// CASES 118-121
#[tokio::test]
async fn what_is_no_event_is_put_away_and_holds_up_nobody() {
    let queue = Queue::new().await;
    let evil = fill_with_evil(&queue);
    assert_eq!(queue.left("new"), evil);
    queue.put(&said(800, "good"));
    assert!(queue.scan().await);
    assert_eq!(queue.log().await, ["good"]);
    assert_eq!((queue.left("new"), queue.left("bad")), (0, evil));
    assert!(queue.disk.dir.path().join("elsewhere").exists(), "links are not followed");
}

// A name that is taken in `bad`, no `bad` at all, or one that is a link out: nothing stops.
#[tokio::test]
async fn what_cannot_be_put_away_does_not_stop_the_rest() {
    let queue = Queue::new().await;
    let bad = queue.places.queue.join("bad");
    for full in [queue.new_file("stuck"), bad.join("stuck")] {
        fs::create_dir(&full).unwrap();
        fs::write(full.join("x"), b"").unwrap();
    }
    queue.put(&said(1, "one"));
    queue.scan().await;
    queue.scan().await;
    assert_eq!(queue.log().await, ["one"]);
    assert_eq!(queue.left("new"), 1, "what was used is gone although `stuck` cannot be moved");

    let outside = queue.disk.dir.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::remove_dir_all(&bad).unwrap();
    unix::symlink(&outside, &bad).unwrap();
    queue.write("evil", b"");
    queue.put(&said(2, "two"));
    queue.scan().await;
    assert_eq!(queue.log().await, ["one", "two"]);
    assert_eq!(fs::read_dir(outside).unwrap().count(), 0, "nothing is written through the link");
}

// CASES 122
#[tokio::test]
async fn ten_thousand_files_are_read_in_bounded_bites() {
    let queue = Queue::new().await;
    for n in 0..10_000u32 {
        queue.put(&said(n, "x"));
    }
    assert!(queue.scan().await);
    assert_eq!(queue.left("new"), 10_000 - limits::QUEUE_FILES_PER_SCAN);
    assert_eq!(queue.log().await.len(), limits::QUEUE_FILES_PER_SCAN);
}

const FLOOD: usize = 100_000;

// CASES 122: somebody who has broken into a sidecar fills its queue for ever.
#[tokio::test]
async fn what_is_put_away_is_bounded_and_a_flood_does_not_hold_up_for_long() {
    let queue = Queue::new().await;
    for n in 0..FLOOD {
        fs::write(queue.new_file(format!("evil-{n}")), b"").unwrap();
    }
    for _ in 0..3 {
        assert!(queue.scan().await);
    }
    assert_eq!(queue.left("new"), FLOOD - 3 * limits::QUEUE_FILES_PER_SCAN);
    assert_eq!(queue.left("bad"), 100, "the first are kept, the others are gone");
}

#[tokio::test]
async fn a_directory_that_cannot_be_removed_is_out_of_the_way_although_bad_is_full() {
    let queue = Queue::new().await;
    for n in 0..150 {
        fs::write(queue.places.queue.join(format!("bad/old-{n}")), b"").unwrap();
    }
    fs::create_dir_all(queue.new_file("evil/inside")).unwrap();
    queue.put(&said(1, "good"));
    assert!(queue.scan().await);
    assert_eq!((queue.left("new"), queue.left("bad")), (0, 151));
    assert_eq!(queue.log().await, ["good"]);
}

// CASES 127, 141: committed, then a crash before the file was removed.
#[tokio::test]
async fn a_file_that_is_seen_again_after_a_crash_counts_once() {
    let queue = Queue::new().await;
    let event = said(1, "once");
    queue.put(&event);
    assert!(queue.scan().await);
    queue.put(&event);
    let again = Relay::new(queue.disk.dir.path(), queue.disk.store.clone());
    assert!(again.scan(&laws(4), &queue.slug).await.unwrap());
    assert_eq!(queue.log().await, ["once"]);
    assert_eq!((queue.left("new"), queue.left("bad")), (0, 0));
}

// CASES 129
#[tokio::test]
async fn another_content_under_a_known_id_is_put_away() {
    let queue = Queue::new().await;
    queue.put(&said(1, "first"));
    assert!(queue.scan().await);
    queue.put(&said(1, "second"));
    assert!(queue.scan().await);
    assert_eq!(queue.log().await, ["first"]);
    assert_eq!((queue.left("new"), queue.left("bad")), (0, 1));
}

// CASES 128: a store that fails keeps the files.
#[tokio::test]
async fn nothing_is_removed_that_is_not_stored() {
    let queue = Queue::new().await;
    let other = rusqlite::Connection::open(queue.disk.dir.path().join("bot-bottle.db")).unwrap();
    other.execute_batch("ALTER TABLE log RENAME TO gone").unwrap();
    queue.put(&said(1, "kept"));
    queue.relay.scan(&laws(4), &queue.slug).await.unwrap_err();
    assert_eq!(queue.left("new"), 1);
    other.execute_batch("ALTER TABLE gone RENAME TO log").unwrap();
    assert!(queue.scan().await);
    assert_eq!(queue.log().await, ["kept"]);
}

// CASES 124: nothing is held open between scans, so a replaced directory is the one that is read.
#[tokio::test]
async fn a_queue_that_is_removed_and_made_anew_is_read_on() {
    let queue = Queue::new().await;
    queue.relay.watch(&queue.slug);
    queue.put(&said(1, "before"));
    assert!(queue.scan().await);
    fs::remove_dir_all(&queue.places.queue).unwrap();
    assert!(!queue.scan().await, "a missing queue is no failure");
    queue.make();
    queue.put(&said(2, "after"));
    assert!(queue.scan().await);
    assert_eq!(queue.log().await, ["before", "after"]);

    // `new` itself is a link: not followed.
    let elsewhere = queue.disk.dir.path().join("elsewhere");
    fs::rename(queue.places.queue.join("new"), &elsewhere).unwrap();
    unix::symlink(&elsewhere, queue.places.queue.join("new")).unwrap();
    queue.put(&said(3, "through a link"));
    assert!(!queue.scan().await);
    assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 1);
}

// CASES 130
#[tokio::test]
async fn news_of_a_former_run_ends_no_later_one() {
    let queue = Queue::new().await;
    let mut bottle = queue.bottle().await;
    let now = Timestamp::now();
    let run = std::num::NonZeroU32::new(2).unwrap();
    bottle.runs = 2;
    bottle.state =
        orchestrator_core::bottle::State::Running { run, since: now, last_news: now, done: None };
    queue.disk.store.write(move |books| books.save(&bottle, None)).await.unwrap();
    let mut late = said(1, "");
    late.what = Happening::Exited { code: 1, output_tail: "boom\n".to_owned() };
    queue.put(&late);
    assert!(queue.scan().await);
    assert_eq!(queue.bottle().await.state.word(), "running");
    assert_eq!(queue.log().await, ["agent exited with 1: boom"], "but it is recorded");
}

#[tokio::test]
async fn a_new_file_is_noticed_soon() {
    let queue = Queue::new().await;
    queue.relay.watch(&queue.slug);
    // The watch is set by another thread.
    let mut sequence = 0;
    let noticed = loop {
        sequence += 1;
        assert!(sequence < 50, "inotify tells nothing");
        queue.put(&said(sequence, "x"));
        if let Ok(slugs) = timeout(Duration::from_millis(100), queue.relay.touched()).await {
            break slugs;
        }
    };
    assert_eq!(noticed, [queue.slug.clone()].into());
}
