//! Whose turn it is when slots are free.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use orchestrator_core::{
    bottle::{Bottle, Rights, State, Tier},
    slots::{Turn, Turns, admit},
    timing::Timing,
};
use proptest::{collection::vec, prelude::*};

use crate::support::{Life, at, comment, exited, in_state, name, prompt, reported, run, waking};

/// The serials of those that are given a slot now.
fn granted(bottles: &[Bottle], slots: u32, turns: &Turns) -> Vec<u32> {
    let admitted = admit(bottles.iter(), slots, turns, &Timing::default(), at(0));
    admitted
        .iter()
        .map(|turn| match turn {
            Turn::Grant(bottle) => bottle.serial,
            Turn::Look(bottle) => panic!("{} was looked at", bottle.slug),
        })
        .collect()
}

/// A bottle of some kind that came at some second, the last two of which use a slot.
fn of_kind(serial: u32, (repo, kind, seconds): (u8, u8, i64)) -> Bottle {
    let since = at(seconds);
    let failed = |retry| State::Failed { reason: String::new(), since, retry };
    let frozen = |held| State::Frozen { tier: Tier::Cold, since, ending: reported(), held };
    let state = match kind {
        0 => State::Queued { since },
        1 => frozen(false),
        2 => frozen(true),
        3 => failed(false),
        4 => failed(true),
        5 => State::Starting(waking(1, 0, None)),
        _ => State::Running { run: run(1), since, last_news: since, done: None },
    };
    let mut bottle = Bottle {
        serial,
        waiting: vec![prompt("waits")],
        rights: Rights::Seen { at: at(0) },
        ..in_state(state)
    };
    bottle.home.repo = name(&format!("team/project{repo}"));
    bottle
}

fn queued_in(repo: u8, serials: std::ops::Range<u32>) -> Vec<Bottle> {
    serials.map(|serial| of_kind(serial, (repo, 0, i64::from(serial)))).collect()
}

proptest! {
    #[test]
    fn slots_are_filled_fairly(
        kinds in vec((0..4_u8, 0..7_u8, 0..5_i64), 0..16),
        slots in 0..6_u32,
    ) {
        let bottles: Vec<Bottle> = (1..).zip(kinds).map(|(serial, kind)| of_kind(serial, kind)).collect();
        let chosen = granted(&bottles, slots, &Turns::default());
        let used = bottles.iter().filter(|bottle| bottle.uses_slot()).count();
        let wants = |bottle: &&Bottle| bottle.wants_slot_since().is_some();
        let free = (slots as usize).saturating_sub(used);
        prop_assert_eq!(chosen.len(), bottles.iter().filter(wants).count().min(free));

        let is_chosen = |bottle: &&Bottle| chosen.contains(&bottle.serial);
        let mut awake = BTreeMap::<_, usize>::new();
        for bottle in bottles.iter().filter(|bottle| bottle.uses_slot() || is_chosen(bottle)) {
            *awake.entry(&bottle.home.repo).or_default() += 1;
        }
        let order = |bottle: &Bottle| (bottle.wants_slot_since(), bottle.serial);
        for left_out in bottles.iter().filter(wants).filter(|bottle| !is_chosen(bottle)) {
            for first in bottles.iter().filter(is_chosen) {
                if first.home.repo == left_out.home.repo {
                    prop_assert!(order(first) < order(left_out), "asked later, served first");
                }
                let (theirs, own) = (awake[&first.home.repo], awake.get(&left_out.home.repo));
                prop_assert!(theirs <= own.copied().unwrap_or(0) + 1, "more than their share");
            }
        }
    }

    // A repository is passed over by each other at most once before it is served.
    #[test]
    fn repositories_take_turns(
        waiting in vec(1..12_u32, 2..6),
        slots in 1..3_u32,
    ) {
        let mut bottles: Vec<Bottle> = Vec::new();
        for (repo, count) in (0_u8..).zip(&waiting) {
            let first = u32::try_from(bottles.len()).unwrap() + 1;
            bottles.extend(queued_in(repo, first..first + count));
        }
        let mut turns = Turns::default();
        let mut served = BTreeMap::<_, u32>::new();
        while bottles.iter().any(|bottle| bottle.wants_slot_since().is_some()) {
            let before = bottles.len();
            for serial in granted(&bottles, slots, &turns) {
                let index = bottles.iter().position(|bottle| bottle.serial == serial).unwrap();
                let repo = bottles.remove(index).home.repo;
                turns.serve(&repo);
                *served.entry(repo).or_default() += 1;
            }
            prop_assert!(bottles.len() < before, "nobody is served");
            let left = |bottle: &Bottle| served.get(&bottle.home.repo).copied().unwrap_or(0);
            let most = served.values().max().copied().unwrap_or(0);
            for waits in &bottles {
                prop_assert!(most <= left(waits) + 1, "{} starves", waits.home.repo);
            }
        }
    }
}

#[test]
fn one_repository_with_fifty_issues_does_not_starve_another() {
    let mut bottles = queued_in(0, 1..51);
    bottles.extend(queued_in(1, 51..52));
    let mut turns = Turns::default();
    let mut order = Vec::new();
    for _ in 0..4 {
        let serial = granted(&bottles, 1, &turns)[0];
        let index = bottles.iter().position(|bottle| bottle.serial == serial).unwrap();
        turns.serve(&bottles.remove(index).home.repo);
        order.push(serial);
    }
    assert_eq!(order, [1, 51, 2, 3]);
    let both = [queued_in(0, 1..51), queued_in(1, 51..52)].concat();
    assert_eq!(granted(&both, 4, &Turns::default()), [1, 51, 2, 3], "also at once");
}

#[test]
fn who_has_most_awake_comes_last() {
    let mut bottles = queued_in(0, 1..3);
    bottles.push(of_kind(3, (0, 6, 0)));
    bottles.extend(queued_in(1, 10..12));
    assert_eq!(granted(&bottles, 2, &Turns::default()), [10]);
}

#[test]
fn a_turn_goes_by_the_request_and_not_by_the_sleep() {
    let mut early = Life::running();
    early.tell(exited(1, 0)).tell(orchestrator_core::event::Event::Asleep { tier: Tier::Hot });
    early.now = at(500);
    early.tell(comment(5));
    early.now = at(900);
    early.tell(comment(6));
    assert_eq!(early.bottle.wants_slot_since(), Some(at(500)), "the first request counts");
    early.bottle.rights = Rights::Seen { at: at(0) };
    let mut late = early.bottle.clone();
    (late.serial, late.asked_at) = (2, Some(at(400)));
    assert_eq!(granted(&[early.bottle, late], 1, &Turns::default()), [2]);
}

#[test]
fn records_of_before_are_read_and_wait_since_they_sleep() {
    let before = of_kind(1, (0, 1, 7));
    let record = serde_json::to_value(&before).unwrap();
    let fields = record.as_object().unwrap();
    let new = ["asked_at", "rights", "starved_at", "claims"];
    assert!(new.iter().all(|field| fields.contains_key(*field)));
    let old: serde_json::Map<_, _> =
        fields.iter().filter(|(key, _)| !new.contains(&key.as_str())).map(clone).collect();
    let read: Bottle = serde_json::from_value(old.into()).unwrap();
    assert_eq!((read.wants_slot_since(), read.rights), (Some(at(7)), Rights::Unknown {}));
}

fn clone((key, value): (&String, &serde_json::Value)) -> (String, serde_json::Value) {
    (key.clone(), value.clone())
}

#[test]
fn turns_outlive_the_daemon() {
    let mut turns = Turns::default();
    turns.serve(&name("team/project0"));
    let kept: Turns = serde_json::from_str(&serde_json::to_string(&turns).unwrap()).unwrap();
    assert_eq!(kept, turns);
    let bottles = [queued_in(0, 1..2), queued_in(1, 2..3)].concat();
    assert_eq!(granted(&bottles, 1, &kept), [2]);
}

#[test]
fn a_look_that_is_too_old_is_repeated_and_its_slot_is_kept() {
    let timing = Timing::default();
    let mut bottles = queued_in(0, 1..4);
    let late = at(0) + SignedDuration::from_mins(1);
    let turns = |bottles: &[Bottle]| -> Vec<String> {
        let all = admit(bottles.iter(), 2, &Turns::default(), &timing, late);
        all.iter()
            .map(|turn| match turn {
                Turn::Grant(bottle) => format!("grant {}", bottle.serial),
                Turn::Look(bottle) => format!("look {}", bottle.serial),
            })
            .collect()
    };
    assert_eq!(turns(&bottles), ["look 1", "look 2"]);
    bottles[0].rights = Rights::Asked { at: late };
    bottles[1].rights = Rights::Seen { at: late };
    bottles[2].rights = Rights::Seen { at: late };
    assert_eq!(turns(&bottles), ["grant 2"], "one slot is kept for the first");
    bottles[0].rights = Rights::Overdue {};
    assert_eq!(
        turns(&bottles),
        ["grant 2", "grant 3"],
        "a forge that does not answer blocks nobody"
    );
    bottles[0].rights = Rights::Unknown {};
    bottles[0].home.issue = None;
    bottles[0].pull_requests = vec![];
    assert_eq!(turns(&bottles), ["grant 1", "grant 2"], "nothing on the forge says otherwise");
}
