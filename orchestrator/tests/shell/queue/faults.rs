//! Queues that change while they are read, and watches that miss it.

use std::{io::Write as _, thread};

use nix::sys::stat::{SFlag, makedev, mknod};

use super::*;

// CASES 119: what only a process with rights of the host's root could put there.
#[tokio::test]
async fn devices_and_files_with_special_rights_are_put_away() {
    let queue = Queue::new().await;
    let good = serde_json::to_vec(&said(900, "evil")).unwrap();
    for (sequence, rights) in [(1, 0o4644), (2, 0o2644), (3, 0o1644)] {
        let content = String::from_utf8(good.clone()).unwrap();
        let content = content.replace("00000900", &format!("{sequence:08}"));
        let file = queue.write(format!("{}.json", id(sequence)), content.as_bytes());
        fs::set_permissions(file, std::os::unix::fs::PermissionsExt::from_mode(rights)).unwrap();
    }
    let mut entries = 3;
    let kinds = [(SFlag::S_IFCHR, makedev(1, 5)), (SFlag::S_IFBLK, makedev(7, 0))];
    for (sequence, (kind, device)) in (4..).zip(kinds) {
        let path = queue.new_file(format!("{}.json", id(sequence)));
        // A container may be without the right to make devices; then nobody has it.
        if mknod(&path, kind, Mode::S_IRWXU, device).is_ok() {
            unix::chown(&path, Some(queue.owner), None).unwrap();
            entries += 1;
        }
    }
    queue.put(&said(800, "good"));
    assert!(queue.scan().await);
    assert_eq!(queue.log().await, ["good"]);
    assert_eq!((queue.left("new"), queue.left("bad")), (0, entries));
}

#[tokio::test]
async fn what_is_stored_is_told_before_it_is_cleared_away_and_nothing_else_is() {
    let queue = Queue::new().await;
    let (laws, told) = (laws(4), std::cell::Cell::new(None));
    let scan = || {
        let stored = || told.set(Some(queue.left("new")));
        let scan = queue.relay.scan_and_tell(&laws, &queue.slug, stored);
        timeout(Duration::from_secs(15), scan)
    };
    assert!(!scan().await.unwrap().unwrap());
    assert_eq!(told.get(), None);
    queue.put(&said(1, "one"));
    assert!(scan().await.unwrap().unwrap());
    assert_eq!(told.get(), Some(1), "the next step must not wait for the clearing");
    assert_eq!(queue.log().await, ["one"]);
}

// CASES 120
#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_grows_or_is_replaced_while_it_is_read_holds_up_nobody() {
    let queue = Queue::new().await;
    let evil = queue.write(format!("{}.json", id(1)), b"");
    let event = serde_json::to_vec(&said(2, "swapped in")).unwrap();
    let swapped = queue.new_file(format!("{}.json", id(2)));
    let draft = queue.places.queue.join("tmp/draft");
    let owner = queue.owner;
    let writer = thread::spawn(move || {
        let mut file = File::options().append(true).open(evil).unwrap();
        for _ in 0..2000 {
            file.write_all(&[b' '; 4096]).unwrap();
            // Sometimes a file, sometimes a directory, sometimes nothing.
            fs::write(&draft, &event).unwrap();
            unix::chown(&draft, Some(owner), None).unwrap();
            drop(fs::remove_dir(&swapped));
            drop(fs::rename(&draft, &swapped));
            drop(fs::remove_file(&swapped));
            drop(fs::create_dir(&swapped));
        }
        drop(fs::remove_dir(&swapped));
    });
    while !writer.is_finished() {
        queue.scan().await;
    }
    writer.join().unwrap();
    queue.scan().await;
    queue.put(&said(3, "good"));
    assert!(queue.scan().await);
    let log = queue.log().await;
    assert_eq!(log.last().map(String::as_str), Some("good"));
    assert!(log.len() <= 2, "the swapped one counts once at most: {log:?}");
    assert_eq!(queue.left("new"), 0);
}

// CASES 123: more changes than the kernel remembers.
#[tokio::test]
async fn what_inotify_dropped_is_found_by_looking() {
    let queue = Queue::new().await;
    queue.relay.watch(&queue.slug);
    for n in 0..20_000 {
        let path = queue.new_file("flood");
        fs::write(&path, b"").unwrap();
        fs::remove_file(path).unwrap();
        if n % 1000 == 0 {
            queue.put(&said(n, "in between"));
        }
    }
    assert!(queue.scan().await);
    assert_eq!(queue.log().await.len(), 20);
}

// CASES 124
#[tokio::test]
async fn a_replaced_queue_is_watched_as_the_first_one_was() {
    let queue = Queue::new().await;
    queue.relay.watch(&queue.slug);
    queue.scan().await;
    let new = queue.places.queue.join("new");
    // Kept, so that the new one cannot have the same number.
    fs::rename(&new, queue.places.queue.join("old")).unwrap();
    fs::create_dir(&new).unwrap();
    // The regular scan sees that it is another one.
    queue.put(&said(1, "found by looking"));
    assert!(queue.scan().await);
    // The watch is set by another thread, and news of the old directory may be on its way.
    for sequence in 2..52 {
        drop(timeout(Duration::from_millis(20), queue.relay.touched()).await);
        queue.put(&said(sequence, "told"));
        if timeout(Duration::from_millis(200), queue.relay.touched()).await.is_ok() {
            return;
        }
    }
    panic!("the new directory is not watched");
}

// CASES 133: only the admin can do this to the daemon's own disk; it waits, and nothing is lost.
#[tokio::test]
async fn a_queue_that_cannot_be_read_is_told_and_keeps_its_files() {
    let queue = Queue::new().await;
    queue.put(&said(1, "kept"));
    let new = queue.places.queue.join("new");
    let aside = queue.places.queue.join("aside");
    fs::rename(&new, &aside).unwrap();
    // For root no mode closes a directory; a name that leads nowhere does it for everybody.
    fs::write(&new, b"").unwrap();
    assert!(!queue.scan().await);
    assert_eq!(queue.bottle().await.state.word(), "running");
    fs::remove_file(&new).unwrap();
    fs::rename(&aside, &new).unwrap();
    assert!(queue.scan().await);
    assert_eq!(queue.log().await, ["kept"]);
}
