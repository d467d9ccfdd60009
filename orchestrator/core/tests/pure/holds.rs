//! What an operator puts to sleep stays asleep until something new is said.

use orchestrator_core::{
    bottle::{Heard, Tier},
    event::{Effect, Event},
};

use crate::support::{Life, comment, done, exited};

const COLD: Event = Event::Asleep { tier: Tier::Cold };
const SLEEP_COLD: Option<Effect> = Some(Effect::Sleep { tier: Tier::Cold });
const FREEZE: Event = Event::Freeze { tier: Tier::Cold };

#[test]
fn an_operators_freeze_holds_until_something_new_is_said() {
    let mut life = Life::running();
    life.tell(comment(5)).tell(FREEZE);
    assert_eq!(life.pending, SLEEP_COLD);
    life.tell(COLD);
    assert_eq!(
        life.shown(),
        "frozen: cold, incomplete: put to sleep by an operator or the kill switch"
    );
    assert_eq!(life.bottle.wants_slot_since(), None, "comment 5 was there before");
    life.tell(Event::Wake { prompts: vec![], heard: vec![Heard::Comment(6)] }).tell(comment(5));
    assert_eq!(life.bottle.wants_slot_since(), None, "nothing new for the agent");
    life.tell(comment(7)).tell(Event::SlotGranted {});
    assert_eq!(life.told(), ["comment 5", "comment 7"]);
}

#[test]
fn a_late_word_does_not_lift_an_operators_freeze() {
    for slept in [false, true] {
        let mut life = Life::running();
        life.tell(comment(5)).tell(FREEZE);
        if slept {
            life.tell(COLD).tell(done(1));
        } else {
            life.tell(done(1)).tell(COLD);
        }
        assert_eq!(life.bottle.wants_slot_since(), None, "slept before: {slept}");
        assert_eq!(life.shown(), "frozen: cold, success: it works");
    }
}

#[test]
fn an_operators_freeze_does_not_take_the_agents_word_away() {
    let mut life = Life::running();
    life.tell(comment(5)).tell(done(1)).tell(FREEZE).tell(COLD);
    assert_eq!(life.shown(), "frozen: cold, success: it works");
    assert_eq!(life.bottle.wants_slot_since(), None);
}

#[test]
fn what_is_said_while_it_falls_asleep_wakes_it() {
    let mut life = Life::running();
    life.tell(FREEZE).tell(comment(5)).tell(COLD);
    assert!(life.bottle.wants_slot_since().is_some());
}

#[test]
fn a_bottle_that_is_falling_asleep_can_be_held_too() {
    for tier in [Tier::Hot, Tier::Cold] {
        let mut life = Life::running();
        life.tell(comment(5)).tell(exited(1, 0)).tell(Event::Freeze { tier });
        assert_eq!(life.pending, Some(Effect::Sleep { tier }));
        life.tell(Event::Asleep { tier });
        assert_eq!(life.bottle.wants_slot_since(), None, "{tier:?}");
    }
}

#[test]
fn a_sleeping_bottle_that_is_frozen_does_not_wake_for_what_waits() {
    for tier in [Tier::Hot, Tier::Cold] {
        let mut life = Life::frozen();
        life.tell(comment(5)).tell(Event::Freeze { tier });
        assert_eq!(life.bottle.wants_slot_since(), None, "{tier:?}");
        life.tell(comment(6));
        assert!(life.bottle.wants_slot_since().is_some(), "{tier:?}");
    }
}

#[test]
fn cooling_keeps_the_operators_hold() {
    let mut life = Life::frozen();
    life.tell(comment(5)).tell(Event::Freeze { tier: Tier::Hot }).wait(3600);
    assert_eq!((life.bottle.wants_slot_since(), life.pending.clone()), (None, SLEEP_COLD));
}
