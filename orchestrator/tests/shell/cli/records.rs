//! What operators ask of many records, and what may be forgotten of them.

use std::{collections::BTreeSet, num::NonZeroU32};

use jiff::{SignedDuration, Timestamp};
use orchestrator_core::bottle::{Bottle, Reason, State};

use crate::support::{Disk, name, queued};

fn day(day: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_hours(24 * day)
}

fn gone(bottle: Bottle, at: Timestamp, released: bool) -> Bottle {
    let state = State::Destroyed { reason: Reason::Merged, at, cleaning: None, released };
    Bottle { state, ..bottle }
}

fn slugs(slugs: &[protocol::ids::Slug]) -> Vec<&str> {
    slugs.iter().map(protocol::ids::Slug::as_str).collect()
}

async fn keep(disk: &Disk, bottles: Vec<Bottle>) {
    let save = move |books: &orchestrator::store::Books<'_>| {
        for bottle in bottles {
            books.save(&bottle, None)?;
            books.log(&bottle.slug, Timestamp::UNIX_EPOCH, "queued")?;
        }
        Ok(())
    };
    disk.store.write(save).await.unwrap();
}

#[tokio::test]
async fn only_records_that_decide_nothing_any_more_are_forgotten() {
    let disk = Disk::new();
    let by_hand = Bottle {
        home: orchestrator_core::bottle::Home { issue: None, ..queued("a-hhhhh", 5, 9).home },
        ..queued("a-hhhhh", 5, 9)
    };
    let cleaning = State::Destroyed {
        reason: Reason::Merged,
        at: day(1),
        cleaning: Some(orchestrator_core::bottle::Attempts::FIRST),
        released: true,
    };
    keep(
        &disk,
        vec![
            gone(queued("a-bbbbb", 1, 1), day(1), true),
            gone(queued("a-ccccc", 2, 2), day(1), false),
            gone(queued("a-ddddd", 3, 3), day(1), false),
            gone(queued("a-fffff", 4, 3), day(9), false),
            gone(by_hand, day(1), false),
            Bottle { state: cleaning, ..queued("a-ggggg", 6, 4) },
            queued("a-jjjjj", 7, 5),
            gone(queued("a-kkkkk", 8, 6), day(1), true),
        ],
    )
    .await;
    let effect = orchestrator_core::event::Effect::Remove {};
    let still = move |books: &orchestrator::store::Books<'_>| {
        books.replace_effects(&name("a-ggggg"), &[effect])
    };
    disk.store.write(still).await.unwrap();

    let (spent, logs) = disk
        .store
        .write(|books| Ok((books.spent(day(5))?, books.outlived_logs(day(5))?)))
        .await
        .unwrap();
    // Asked anew since; replaced by a later one; not about an issue.
    assert_eq!(slugs(&spent), ["a-bbbbb", "a-ddddd", "a-hhhhh"]);
    // The last word on an issue that still asks, and the newest, from which numbers are counted on.
    assert_eq!(slugs(&logs), ["a-ccccc", "a-kkkkk"]);

    let (left, next, about) = disk
        .store
        .write(move |books| {
            for slug in &spent {
                books.forget_bottle(slug)?;
            }
            for slug in &logs {
                books.forget_log(slug)?;
            }
            let all = NonZeroU32::new(100).unwrap();
            let left = books.page(None, 100, all)?.into_iter().map(|bottle| bottle.slug);
            let about = books.bottle_about(&name("team/project"), crate::support::number(2))?;
            Ok((left.collect::<Vec<_>>(), books.next_serial()?, about))
        })
        .await
        .unwrap();
    assert_eq!(slugs(&left), ["a-kkkkk", "a-jjjjj", "a-ggggg", "a-fffff", "a-ccccc"]);
    assert_eq!(next, 9, "a number is never given twice");
    assert_eq!(about.unwrap().slug.as_str(), "a-ccccc", "or its issue would start another one");
    let again = disk.store.write(|books| Ok((books.spent(day(5))?, books.outlived_logs(day(5))?)));
    assert_eq!(again.await.unwrap(), (vec![], vec![]));
}

#[tokio::test]
async fn ten_thousand_bottles_are_listed_page_by_page_newest_first() {
    const ALL: u32 = 10_000;
    let letters: Vec<char> = "bcdfghjkmn".chars().collect();
    let slug = |serial: u32| {
        let digit = |power: u32| letters[usize::try_from(serial / power % 10).unwrap()];
        let ending: String = [10_000, 1000, 100, 10, 1].into_iter().map(digit).collect();
        format!("a-{ending}")
    };
    let disk = Disk::new();
    keep(&disk, (1..=ALL).map(|serial| queued(&slug(serial), serial, u64::from(serial))).collect())
        .await;
    let begun = Timestamp::now();
    let (mut before, mut seen) = (None, Vec::new());
    loop {
        let page = move |books: &orchestrator::store::Books<'_>| {
            books.page(before, 20, NonZeroU32::new(1000).unwrap())
        };
        let page = disk.store.write(page).await.unwrap();
        let Some(last) = page.last() else { break };
        before = Some(last.serial);
        seen.extend(page.iter().map(|bottle| bottle.serial));
    }
    let taken = Timestamp::now().duration_since(begun);
    println!("{ALL} bottles in {} ms, by a program that is not optimised", taken.as_millis());
    assert!(seen.is_sorted_by(|a, b| a > b));
    assert_eq!(seen.iter().collect::<BTreeSet<_>>().len(), usize::try_from(ALL).unwrap());
}

#[tokio::test]
async fn the_latest_destroyed_bottles_are_listed_among_the_live_ones() {
    let disk = Disk::new();
    let letters = "bcdfghjkmn".chars().zip(1..);
    let bottle = |(letter, serial): (char, u32)| {
        let bottle = queued(&format!("a-{}", letter.to_string().repeat(5)), serial, serial.into());
        // 1, 3, 5, 7 and 9 are gone.
        if serial % 2 == 1 { gone(bottle, day(1), true) } else { bottle }
    };
    keep(&disk, letters.map(bottle).collect()).await;
    let page = async |before, recent, limit| {
        let limit = NonZeroU32::new(limit).unwrap();
        let page = disk.store.write(move |books| books.page(before, recent, limit)).await.unwrap();
        page.into_iter().map(|bottle| bottle.serial).collect::<Vec<_>>()
    };
    assert_eq!(page(None, 2, 100).await, [10, 9, 8, 7, 6, 4, 2]);
    assert_eq!(page(None, 2, 3).await, [10, 9, 8]);
    assert_eq!(page(Some(8), 2, 3).await, [7, 6, 4], "the same two on every page");
    assert_eq!(page(Some(4), 2, 3).await, [2]);
    assert!(page(Some(2), 2, 3).await.is_empty());
    assert_eq!(page(None, 0, 100).await, [10, 8, 6, 4, 2]);
}
