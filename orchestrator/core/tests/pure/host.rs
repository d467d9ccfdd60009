//! What a host under pressure does without.

use orchestrator_core::{
    bottle::{Bottle, Ending, State, Tier},
    event::{Effect, Event},
    host::{Host, HostLimits, Lack, admits, cool},
    timing::Timing,
};
use proptest::{collection::vec, prelude::*};
use protocol::ids::Slug;

use crate::support::{Life, at, frozen, name, prompt, reported};

/// Where nothing is short.
fn roomy() -> Host {
    Host {
        disk_free: Some(1 << 40),
        disk_path: "/var/lib/bot-bottle".to_owned(),
        memory_available: Some(1 << 40),
        descriptors_free: Some(100_000),
        watches_free: Some(100_000),
    }
}

fn short_of_memory() -> Host {
    Host { memory_available: Some(1 << 20), ..roomy() }
}

/// Hot bottles that fell asleep at these seconds.
fn hot(seconds: &[i64]) -> Vec<Bottle> {
    let bottle = |(serial, since): (u32, &i64)| {
        let state =
            State::Frozen { tier: Tier::Hot, since: at(*since), ending: reported(), held: false };
        let slug = name(&format!("implementer-{serial:05}"));
        Bottle { slug, serial, ..crate::support::in_state(state) }
    };
    (1..).zip(seconds).map(bottle).collect()
}

fn cooled(bottles: &[Bottle], host: &Host, hot_max: u32, now: i64) -> Vec<Slug> {
    let limits = HostLimits { hot_max, ..HostLimits::default() };
    cool(bottles, host, &limits, &Timing::default(), at(now))
}

fn slugs(serials: &[u32]) -> Vec<Slug> {
    serials.iter().map(|serial| name(&format!("implementer-{serial:05}"))).collect()
}

// CASES 171, 180: the sentence has the place and the figures.
#[test]
fn a_host_without_room_starts_nothing_and_says_what_is_missing() {
    let limits = HostLimits::default();
    assert_eq!(admits(&roomy(), &limits), Ok(()));
    let sentences: Vec<String> = [
        Host { disk_free: Some(1000), ..roomy() },
        short_of_memory(),
        Host { descriptors_free: Some(3), ..roomy() },
        Host { watches_free: Some(0), ..roomy() },
    ]
    .iter()
    .map(|host| admits(host, &limits).unwrap_err().to_string())
    .collect();
    insta::assert_snapshot!("lacks", sentences.join("\n"));
}

#[test]
fn what_cannot_be_measured_refuses_nothing() {
    assert_eq!(admits(&Host::default(), &HostLimits::default()), Ok(()));
    assert_eq!(cooled(&hot(&[0, 1, 2]), &Host::default(), 16, 10), []);
}

#[test]
fn a_floor_is_the_last_value_that_is_enough() {
    let limits = HostLimits::default();
    let with = |free| Host { disk_free: Some(free), ..roomy() };
    assert_eq!(admits(&with(limits.disk_floor), &limits), Ok(()));
    let path = roomy().disk_path;
    let lack = Lack::Disk { path, free: limits.disk_floor - 1, floor: limits.disk_floor };
    assert_eq!(admits(&with(limits.disk_floor - 1), &limits), Err(lack));
}

#[test]
fn above_their_number_the_longest_asleep_cool_first() {
    let bottles = hot(&[30, 10, 20]);
    assert_eq!(cooled(&bottles, &roomy(), 3, 40), []);
    assert_eq!(cooled(&bottles, &roomy(), 1, 40), slugs(&[2, 3]));
    assert_eq!(cooled(&bottles, &roomy(), 0, 40), slugs(&[2, 3, 1]));
}

#[test]
fn one_measurement_of_short_memory_costs_one_bottle() {
    let mut bottles = hot(&[30, 10, 20]);
    assert_eq!(cooled(&bottles, &short_of_memory(), 16, 40), slugs(&[2]));
    assert_eq!(
        cooled(&bottles, &short_of_memory(), 2, 40),
        slugs(&[2]),
        "which is enough for both"
    );
    bottles.remove(1);
    assert_eq!(cooled(&bottles, &short_of_memory(), 16, 40), slugs(&[3]), "the next one the next");
}

#[test]
fn whose_time_is_over_goes_first_and_counts() {
    let bottles = hot(&[-3600, 10, 20]);
    assert_eq!(cooled(&bottles, &roomy(), 16, 0), slugs(&[1]));
    assert_eq!(cooled(&bottles, &short_of_memory(), 16, 0), slugs(&[1]), "it gives memory back");
}

#[test]
fn who_is_about_to_wake_cools_last() {
    let mut bottles = hot(&[10, 20]);
    bottles[0].waiting = vec![prompt("waits")];
    assert_eq!(cooled(&bottles, &roomy(), 1, 30), slugs(&[2]));
}

proptest! {
    #[test]
    fn only_as_many_cool_as_needed(
        since in vec(0..3000_i64, 0..20),
        hot_max in 0..20_u32,
        short: bool,
    ) {
        let bottles = hot(&since);
        let host = if short { short_of_memory() } else { roomy() };
        let cooled = cooled(&bottles, &host, hot_max, 3000);
        let surplus = since.len().saturating_sub(hot_max as usize);
        let wanted = surplus.max(usize::from(short)).min(since.len());
        prop_assert_eq!(cooled.len(), wanted);
        let since_of = |slug: &Slug| bottles.iter().find(|b| b.slug == *slug).map(|b| {
            (timing_base(b), b.serial)
        });
        let oldest: Vec<_> = cooled.iter().map(since_of).collect();
        prop_assert!(oldest.is_sorted());
        for bottle in bottles.iter().filter(|bottle| !cooled.contains(&bottle.slug)) {
            let stays = Some((timing_base(bottle), bottle.serial));
            prop_assert!(oldest.iter().all(|cools| *cools < stays));
        }
    }
}

fn timing_base(bottle: &Bottle) -> jiff::Timestamp {
    match bottle.state {
        State::Frozen { since, .. } => since,
        _ => panic!("not frozen"),
    }
}

#[test]
fn only_hot_bottles_cool() {
    let mut others = [Life::running().bottle, Life::starting().bottle, crate::support::queued()];
    others[0].serial = 7;
    let cold = frozen(Tier::Cold, reported(), false);
    let all = [&others[..], &[cold]].concat();
    assert_eq!(cooled(&all, &short_of_memory(), 0, 1_000_000), []);
}

#[test]
fn cooling_for_the_host_keeps_all_but_the_tier() {
    for held in [false, true] {
        let mut life = Life::of(frozen(Tier::Hot, Ending::Halted {}, held));
        life.bottle.waiting = vec![prompt("waits")];
        let before = life.bottle.clone();
        life.tell(Event::Cool {});
        assert_eq!(life.pending, Some(Effect::Sleep { tier: Tier::Cold }));
        assert!(life.shown().starts_with("frozen: cold"));
        assert_eq!(life.bottle.waiting, before.waiting);
        assert_eq!(life.bottle.wants_slot_since().is_some(), !held, "who was held stays so");
        life.tell(Event::Cool {});
        assert_eq!(life.ignored, Some("it sleeps that deep already"));
    }
}
