//! A wall clock that jumps.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use orchestrator_core::{
    bottle::{Rights, State, Tier},
    clock::{Reading, jump, shift},
    event::{Event, News},
    timing::Timing,
};
use proptest::prelude::*;

use crate::support::{Life, at, awaken_failed, comment, done, in_state, news, waking};

const HOUR: SignedDuration = SignedDuration::from_hours(1);
const DAY: SignedDuration = SignedDuration::from_hours(24);

fn reading(wall: i64, steady_ms: u64) -> Reading {
    Reading { wall: at(wall), steady: Duration::from_millis(steady_ms) }
}

/// The clock jumps, and the daemon sees it.
fn jumped(life: &mut Life, by: SignedDuration) {
    life.now += by;
    life.tell(Event::ClockJumped { by });
}

#[test]
fn a_jump_is_what_one_clock_did_and_the_other_did_not() {
    let start = reading(0, 0);
    assert_eq!(jump(start, reading(3600, 3_600_000)), None);
    assert_eq!(jump(start, reading(11, 10_000)), None, "a correction");
    assert_eq!(jump(start, reading(3610, 10_000)), Some(HOUR));
    assert_eq!(jump(start, reading(10 - 3600, 10_000)), Some(-HOUR));
    assert_eq!(jump(start, reading(24 * 3600, 0)), Some(DAY), "the host slept for a day");
    let end = Reading { wall: Timestamp::MAX, steady: Duration::MAX };
    assert_eq!(jump(start, end), None, "no reading breaks it");
}

// CASES 157: set back by an hour, ahead by a day, or asleep that long: waits last as long as before.
#[test]
fn a_jump_of_the_clock_moves_no_deadline() {
    for by in [-HOUR, DAY] {
        let mut life = Life::running();
        life.wait(29 * 60);
        jumped(&mut life, by);
        life.wait(59);
        assert_eq!(life.word(), "running", "{by:?}: the watchdog comes too early");
        life.wait(1);
        assert_eq!(life.word(), "freezing", "{by:?}: the watchdog comes too late");

        let mut life = Life::running();
        life.tell(done(1));
        jumped(&mut life, by);
        life.wait(9);
        assert_eq!(life.word(), "running", "{by:?}");
        life.wait(1);
        assert_eq!(life.word(), "freezing", "{by:?}");

        let mut life = Life::frozen();
        jumped(&mut life, by);
        life.wait(3599);
        assert!(life.shown().starts_with("frozen: hot"), "{by:?}");
        life.wait(1);
        assert!(life.shown().starts_with("frozen: cold"), "{by:?}");

        let mut life = Life::starting();
        life.tell(awaken_failed(1, true));
        jumped(&mut life, by);
        life.wait(0);
        assert_eq!(life.pending, None, "{by:?}");
        life.wait(1);
        assert!(life.pending.is_some(), "{by:?}");
    }
}

// CASES 157
#[test]
fn a_jump_that_nobody_saw_makes_nobody_wait_for_years() {
    let year = SignedDuration::from_hours(365 * 24);
    let mut life = Life::running();
    life.now -= year;
    life.tell(Event::ClockJumped { by: SignedDuration::ZERO }).wait(30 * 60);
    assert_eq!(life.word(), "freezing");
    let mut life = Life::starting();
    life.tell(awaken_failed(1, true));
    life.now -= year;
    life.tell(Event::ClockJumped { by: SignedDuration::ZERO }).wait(5 * 60);
    assert!(life.pending.is_some());
}

#[test]
fn what_has_no_deadline_is_left_alone() {
    let mut life = Life::of(in_state(State::Starting(waking(2, 0, None))));
    life.bottle.rights = Rights::Unknown {};
    life.tell(Event::ClockJumped { by: DAY });
    assert_eq!(life.ignored, Some("it is known"));
}

proptest! {
    // There and back again is where it was, as long as nothing lay in the future.
    #[test]
    fn a_jump_that_is_taken_back_changes_nothing(seconds in 1..10_000_000_i64, kind in 0..5_u8) {
        let mut life = match kind {
            0 => Life::starting(),
            1 => Life::running(),
            2 => Life::frozen(),
            3 => { let mut life = Life::starting(); life.tell(awaken_failed(1, true)); life }
            _ => { let mut life = Life::frozen(); life.tell(comment(5)); life }
        };
        let (before, by) = (life.bottle.clone(), SignedDuration::from_secs(seconds));
        let timing = Timing::default();
        let ahead = shift(&before, by, life.now + by, &timing);
        prop_assert_eq!(&shift(&ahead, -by, life.now, &timing), &before);
        let left = |bottle, now| timing.deadline(bottle).map(|deadline| deadline.duration_since(now));
        prop_assert_eq!(left(&ahead, life.now + by), left(&before, life.now), "time that is left");
        life.now += by;
        life.tell(Event::ClockJumped { by });
        prop_assert_eq!(&life.bottle, &ahead);
    }

    #[test]
    fn after_a_jump_no_deadline_is_further_than_the_longest_wait(
        by in -50_000_000..50_000_000_i64,
        elsewhere in -50_000_000..50_000_000_i64,
        kind in 0..4_u8,
    ) {
        let mut life = match kind {
            0 => Life::starting(),
            1 => Life::running(),
            2 => Life::frozen(),
            _ => { let mut life = Life::running(); life.tell(done(1)); life }
        };
        if kind == 0 {
            life.tell(awaken_failed(1, true));
        }
        life.now += SignedDuration::from_secs(elsewhere);
        life.tell(Event::ClockJumped { by: SignedDuration::from_secs(by) });
        let latest = life.now + HOUR;
        let deadline = life.timing.deadline(&life.bottle);
        prop_assert!(deadline.is_none_or(|deadline| deadline <= latest), "{deadline:?}");
    }
}

#[test]
fn news_after_a_jump_counts_from_then() {
    let mut life = Life::frozen();
    life.tell(comment(5)).tell(Event::SlotGranted {}).tell(crate::support::awoken(2));
    jumped(&mut life, -DAY);
    life.wait(60).tell(news(2, News::Alive {})).wait(30 * 60 - 1);
    assert_eq!(life.word(), "running");
    life.wait(1).tell(Event::Asleep { tier: Tier::Cold });
    assert_eq!(life.word(), "frozen");
}
