//! What a bottle may still do when its turn comes, and what its sidecar only claims.

use orchestrator_core::{
    bottle::{Bottle, Prompt, Reason, Rights, State, Tier},
    event::{Effect, Event, News},
    step::{broken, step},
    timing::Timing,
};

use crate::support::{
    Life, at, awaken_failed, awoken, cancel, comment, done, exited, name, news, number, prompt,
    pulls, queued, rights_lost, said, sleep_failed, typed,
};

// TH25: closed, unlabelled or unassigned while it slept.
#[test]
fn a_bottle_that_lost_its_right_while_it_slept_ends_instead_of_waking() {
    for reason in [Reason::IssueClosed, Reason::Unlabelled, Reason::Unassigned, Reason::PullGone] {
        let mut life = Life::frozen();
        life.tell(comment(5)).tell(Event::LookAsked {});
        assert_eq!(life.bottle.rights, Rights::Asked { at: at(0) });
        life.tell(cancel(reason));
        assert_eq!(life.pending, Some(Effect::Remove {}));
        assert_eq!(life.bottle.wants_slot_since(), None);
        assert!(life.shown().contains(reason.sentence()), "{}", life.shown());
    }
}

// TH25: who said it may not write any more.
#[test]
fn what_waits_is_told_only_if_its_author_may_still_say_it() {
    let mut life = Life::frozen();
    life.tell(comment(5)).tell(typed("go on")).tell(comment(6)).tell(Event::LookAsked {});
    life.tell(rights_lost(&[5])).tell(Event::Seen {}).tell(Event::SlotGranted {});
    assert_eq!(life.told(), ["go on", "comment 6"]);
}

#[test]
fn a_bottle_with_nothing_left_to_be_told_sleeps_on() {
    let mut life = Life::frozen();
    let asleep = life.bottle.state.clone();
    life.tell(comment(5)).tell(Event::LookAsked {}).tell(rights_lost(&[5]));
    assert_eq!((&life.bottle.state, &life.pending), (&asleep, &None));
    assert_eq!((life.bottle.asked_at, life.bottle.rights), (None, Rights::Unknown {}));
    life.tell(Event::Seen {});
    assert_eq!(life.ignored, Some("it does not wait for a slot"));
    life.tell(comment(5));
    assert_eq!(
        life.ignored,
        Some("it has been told already"),
        "a right given back changes nothing"
    );
    life.now = at(70);
    life.tell(comment(6));
    assert_eq!(life.bottle.wants_slot_since(), Some(at(70)));
}

#[test]
fn a_failed_bottle_tries_again_only_for_those_who_may_ask() {
    let mut life = Life::frozen();
    life.tell(comment(5)).tell(Event::SlotGranted {});
    assert_eq!(life.bottle.authors(), [&name("bob")].into(), "a waking that fails puts them back");
    life.tell(awaken_failed(2, false)).tell(comment(6)).tell(rights_lost(&[5, 6]));
    assert!(matches!(life.bottle.state, State::Failed { retry: false, .. }), "{}", life.shown());
    life.tell(typed("try again")).tell(Event::Seen {}).tell(Event::SlotGranted {});
    assert_eq!(life.told(), ["try again"]);
}

#[test]
fn what_came_on_the_way_to_a_failure_tries_again_once() {
    let mut starting = Life::starting();
    starting.tell(comment(5)).tell(awaken_failed(1, false));
    let mut freezing = Life::running();
    freezing.tell(done(1)).tell(exited(1, 0)).tell(comment(5));
    for n in 0..5 {
        freezing.wait(3600 * n).tell(Event::Tick {}).tell(sleep_failed());
    }
    for life in [&mut starting, &mut freezing] {
        assert!(matches!(life.bottle.state, State::Failed { retry: true, .. }), "{}", life.shown());
        life.tell(Event::Seen {}).tell(Event::SlotGranted {}).tell(awaken_failed(2, false));
        assert!(
            matches!(life.bottle.state, State::Failed { retry: false, .. }),
            "{}",
            life.shown()
        );
    }
}

#[test]
fn what_a_run_was_given_stays_and_what_came_since_waits_for_its_own_look() {
    for mut life in [Life::starting(), Life::running()] {
        life.tell(comment(5)).tell(rights_lost(&[5]));
        assert_eq!(life.ignored, Some("it has its slot already"));
        assert_eq!(life.bottle.waiting, [said(5)]);
    }
}

#[test]
fn a_prompt_of_an_old_record_is_read() {
    let old: Prompt = serde_json::from_str(r#"{"source":"a test","text":"waits"}"#).unwrap();
    assert_eq!(old, prompt("waits"));
    let new: Prompt = serde_json::from_str(&serde_json::to_string(&said(5)).unwrap()).unwrap();
    assert_eq!(new, said(5));
}

#[test]
fn a_forge_that_does_not_answer_costs_the_slot_and_not_the_request() {
    let mut life = Life::frozen();
    life.tell(comment(5)).tell(Event::LookAsked {}).wait(9);
    assert_eq!(life.bottle.rights, Rights::Asked { at: at(0) });
    life.wait(1);
    assert_eq!(life.bottle.rights, Rights::Overdue {});
    assert!(life.shown().starts_with("frozen: hot"), "its own deadline is another matter");
    assert!(life.bottle.wants_slot_since().is_some());
    life.wait(3600);
    assert!(life.shown().starts_with("frozen: cold"));
    life.tell(Event::Seen {}).tell(Event::SlotGranted {});
    assert_eq!((life.word(), life.bottle.rights), ("rehydrating", Rights::Unknown {}));
}

#[test]
fn what_is_asked_after_a_hold_is_looked_at_anew() {
    let mut life = Life::frozen();
    life.tell(Event::Seen {});
    assert_eq!(life.ignored, Some("it does not wait for a slot"));
    life.tell(comment(5)).tell(Event::LookAsked {}).wait(10);
    life.tell(Event::Freeze { tier: Tier::Cold }).tell(comment(6));
    assert_eq!(life.bottle.rights, Rights::Unknown {});
}

#[test]
fn a_queued_bottle_waits_for_the_forge_in_the_same_way() {
    let mut life = Life::of(queued());
    life.tell(Event::LookAsked {}).wait(10);
    assert_eq!((life.word(), life.bottle.rights), ("queued", Rights::Overdue {}));
    life.wait(10);
    assert_eq!(life.ignored, Some("it waits for a slot, not for time"));
}

// CASES 130, 179: each waking brings a nonce of its own, and what was written under the last one is
// not the new run's.
#[test]
fn each_waking_brings_a_new_nonce() {
    let mut life = Life::frozen();
    let first = life.bottle.nonce.clone();
    life.tell(comment(5)).tell(Event::SlotGranted {});
    let nonce = name("00000000000000cc");
    life.tell(Event::Awoken { run: crate::support::run(2), nonce });
    assert_ne!(life.bottle.nonce, first);
    life.tell(awoken(1));
    assert_eq!(life.bottle.nonce, Some(name("00000000000000cc")), "a late answer of the first");
    for late in [done(1), exited(1, 0), news(1, News::Alive {})] {
        let before = life.bottle.clone();
        life.tell(late);
        assert_eq!((&life.bottle, life.ignored), (&before, Some("the run is over")));
    }
}

#[test]
fn what_the_forge_confirmed_stays_confirmed() {
    let mut life = Life::running();
    life.tell(news(1, News::PrOpened { number: number(18) })).tell(pulls(&[18], &[]));
    life.tell(pulls(&[], &[18, 44]));
    assert_eq!(life.bottle.pull_requests, [number(18)]);
    assert_eq!(life.ignored, Some("it is known"), "and nobody claimed 44");
}

// Found by its branch, whatever was claimed before.
#[test]
fn a_pull_request_of_its_branch_counts_without_a_claim() {
    let mut life = Life::running();
    life.tell(news(1, News::PrOpened { number: number(18) })).tell(pulls(&[], &[18]));
    assert_eq!(
        (&life.bottle.pull_requests[..], life.bottle.looks_at()),
        (&[][..], Some(number(17)))
    );
    life.tell(pulls(&[18, 19], &[]));
    assert_eq!(life.bottle.pull_requests, [number(18), number(19)]);
    assert_eq!(life.bottle.claims.refuted, []);
}

#[test]
fn a_request_that_comes_after_a_hold_counts_from_then() {
    let mut life = Life::frozen();
    life.tell(comment(5)).tell(Event::Freeze { tier: Tier::Cold });
    life.now = at(700);
    life.tell(comment(6));
    assert_eq!(life.bottle.wants_slot_since(), Some(at(700)));
}

#[test]
fn what_waits_is_kept_when_a_run_dies() {
    let mut life = Life::running();
    life.tell(comment(5)).tell(crate::support::died()).tell(Event::Asleep { tier: Tier::Cold });
    assert!(life.bottle.wants_slot_since().is_some());
    life.tell(Event::SlotGranted {});
    assert_eq!(life.told(), ["comment 5"]);
}

#[test]
fn what_people_wrote_is_not_printed_for_debugging() {
    let secret = Prompt {
        source: "comment by bob".to_owned(),
        text: "our password".to_owned(),
        saying: None,
    };
    let bottle = Bottle { waiting: vec![secret.clone()], ..queued() };
    let wake = Event::Wake { prompts: vec![secret.clone()], heard: vec![] };
    let mut life = Life::of(bottle.clone());
    life.tell(Event::SlotGranted {});
    let printed = format!("{secret:?} {wake:?} {bottle:?} {:?} {:?}", life.pending, life.bottle);
    assert!(!printed.contains("password"), "{printed}");
    assert!(printed.contains("comment by bob") && printed.contains("bytes: 12"), "{printed}");
}

// CASES 159: a fault of ours stops one bottle, with its files and all that waits.
#[test]
fn a_broken_decision_fails_the_bottle_and_keeps_what_waits() {
    let mut starting = Life::starting();
    starting.tell(comment(5));
    let mut running = Life::running();
    running.tell(comment(5));
    let mut frozen = Life::frozen();
    frozen.tell(comment(5));
    for (life, waits) in [(starting, 2), (running, 1), (frozen, 1), (Life::of(queued()), 1)] {
        let taken = broken(&life.bottle, "index out of bounds", at(9));
        assert_eq!(taken.effects, [Effect::Sleep { tier: Tier::Cold }]);
        let detail = taken.next.detail();
        assert!(detail.starts_with("a fault in bot-bottle: index out of bounds"), "{detail}");
        assert_eq!(taken.next.waiting.len(), waits);
        assert_eq!(taken.next.wants_slot_since(), None, "it does not try again by itself");
        let again = broken(&taken.next, "again", at(9));
        assert!(again.ignored.is_some() && again.effects.is_empty(), "no loop");
        let typed = Event::Wake { prompts: vec![prompt("try")], heard: vec![] };
        let retried = step(&taken.next, &typed, at(10), &Timing::default()).unwrap();
        assert!(retried.next.wants_slot_since().is_some(), "people may ask again");
    }
    let mut gone = Life::frozen();
    gone.tell(cancel(Reason::Merged));
    assert_eq!(broken(&gone.bottle, "x", at(9)).next, gone.bottle);
}
