//! What the host and its clock do to bottles that wait.

use std::num::NonZeroU32;

use jiff::{SignedDuration, Timestamp};
use orchestrator::{
    life::{self, Laws},
    store::Books,
};
use orchestrator_core::{
    bottle::Tier,
    event::{Event, News},
    host::Lack,
};

use super::{FIRST, SECOND, now};
use crate::support::{Disk, NONCE, laws, name, queued, running};

const THIRD: &str = "implementer-ccccc";
const DAY: SignedDuration = SignedDuration::from_hours(24);

impl Disk {
    async fn log(&self, slug: &str) -> Vec<String> {
        let slug = name(slug);
        let log = move |books: &Books<'_>| books.log_after(&slug, 0, NonZeroU32::MAX);
        let rows = self.store.write(log).await.unwrap();
        rows.into_iter().map(|row| row.sentence).collect()
    }

    async fn jump(&self, laws: &Laws, by: SignedDuration, now: Timestamp) {
        let laws = laws.clone();
        let jump = move |books: &Books<'_>| life::clock_jumped(books, &laws, by, now);
        self.store.write(jump).await.unwrap();
    }

    /// Bottles whose deadline is over at a time, and whether a hint is due then.
    async fn due(&self, at: Timestamp) -> (usize, usize) {
        let work = self.store.write(move |books| books.work(at)).await.unwrap();
        (work.due.len(), work.hints.len())
    }
}

// CASES 171: what waits, waits, and says what for; when there is room again, it goes on.
#[tokio::test]
async fn nothing_is_woken_while_the_host_has_no_room() {
    let disk = Disk::new();
    let mut laws = laws(4);
    let path = "/var/lib/bot-bottle".to_owned();
    laws.lack = Some(Lack::Disk { path, free: 1000, floor: 2000 });
    let first = queued(FIRST, 1, 7);
    assert_eq!(
        life::waits_for(&laws, &first).unwrap(),
        "waits: /var/lib/bot-bottle has 1000 bytes free, and 2000 must stay free; make room there"
    );
    disk.create(&laws, first).await.unwrap();
    assert_eq!(disk.state(FIRST).await, "queued");
    laws.lack = None;
    disk.create(&laws, queued(SECOND, 2, 8)).await.unwrap();
    assert_eq!(disk.state(FIRST).await, "starting", "it was not forgotten");
    assert_eq!(life::waits_for(&laws, &running(SECOND, 2, 8)), None);
    laws.rules.kill_switch = true;
    let third = queued(THIRD, 3, 9);
    assert_eq!(life::waits_for(&laws, &third).unwrap(), "waits: the kill switch is on");
}

// Whose turn it is outlives the transaction, and the daemon.
#[tokio::test]
async fn repositories_take_turns() {
    let disk = Disk::new();
    let laws = laws(1);
    disk.create(&laws, queued(FIRST, 1, 7)).await.unwrap();
    disk.create(&laws, queued(SECOND, 2, 8)).await.unwrap();
    let mut elsewhere = queued(THIRD, 3, 9);
    elsewhere.home.repo = name("team/other");
    disk.create(&laws, elsewhere).await.unwrap();
    let run = NonZeroU32::MIN;
    for event in [
        Event::Awoken { run, nonce: name(NONCE) },
        Event::News { run, news: News::Exited { code: 0 } },
        Event::Asleep { tier: Tier::Hot },
    ] {
        disk.tell(&laws, FIRST, event).await;
    }
    assert_eq!(disk.state(SECOND).await, "queued", "its repository has just been served");
    assert_eq!(disk.state(THIRD).await, "starting");
}

// CASES 169
#[tokio::test]
async fn a_program_killed_for_lack_of_memory_stands_in_the_log_once() {
    let disk = Disk::new();
    let laws = laws(1);
    disk.create(&laws, running(FIRST, 1, 7)).await.unwrap();
    for _ in 0..3 {
        disk.tell(&laws, FIRST, Event::Starved {}).await;
    }
    assert_eq!(disk.state(FIRST).await, "running");
    let told = disk.log(FIRST).await;
    let told = told.iter().filter(|sentence| sentence.contains("lack of memory")).count();
    assert_eq!(told, 1);
}

// CASES 157: deadlines of bottles and hints that were put off move with the clock.
#[tokio::test]
async fn a_jump_of_the_clock_moves_what_is_due() {
    for by in [DAY, -DAY] {
        let disk = Disk::new();
        let laws = laws(1);
        disk.create(&laws, running(FIRST, 1, 7)).await.unwrap();
        let start = now();
        let in_a_minute = start + SignedDuration::from_mins(1);
        let put_off = move |books: &Books<'_>| {
            books.arrive("a", Some("team/project#9"), start)?;
            let hints = books.hints("team/project#9", start)?;
            books.defer_hints(&hints, in_a_minute)
        };
        disk.store.write(put_off).await.unwrap();
        disk.jump(&laws, by, start + by).await;
        let then = start + by;
        assert_eq!(disk.due(then + SignedDuration::from_secs(50)).await, (0, 0), "{by:?}");
        assert_eq!(disk.due(then + SignedDuration::from_secs(70)).await, (0, 1), "{by:?}");
        assert_eq!(disk.due(then + SignedDuration::from_mins(29)).await, (0, 1), "{by:?}");
        assert_eq!(disk.due(then + SignedDuration::from_mins(31)).await, (1, 1), "{by:?}");
    }
}

// CASES 157: the clock was set back while no daemon ran.
#[tokio::test]
async fn a_jump_that_nobody_saw_is_healed_at_the_start() {
    let disk = Disk::new();
    let laws = laws(1);
    disk.create(&laws, running(FIRST, 1, 7)).await.unwrap();
    let then = now() - DAY;
    assert_eq!(disk.due(then + SignedDuration::from_hours(2)).await, (0, 0));
    disk.jump(&laws, SignedDuration::ZERO, then).await;
    assert_eq!(disk.due(then + SignedDuration::from_hours(2)).await, (1, 0));
}
