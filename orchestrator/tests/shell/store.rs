//! What the store promises, with the process killed in the middle of it.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use orchestrator::store::{Arrival, Books, Store, open};
use orchestrator_core::{bottle::Tier, event::Effect};
use tokio::{task::JoinSet, time::Instant};

use crate::support::{Disk, queued};

const CHILD: &str = "BOT_BOTTLE_TEST_STORE";

/// Not a test by itself: what [`what_was_answered_survives_a_kill`] kills.
#[tokio::test(flavor = "multi_thread")]
async fn child() {
    let Some(path) = std::env::var_os(CHILD) else { return };
    let store = Store::start(open(Path::new(&path)).unwrap()).unwrap();
    let mut writers = JoinSet::new();
    for writer in 0..8 {
        let store = store.clone();
        writers.spawn(async move {
            for n in 0..u32::MAX {
                let key = format!("{writer}-{n}");
                let written = key.clone();
                let both = store.write(move |books| {
                    books.set_meta(&format!("a{written}"), "1")?;
                    books.set_meta(&format!("b{written}"), "1")
                });
                both.await.unwrap();
                writeln!(std::io::stdout().lock(), "answered {key}").unwrap();
            }
        });
    }
    writers.join_all().await;
}

// CASES 215, by kill -9 instead of a power cut.
#[test]
fn what_was_answered_survives_a_kill() {
    for wait in [20, 90, 170] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("bot-bottle.db");
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["store::child", "--exact", "--nocapture"])
            .env(CHILD, &path)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut answered = Vec::new();
        let mut until = None;
        while let Some(Ok(line)) = lines.next() {
            answered.extend(line.split("answered ").nth(1).map(str::to_owned));
            if answered.len() == 1 && until.is_none() {
                until = Some(Instant::now() + Duration::from_millis(wait));
            }
            if until.is_some_and(|until| Instant::now() > until) {
                child.kill().unwrap();
                until = None;
            }
        }
        child.wait().unwrap();
        assert!(answered.len() > 8, "{} writes in {wait} ms", answered.len());

        let there = open(&path).unwrap();
        let has = |key: String| {
            let sql = "SELECT count(*) FROM meta WHERE key = ?1";
            there.query_row(sql, [key], |row| row.get::<_, i64>(0)).unwrap() == 1
        };
        for key in &answered {
            assert!(has(format!("a{key}")) && has(format!("b{key}")), "{key} was answered");
        }
        let halves: i64 = there
            .query_row("SELECT count(*) FROM (SELECT substr(key, 2) AS k FROM meta GROUP BY k HAVING count(*) = 1)", [], |row| row.get(0))
            .unwrap();
        assert_eq!(halves, 0, "what was not answered is whole or absent");
    }
}

#[tokio::test]
async fn writes_that_wait_together_share_commits() {
    let disk = Disk::new();
    let one_by_one = Instant::now();
    for n in 0..20 {
        disk.store.write(move |books| books.set_meta(&format!("{n}"), "")).await.unwrap();
    }
    let one = one_by_one.elapsed() / 20;
    let together = Instant::now();
    let mut writers = JoinSet::new();
    for n in 0..1000 {
        let store = disk.store.clone();
        writers.spawn(async move {
            store.write(move |books| books.set_meta(&format!("t{n}"), "")).await.unwrap();
        });
    }
    writers.join_all().await;
    let all = together.elapsed();
    assert!(
        all < (one * 1000).max(Duration::from_millis(500)),
        "{all:?} for 1000, {one:?} for one"
    );
}

#[tokio::test]
async fn an_issue_has_one_live_bottle() {
    let disk = Disk::new();
    let first = queued("implementer-aaaaa", 1, 7);
    let second = queued("implementer-bbbbb", 2, 7);
    let other = queued("implementer-ccccc", 3, 8);
    disk.store.write(move |books| books.save(&first, None)).await.unwrap();
    disk.store.write(move |books| books.save(&second, None)).await.unwrap_err();
    disk.store.write(move |books| books.save(&other, None)).await.unwrap();
    let live = disk.store.write(|books| books.recent_bottles(0)).await.unwrap();
    let slugs: Vec<&str> = live.iter().map(|bottle| bottle.slug.as_str()).collect();
    assert_eq!(slugs, ["implementer-ccccc", "implementer-aaaaa"]);
}

#[tokio::test]
async fn new_effects_take_the_place_of_old_ones() {
    let disk = Disk::new();
    let bottle = queued("implementer-aaaaa", 1, 7);
    let work = move |books: &Books<'_>| {
        let slug = &bottle.slug;
        books.save(&bottle, None)?;
        books.replace_effects(slug, &[Effect::Sleep { tier: Tier::Hot }])?;
        let (old, _) = books.next_effect(slug)?.unwrap();
        books.replace_effects(slug, &[Effect::Remove {}])?;
        books.finish_effect(old)?;
        let next = books.next_effect(slug)?;
        books.finish_effect(next.as_ref().unwrap().0)?;
        Ok((next.unwrap().1, books.next_effect(slug)?))
    };
    let (next, rest) = disk.store.write(work).await.unwrap();
    assert_eq!(next, Effect::Remove {}, "ending an old effect does not end its successor");
    assert_eq!(rest, None);
}

#[tokio::test]
async fn arrivals_are_known_until_they_are_forgotten() {
    let disk = Disk::new();
    let now = Timestamp::now();
    let later = now + SignedDuration::from_hours(1);
    let known = disk.store.write(move |books| {
        let first = books.arrive("k", Some("team/project#7"), now)?;
        let repeat = books.arrive("k", Some("team/project#7"), now)?;
        let kept = books.forget_arrivals(later)?;
        let hints = books.hints("team/project#7", now)?;
        books.finish_hints(&hints)?;
        let still = books.arrive("k", Some("team/project#7"), now)?;
        let gone = books.forget_arrivals(later)?;
        let again = books.arrive("k", Some("team/project#7"), now)?;
        Ok((first, repeat, kept, still, gone, again))
    });
    assert_eq!(known.await.unwrap(), (true, false, 0, false, 1, true));
}

// CASES 129
#[tokio::test]
async fn a_known_key_with_another_content_is_told_apart() {
    let disk = Disk::new();
    let now = Timestamp::now();
    let arrivals = disk.store.write(move |books| {
        Ok([
            books.arrive_once("k", "1", now)?,
            books.arrive_once("k", "1", now)?,
            books.arrive_once("k", "2", now)?,
        ])
    });
    assert_eq!(arrivals.await.unwrap(), [Arrival::New, Arrival::Known, Arrival::Other]);
}

#[tokio::test]
async fn hints_that_are_put_off_wait() {
    let disk = Disk::new();
    let now = Timestamp::now();
    let later = now + SignedDuration::from_secs(60);
    let seen = disk.store.write(move |books| {
        books.arrive("k", Some("team/project#7"), now)?;
        let hints = books.hints("team/project#7", now)?;
        books.defer_hints(&hints, later)?;
        let work = books.work(now)?;
        Ok((work.hints, work.next, books.work(later)?.hints, books.hints("team/project#7", later)?))
    });
    let (none, next, due, hints) = seen.await.unwrap();
    assert_eq!(none, Vec::<String>::new());
    assert_eq!(next.unwrap().as_millisecond(), later.as_millisecond());
    assert_eq!(due, ["team/project#7"]);
    assert_eq!(hints[0].attempts, 1);
}
