//! The one function that changes a bottle: [`step`].
//!
//! One function per state, each naming every event: a new event or state does not compile until it
//! has its place here. Late news is a no-op with a reason. What cannot happen is [`Impossible`].
//! The whole table is printed by a test, `tests/pure/table.rs`, and reviewed there.

mod asleep;
mod awake;
mod notes;

use std::num::NonZeroU32;

use jiff::Timestamp;

use crate::{
    bottle::{Attempts, Bottle, Ending, Origin, Prompt, Reason, Rights, Said, State, Tier, Waking},
    event::{Effect, Event},
    timing::Timing,
};

/// What an event leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a step that is not stored has not happened"]
pub struct Step {
    /// The bottle afterwards.
    pub next: Bottle,
    /// What is to be done outside, at most one; it replaces what was still to be done before.
    /// Empty leaves that as it is: a bottle that is told something while it starts still starts.
    pub effects: Vec<Effect>,
    /// Why nothing changed, when nothing did.
    pub ignored: Option<&'static str>,
}

/// An event that the state cannot get: a fault of ours, to be logged and dropped.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a bottle that is {state} cannot get {event:?}")]
pub struct Impossible {
    /// The state's word.
    pub state: &'static str,
    /// The event.
    pub event: Box<Event>,
}

/// Takes an event into account at the time `now`.
///
/// # Errors
/// [`Impossible`] when no order of happenings leads to this event in this state.
pub fn step(
    bottle: &Bottle,
    event: &Event,
    now: Timestamp,
    timing: &Timing,
) -> Result<Step, Impossible> {
    let at = At { bottle, event, now, timing };
    match &bottle.state {
        State::Queued { .. } => at.queued(),
        State::Starting(waking) => at.waking(waking, State::Starting),
        State::Rehydrating(waking) => at.waking(waking, State::Rehydrating),
        State::Running { .. } => at.running(),
        State::Freezing { tier, ending, attempts, held } => {
            at.freezing(*tier, ending, *attempts, *held)
        }
        State::Frozen { tier, since, .. } => at.frozen(*tier, *since),
        State::Failed { retry, .. } => at.failed(*retry),
        State::Destroyed { cleaning, .. } => at.destroyed(*cleaning),
    }
}

/// What becomes of a bottle when a decision about it broke off by a fault of ours: it stops, keeps
/// its files and what waits, and says so. One that is destroyed or has failed stays as it is.
pub fn broken(bottle: &Bottle, why: &str, now: Timestamp) -> Step {
    let reason = format!("a fault in bot-bottle: {why}; please report it, with the daemon's log");
    match &bottle.state {
        State::Failed { .. } | State::Destroyed { .. } => Step {
            next: bottle.clone(),
            effects: vec![],
            ignored: Some("a decision about it broke off"),
        },
        State::Starting(waking) | State::Rehydrating(waking) => {
            fail(bottle, waking, failure(&reason, now, false))
        }
        State::Queued { .. }
        | State::Running { .. }
        | State::Freezing { .. }
        | State::Frozen { .. } => {
            let next = Bottle { state: failure(&reason, now, false), ..bottle.clone() };
            changed(next, vec![Effect::Sleep { tier: Tier::Cold }])
        }
    }
}

/// An event at a bottle at a time.
#[derive(Clone, Copy)]
struct At<'a> {
    bottle: &'a Bottle,
    event: &'a Event,
    now: Timestamp,
    timing: &'a Timing,
}

impl At<'_> {
    fn with_state(self, state: State) -> Bottle {
        Bottle { state, ..self.bottle.clone() }
    }

    fn ignore(self, why: &'static str) -> Step {
        Step { next: self.bottle.clone(), effects: vec![], ignored: Some(why) }
    }

    fn impossible(self) -> Result<Step, Impossible> {
        Err(Impossible { state: self.bottle.state.word(), event: Box::new(self.event.clone()) })
    }

    fn is_due(self, deadline: Option<Timestamp>) -> bool {
        deadline.is_some_and(|deadline| deadline <= self.now)
    }

    fn working(self, run: NonZeroU32) -> State {
        State::Running { run, since: self.now, last_news: self.now, done: None }
    }

    /// The next run takes all prompts that wait.
    fn wake_up(self, state: fn(Waking) -> State) -> Step {
        let run = NonZeroU32::MIN.saturating_add(self.bottle.runs);
        let prompts: Vec<Prompt> = self.bottle.waiting.clone();
        let waking = Waking { run, prompts: prompts.clone(), attempts: Attempts::FIRST };
        let next = Bottle {
            runs: run.get(),
            waiting: vec![],
            asked_at: None,
            rights: Rights::Unknown {},
            starved_at: None,
            ..self.with_state(state(waking))
        };
        changed(next, vec![Effect::Awaken { run, prompts }])
    }

    fn fall_asleep(self, tier: Tier, ending: Ending) -> Step {
        let state = State::Freezing { tier, ending, attempts: Attempts::FIRST, held: false };
        changed(self.with_state(state), vec![Effect::Sleep { tier }])
    }

    /// From hot to cold. The record says cold at once: the deadline is over, and reconciling
    /// repeats the effect if it fails.
    fn cool(self) -> Step {
        let next = self.sink(Tier::Cold, self.now);
        Step { effects: vec![Effect::Sleep { tier: Tier::Cold }], ..next }
    }

    fn sink(self, to: Tier, at: Timestamp) -> Step {
        let mut next = self.bottle.clone();
        if let State::Frozen { tier, since, .. } = &mut next.state {
            (*tier, *since) = (to, at);
        }
        changed(next, vec![])
    }

    fn destroy(self, reason: Reason) -> Step {
        let cleaning = Some(Attempts::FIRST);
        // An operator's bottle says nothing about what its issue asks for.
        let released = reason.releases() || self.bottle.home.origin == Origin::Operator;
        let state = State::Destroyed { reason, at: self.now, cleaning, released };
        let next = Bottle {
            waiting: vec![],
            asked_at: None,
            rights: Rights::Unknown {},
            nonce: None,
            ..self.with_state(state)
        };
        changed(next, vec![Effect::Remove {}])
    }
}

fn changed(next: Bottle, effects: Vec<Effect>) -> Step {
    Step { next, effects, ignored: None }
}

fn failure(reason: &str, now: Timestamp, retry: bool) -> State {
    State::Failed { reason: reason.to_owned(), since: now, retry }
}

/// Gives a waking up. What the run should have been told waits again, before what came later.
fn fail(bottle: &Bottle, waking: &Waking, state: State) -> Step {
    let mut next = Bottle { state, ..bottle.clone() };
    next.waiting.splice(0..0, waking.prompts.iter().cloned());
    changed(next, vec![Effect::Sleep { tier: Tier::Cold }])
}

/// Whether what waits now is kept from waking it.
fn with_hold(mut step: Step, hold: bool) -> Step {
    if let State::Freezing { held, .. } | State::Frozen { held, .. } = &mut step.next.state {
        *held = hold;
    }
    step
}

fn underway(attempts: Attempts) -> Attempts {
    Attempts { next_at: None, ..attempts }
}

fn reported(said: &Said) -> Ending {
    Ending::Reported { status: said.status, summary: said.summary.clone() }
}
