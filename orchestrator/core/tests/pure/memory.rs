//! Memory that runs out, and who is said to have killed what.

use orchestrator_core::{
    bottle::{State, Tier},
    event::{Effect, Event, News},
    reconcile::{Container, Pair, SidecarGrant, plan},
};

use crate::support::{Life, at, awoken, cancel, comment, done, exited, news};

const STARVED: Event = Event::Starved {};
const COLD: Event = Event::Asleep { tier: Tier::Cold };

/// What reconciling says of a running bottle whose container has ended like this.
fn said_of(life: &Life, code: i64, out_of_memory: bool) -> String {
    let bottle = Container::Exited { code, out_of_memory };
    let pair = Pair { sidecar: Container::Running, bottle, grant: SidecarGrant::Unknown };
    let seen = [(life.bottle.slug.clone(), pair)].into();
    let plan = plan(std::slice::from_ref(&life.bottle), &[].into(), &seen);
    match &plan.events[..] {
        [(_, Event::Died { detail })] => detail.clone(),
        other => panic!("{other:?}"),
    }
}

// CASES 169: a child was killed, the run goes on, and people see it.
#[test]
fn a_killed_child_is_shown_and_ends_nothing() {
    let mut life = Life::running();
    life.tell(STARVED);
    assert_eq!((life.word(), life.pending.clone()), ("running", None));
    assert_eq!(life.shown(), "running: run 1; a program was killed for lack of memory");
    life.tell(STARVED);
    assert_eq!(life.ignored, Some("it is known"), "the engine says it more than once");
    life.tell(done(1)).tell(exited(1, 0)).tell(Event::Asleep { tier: Tier::Hot });
    assert_eq!(
        life.shown(),
        "frozen: hot, success: it works; a program was killed for lack of memory"
    );
    life.tell(comment(5)).tell(Event::SlotGranted {}).tell(awoken(2));
    assert_eq!(life.shown(), "running: run 2", "the next run begins without the stain");
}

// CASES 169: the engine is quicker than the answer to the start.
#[test]
fn memory_that_runs_out_before_the_run_is_recorded_is_remembered() {
    let mut life = Life::starting();
    life.tell(STARVED).tell(awoken(1));
    assert_eq!(life.shown(), "running: run 1; a program was killed for lack of memory");
    let mut life = Life::starting();
    life.tell(news(1, News::Alive {}))
        .tell(STARVED)
        .tell(awoken(1))
        .tell(exited(1, 137))
        .tell(COLD);
    let shown = "frozen: cold, incomplete: killed (137) without signal_done; \
                 a program was killed for lack of memory";
    assert_eq!(life.shown(), shown);
}

// CASES 163, 169: or slower than the news of the end.
#[test]
fn memory_that_ran_out_is_remembered_after_the_run_too() {
    for slept in [false, true] {
        let mut life = Life::running();
        life.tell(exited(1, 137));
        if slept {
            life.tell(COLD).tell(STARVED);
        } else {
            life.tell(STARVED).tell(COLD);
        }
        assert!(life.shown().ends_with("; a program was killed for lack of memory"));
    }
    let mut life = Life::running();
    life.tell(cancel(orchestrator_core::bottle::Reason::Operator)).tell(STARVED);
    assert_eq!(life.ignored, Some("it is destroyed"));
}

// CASES 168: 137 alone does not say who it was.
#[test]
fn who_killed_it_is_told_apart() {
    let mut life = Life::running();
    let unknown =
        "the sidecar runs, the bottle was killed (137), not by us and not for lack of memory";
    assert_eq!(said_of(&life, 137, false), unknown);
    let starved = "the sidecar runs, the bottle was killed for lack of memory";
    assert_eq!(said_of(&life, 137, true), starved);
    assert_eq!(
        said_of(&life, 143, false),
        "the sidecar runs, the bottle was stopped (143), not by us"
    );
    // A child was killed at some time, and the program ended by itself later.
    let later = "the sidecar runs, the bottle exited with 0, after memory ran out in it";
    assert_eq!(said_of(&life, 0, true), later);
    life.tell(STARVED);
    assert_eq!(said_of(&life, 137, false), starved, "the event said so, the container does not");
}

// CASES 168: what we stop ourselves is never found dead: the record says so before it is done.
#[test]
fn our_own_kill_is_no_death() {
    let mut frozen = Life::running();
    frozen.tell(exited(1, 0));
    let mut halted = Life::running();
    halted.tell(Event::Freeze { tier: Tier::Cold });
    for mut life in [frozen, halted] {
        let killed = Container::Exited { code: 137, out_of_memory: false };
        let pair = Pair { sidecar: killed.clone(), bottle: killed, grant: SidecarGrant::Unknown };
        let planned = |life: &Life| {
            let seen = [(life.bottle.slug.clone(), pair.clone())].into();
            plan(std::slice::from_ref(&life.bottle), &[].into(), &seen).events
        };
        assert_eq!(planned(&life), [], "while it is under way");
        life.tell(COLD);
        assert_eq!(planned(&life), [], "and afterwards");
    }
}

// CASES 167, 172: a container that never ran has ended nothing, and is put to sleep like any other.
#[test]
fn a_container_that_was_never_started_is_no_success() {
    let life = Life::running();
    let pair = Pair {
        sidecar: Container::Running,
        bottle: Container::Created,
        grant: SidecarGrant::Unknown,
    };
    let seen = [(life.bottle.slug.clone(), pair)].into();
    let planned = plan(std::slice::from_ref(&life.bottle), &[].into(), &seen);
    let [(_, event)] = &planned.events[..] else { panic!("{planned:?}") };
    let mut life = life;
    life.tell(event.clone());
    assert_eq!(life.pending, Some(Effect::Sleep { tier: Tier::Cold }));
    life.tell(COLD);
    let shown = "frozen: cold, incomplete: the sidecar runs, the bottle was never started";
    assert_eq!(life.shown(), shown);
    assert!(matches!(life.bottle.state, State::Frozen { since, .. } if since == at(0)));
}
