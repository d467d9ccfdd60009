//! Stories of a bottle's life, told over `step`.

use orchestrator_core::{
    bottle::{Ending, Heard, Reason, State, Tier},
    event::{Effect, Event, News},
};
use protocol::agent::DoneStatus;

use crate::support::{
    Life, at, awaken_failed, awoken, cancel, comment, died, done, drifted, exited, in_state, name,
    news, number, prompt, pulls, queued, run, sleep_failed, waking,
};

const HOT: Event = Event::Asleep { tier: Tier::Hot };
const COLD: Event = Event::Asleep { tier: Tier::Cold };
const SLEEP_HOT: Option<Effect> = Some(Effect::Sleep { tier: Tier::Hot });
const SLEEP_COLD: Option<Effect> = Some(Effect::Sleep { tier: Tier::Cold });

#[test]
fn an_issue_becomes_a_run_and_then_sleeps() {
    let mut life = Life::of(queued());
    assert_eq!(life.shown(), "queued: waits for a slot");
    life.tell(Event::SlotGranted {});
    assert_eq!((life.shown().as_str(), life.told()), ("starting: ", vec!["the issue"]));
    life.tell(awoken(1));
    assert_eq!(life.bottle.nonce, Some(name("00000000000000bb")));
    life.tell(news(1, News::PrOpened { number: number(18) })).tell(pulls(&[18], &[])).tell(done(1));
    assert_eq!(life.shown(), "running: run 1, done, exits");
    life.tell(exited(1, 0));
    assert_eq!((life.word(), life.pending.clone()), ("freezing", SLEEP_HOT));
    life.tell(HOT);
    assert_eq!(life.shown(), "frozen: hot, success: it works");
    assert_eq!(
        (life.bottle.pull_requests.clone(), life.bottle.waiting.len()),
        (vec![number(18)], 0)
    );
    assert_eq!(life.bottle.wants_slot_since(), None);
}

// TH12: a compromised sidecar must not make the daemon look after any number of pull requests.
#[test]
fn a_sidecar_that_tells_of_hundreds_of_pull_requests_is_not_believed() {
    let mut life = Life::running();
    for claimed in 18..500 {
        life.tell(news(1, News::PrOpened { number: number(claimed) }));
    }
    life.tell(exited(1, 0)).tell(news(1, News::PrOpened { number: number(600) }));
    assert_eq!(life.bottle.claims.open.len(), protocol::limits::PULL_REQUESTS_MAX);
    assert_eq!(
        life.bottle.pull_requests,
        [],
        "nor is one of them a right before the forge was asked"
    );
}

#[test]
fn the_first_word_of_a_run_counts() {
    let mut life = Life::running();
    let second = News::Done { status: DoneStatus::Failed, summary: "no, wait".to_owned() };
    life.tell(done(1)).tell(news(1, second)).tell(exited(1, 0)).tell(HOT);
    assert_eq!(life.shown(), "frozen: hot, success: it works");
}

#[test]
fn an_exit_without_a_word_leaves_the_record_incomplete() {
    let mut life = Life::running();
    life.tell(exited(1, 0)).tell(HOT);
    assert_eq!(life.shown(), "frozen: hot, incomplete: exited with 0 without signal_done");
}

// CASES 163: the exit is read before the word, which was written first.
#[test]
fn a_word_that_comes_after_the_exit_still_counts() {
    for slept in [false, true] {
        let mut life = Life::running();
        life.tell(exited(1, 0));
        if slept {
            life.tell(HOT).tell(done(1));
        } else {
            life.tell(done(1)).tell(HOT);
        }
        assert_eq!(life.shown(), "frozen: hot, success: it works", "slept before: {slept}");
    }
}

#[test]
fn silence_for_the_watchdogs_time_ends_the_run() {
    let mut life = Life::running();
    life.wait(29 * 60).tell(news(1, News::Alive {})).wait(30 * 60 - 1);
    assert_eq!(life.ignored, Some("no deadline is over"));
    life.wait(1);
    assert_eq!((life.word(), life.pending.clone()), ("freezing", SLEEP_COLD));
    life.tell(COLD);
    let shown = "frozen: cold, incomplete: no sign of life, stopped by the watchdog";
    assert_eq!(life.shown(), shown);
}

// CASES 130
#[test]
fn news_of_an_older_run_is_no_sign_of_life() {
    let mut life = Life::frozen();
    life.tell(comment(5)).tell(Event::SlotGranted {}).tell(awoken(2));
    life.wait(29 * 60).tell(news(1, News::Alive {})).tell(done(1)).tell(exited(1, 0));
    assert_eq!(life.shown(), "running: run 2");
    life.wait(60);
    assert_eq!(life.word(), "freezing");
}

// CASES 142: who said done and does not exit is stopped, and is not called silent.
#[test]
fn the_grace_time_ends_what_was_said_to_be_done() {
    let mut life = Life::running();
    life.tell(done(1)).wait(9).tell(news(1, News::Alive {})).wait(0);
    assert_eq!(life.word(), "running", "more news does not move the grace time");
    life.wait(1).tell(exited(1, 143)).tell(COLD);
    assert_eq!(life.shown(), "frozen: cold, success: it works");
}

#[test]
fn a_dead_container_ends_the_run_at_once() {
    let mut life = Life::running();
    life.tell(died());
    assert_eq!((life.word(), life.pending.clone()), ("freezing", SLEEP_COLD));
    life.tell(COLD);
    assert_eq!(life.shown(), "frozen: cold, incomplete: the sidecar is gone");
}

#[test]
fn death_after_done_is_no_failure() {
    let mut life = Life::running();
    life.tell(done(1)).tell(died()).tell(COLD);
    assert_eq!(life.shown(), "frozen: cold, success: it works");
}

#[test]
fn a_bottle_that_dies_on_its_way_to_hot_goes_cold() {
    let mut life = Life::running();
    life.tell(exited(1, 0)).tell(died());
    assert_eq!(life.pending, SLEEP_COLD);
    life.tell(HOT);
    assert_eq!(life.ignored, Some("it is to sleep deeper"));
    life.tell(COLD);
    assert_eq!(life.word(), "frozen");
}

#[test]
fn a_cancel_ends_every_state_for_good() {
    let running = |done| State::Running { run: run(2), since: at(0), last_news: at(0), done };
    let mut freezing = Life::running();
    freezing.tell(exited(1, 0));
    let mut failed = Life::starting();
    failed.tell(awaken_failed(1, false));
    let lives = [
        Life::of(queued()),
        Life::starting(),
        Life::running(),
        Life::of(in_state(running(None))),
        freezing,
        Life::frozen(),
        Life::of(in_state(State::Rehydrating(waking(2, 1, Some(4))))),
        failed,
    ];
    for mut life in lives {
        let before = life.shown();
        life.tell(comment(7)).tell(cancel(Reason::Unassigned));
        assert_eq!(life.shown(), "destroyed: unassigned, cleaning up", "after {before}");
        assert_eq!(life.pending, Some(Effect::Remove {}), "after {before}");
        assert_eq!((life.bottle.waiting.len(), &life.bottle.nonce), (0, &None), "after {before}");
        life.tell(comment(8)).tell(cancel(Reason::Merged)).tell(Event::Cleaned {});
        assert_eq!(life.shown(), "destroyed: unassigned", "after {before}");
        assert_eq!((life.pending.clone(), life.bottle.uses_slot()), (None, false));
    }
}

// CASES 142: what an agent did in its last moments.
#[test]
fn a_destroyed_bottle_still_learns_of_its_pull_request() {
    let mut life = Life::running();
    life.tell(cancel(Reason::Operator));
    life.tell(news(1, News::PrOpened { number: number(18) })).tell(done(1)).tell(exited(1, 0));
    life.tell(pulls(&[18], &[]));
    assert_eq!(life.shown(), "destroyed: by an operator, cleaning up");
    assert_eq!(life.bottle.pull_requests, [number(18)]);
}

#[test]
fn cleaning_up_is_tried_for_ever() {
    let mut life = Life::frozen();
    life.tell(cancel(Reason::Merged));
    for failures in 1..40_u32 {
        life.tell(Event::CleanFailed { error: "busy".to_owned() });
        assert_eq!(life.pending, None);
        life.wait(300);
        assert_eq!(life.pending, Some(Effect::Remove {}), "after {failures} failures");
    }
    life.tell(Event::Cleaned {});
    assert_eq!(life.shown(), "destroyed: pull request merged");
}

#[test]
fn starting_is_tried_five_times_then_fails_and_a_prompt_tries_again() {
    let mut life = Life::starting();
    for (attempt, seconds) in [(2, 1), (3, 2), (4, 4), (5, 8)] {
        life.tell(awaken_failed(1, true));
        assert_eq!(life.shown(), format!("starting: attempt {attempt}"));
        life.wait(seconds - 1);
        assert_eq!(life.pending, None, "attempt {attempt} begins too early");
        life.wait(1);
        assert_eq!(life.told(), ["the issue"]);
    }
    life.tell(awaken_failed(1, true));
    assert_eq!((life.shown().as_str(), life.pending.clone()), ("failed: no disk", SLEEP_COLD));
    assert_eq!((life.bottle.wants_slot_since(), life.bottle.uses_slot()), (None, false));
    life.tell(COLD).tell(comment(5));
    assert!(life.bottle.wants_slot_since().is_some());
    life.tell(Event::SlotGranted {});
    assert_eq!((life.word(), life.told()), ("rehydrating", vec!["the issue", "comment 5"]));
    assert_eq!(life.bottle.runs, 2, "a run number is used once");
}

#[test]
fn what_cannot_be_helped_fails_at_once() {
    let mut life = Life::starting();
    life.tell(comment(5)).tell(awaken_failed(1, false));
    assert_eq!(life.shown(), "failed: no disk");
    let waiting: Vec<&str> = life.bottle.waiting.iter().map(|p| p.text.as_str()).collect();
    assert_eq!(waiting, ["the issue", "comment 5"], "in the order in which they came");
}

// CASES 139, 140: the effect was done, its outcome was lost, it is repeated.
#[test]
fn a_run_whose_start_was_not_reported_goes_on() {
    let mut life = Life::starting();
    life.tell(news(1, News::Alive {}));
    assert_eq!(life.shown(), "running: run 1");
    assert!(matches!(life.pending, Some(Effect::Awaken { .. })), "still to be repeated");
    life.tell(awoken(1));
    assert_eq!((life.shown().as_str(), life.pending.clone()), ("running: run 1", None));
    assert_eq!(life.bottle.nonce, Some(name("00000000000000bb")));
}

#[test]
fn a_run_may_be_over_before_its_start_is_known() {
    let mut life = Life::starting();
    life.tell(done(1)).tell(exited(1, 0));
    assert_eq!((life.word(), life.pending.clone()), ("freezing", SLEEP_HOT));
    life.tell(awoken(1));
    assert_eq!(life.ignored, Some("its run has ended since"));
}

// CASES 145, 146, 172
#[test]
fn falling_asleep_is_tried_again_and_may_fail() {
    let mut life = Life::running();
    life.tell(exited(1, 0));
    for seconds in [1, 2, 4, 8] {
        life.tell(sleep_failed());
        assert_eq!((life.word(), life.pending.clone()), ("freezing", None));
        life.wait(seconds);
        assert_eq!(life.pending, SLEEP_HOT);
    }
    life.tell(sleep_failed());
    assert_eq!(life.shown(), "failed: no cgroup");
    life.tell(drifted());
    assert_eq!(life.pending, SLEEP_COLD, "reconciling stops what runs");
}

#[test]
fn a_hot_bottle_cools_after_its_hour() {
    let mut life = Life::frozen();
    life.wait(3599);
    assert_eq!(life.ignored, Some("no deadline is over"));
    life.wait(1);
    assert_eq!(life.shown(), "frozen: cold, success: it works");
    assert_eq!(life.pending, SLEEP_COLD);
    life.tell(sleep_failed()).tell(drifted());
    assert_eq!(life.pending, SLEEP_COLD, "reconciling repeats it");
    life.tell(COLD).wait(1_000_000);
    assert_eq!((life.word(), life.ignored), ("frozen", Some("no deadline is over")));
}

#[test]
fn a_comment_wakes_a_frozen_bottle_when_a_slot_is_free() {
    let mut life = Life::frozen();
    life.tell(comment(5)).tell(comment(6));
    assert_eq!(life.word(), "frozen");
    life.tell(Event::SlotGranted {});
    assert_eq!((life.word(), life.told()), ("rehydrating", vec!["comment 5", "comment 6"]));
    assert_eq!(life.bottle.current_run(), Some(run(2)));
}

#[test]
fn a_strangers_comment_is_heard_and_wakes_nobody() {
    let mut life = Life::frozen();
    life.tell(Event::Wake { prompts: vec![], heard: vec![Heard::Comment(5)] });
    assert_eq!(life.bottle.wants_slot_since(), None);
    assert!(life.bottle.heard.contains(&Heard::Comment(5)));
}

#[test]
fn a_comment_during_a_run_is_told_in_the_next() {
    let mut life = Life::running();
    life.tell(comment(5)).tell(done(1)).tell(exited(1, 0)).tell(comment(6)).tell(HOT);
    assert!(life.bottle.wants_slot_since().is_some());
    life.tell(Event::SlotGranted {});
    assert_eq!(life.told(), ["comment 5", "comment 6"]);
    life.tell(awoken(2)).tell(exited(2, 0)).tell(HOT);
    assert_eq!(life.bottle.wants_slot_since(), None, "told once");
}

#[test]
fn the_same_comment_is_told_once() {
    let mut life = Life::frozen();
    life.tell(comment(5)).tell(comment(5));
    assert_eq!(life.ignored, Some("it has been told already"));
    life.tell(Event::SlotGranted {}).tell(comment(5)).tell(awoken(2)).tell(comment(5));
    assert_eq!(life.bottle.waiting, []);
}

#[test]
fn a_pull_request_is_learned_late_and_once() {
    let mut life = Life::frozen();
    let opened = |n| news(1, News::PrOpened { number: number(n) });
    life.tell(opened(18)).tell(opened(18)).tell(comment(5)).tell(Event::SlotGranted {});
    life.tell(opened(19)).tell(awoken(2)).tell(opened(20)).tell(opened(19));
    assert_eq!(life.bottle.claims.open, [number(18), number(19), number(20)]);
    life.tell(pulls(&[18, 20], &[19])).tell(opened(19)).tell(opened(20));
    assert_eq!(life.bottle.pull_requests, [number(18), number(20)]);
    assert_eq!(
        (&life.bottle.claims.open[..], &life.bottle.claims.refuted[..]),
        (&[][..], &[number(19)][..])
    );
    assert_eq!(life.shown(), "running: run 2");
}

// CASES 164
#[test]
fn a_bottle_woken_behind_our_back_is_put_to_sleep_again() {
    let mut life = Life::frozen();
    life.tell(drifted());
    assert_eq!((life.word(), life.pending.clone()), ("frozen", SLEEP_HOT));
    life.tell(HOT).tell(died());
    assert_eq!(
        (life.shown().as_str(), life.pending.clone()),
        ("frozen: cold, success: it works", SLEEP_COLD)
    );
}

// CASES 173: the late end of an older effect changes nothing.
#[test]
fn a_late_outcome_of_a_replaced_effect_changes_nothing() {
    let mut life = Life::frozen();
    life.tell(comment(5)).wait(3600).tell(Event::SlotGranted {});
    assert_eq!(life.word(), "rehydrating");
    for late in [COLD, sleep_failed(), awoken(1), awaken_failed(1, false)] {
        let before = life.bottle.clone();
        life.tell(late);
        assert_eq!((&life.bottle, life.ignored.is_some()), (&before, true));
    }
}

#[test]
fn an_issue_that_stops_asking_releases_its_ended_bottle() {
    let released = |life: &Life| match life.bottle.state {
        State::Destroyed { released, .. } => released,
        _ => panic!("not destroyed: {}", life.shown()),
    };
    for (reason, at_once) in [
        (Reason::Merged, false),
        (Reason::PullClosed, false),
        (Reason::Operator, false),
        (Reason::PullGone, false),
        (Reason::IssueClosed, false),
        (Reason::Gone, true),
        (Reason::Unlabelled, true),
        (Reason::Unassigned, true),
    ] {
        let mut life = Life::frozen();
        life.tell(cancel(reason));
        assert_eq!(released(&life), at_once, "{reason:?}");
        life.tell(Event::Released {}).tell(Event::Cleaned {});
        assert!(released(&life), "{reason:?}");
    }
}

#[test]
fn a_long_life_counts_every_run_once() {
    let mut life = Life::frozen();
    for number in 2..50_u32 {
        life.tell(Event::Wake { prompts: vec![prompt("more")], heard: vec![] });
        life.tell(Event::SlotGranted {});
        assert_eq!(life.bottle.current_run(), Some(run(number)));
        life.tell(awoken(number)).tell(done(number)).tell(exited(number, 0)).tell(HOT);
        assert_eq!(life.word(), "frozen");
    }
    assert!(matches!(
        life.bottle.state,
        State::Frozen { ending: Ending::Reported { .. }, held: false, .. }
    ));
}
