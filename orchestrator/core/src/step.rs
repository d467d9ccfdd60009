//! The one function that changes a bottle: [`step`].
//!
//! One function per state, each naming every event: a new event or state does not compile until it
//! has its place here. Late news is a no-op with a reason. What cannot happen is [`Impossible`].
//! The whole table is printed by a test, `tests/pure/table.rs`, and reviewed there.

use std::num::NonZeroU32;

use jiff::Timestamp;
use protocol::{ids::IssueNumber, limits::PULL_REQUESTS_MAX};

use crate::{
    bottle::{Attempts, Bottle, Ending, Origin, Prompt, Reason, Said, State, Tier, Waking},
    event::{Effect, Event, News},
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

/// An event at a bottle at a time.
#[derive(Clone, Copy)]
struct At<'a> {
    bottle: &'a Bottle,
    event: &'a Event,
    now: Timestamp,
    timing: &'a Timing,
}

impl At<'_> {
    fn queued(self) -> Result<Step, Impossible> {
        match self.event {
            Event::SlotGranted {} => Ok(self.wake_up(State::Starting)),
            Event::Wake { .. } => Ok(self.remember()),
            Event::Cancel { reason } => Ok(self.destroy(*reason)),
            Event::Freeze { .. } => Ok(self.ignore("it has not started yet")),
            Event::Died { .. } | Event::Drifted { .. } => {
                Ok(self.ignore("it has no containers yet"))
            }
            Event::Tick {} => Ok(self.ignore("it waits for a slot, not for time")),
            Event::Released {} => Ok(self.ignore("it is wanted")),
            Event::Awoken { .. }
            | Event::AwakenFailed { .. }
            | Event::News { .. }
            | Event::Asleep { .. }
            | Event::SleepFailed { .. }
            | Event::Cleaned {}
            | Event::CleanFailed { .. } => self.impossible(),
        }
    }

    /// Starting and rehydrating differ in name only: both end when the run was handed over.
    fn waking(self, waking: &Waking, same: fn(Waking) -> State) -> Result<Step, Impossible> {
        match self.event {
            Event::Awoken { run, nonce } if *run == waking.run => {
                let mut next = self.with_state(self.working(*run));
                next.nonce = Some(nonce.clone());
                Ok(changed(next, vec![]))
            }
            Event::AwakenFailed { run, error, transient } if *run == waking.run => {
                Ok(self.waking_failed(waking, same, error, *transient))
            }
            Event::News { run, .. } if *run == waking.run => {
                let bottle = &self.with_state(self.working(*run));
                At { bottle, ..self }.running()
            }
            Event::Tick {} if self.is_due(waking.attempts.next_at) => {
                let again = Waking { attempts: underway(waking.attempts), ..waking.clone() };
                let effect = Effect::Awaken { run: waking.run, prompts: waking.prompts.clone() };
                Ok(changed(self.with_state(same(again)), vec![effect]))
            }
            Event::Awoken { .. } | Event::AwakenFailed { .. } => {
                Ok(self.ignore("an older run's waking ended"))
            }
            Event::News { news, .. } => Ok(self.late_news(news)),
            Event::Wake { .. } => Ok(self.remember()),
            Event::Cancel { reason } => Ok(self.destroy(*reason)),
            Event::Freeze { .. } => {
                Ok(self.ignore("it is about to start a run; freeze it when it runs"))
            }
            Event::Asleep { .. } | Event::SleepFailed { .. } => {
                Ok(self.ignore("it has been woken since"))
            }
            Event::Died { .. } | Event::Drifted { .. } => {
                Ok(self.ignore("its containers are being put right"))
            }
            Event::Released {} => Ok(self.ignore("it is wanted")),
            Event::Tick {} => Ok(self.ignore("no deadline is over")),
            Event::SlotGranted {} | Event::Cleaned {} | Event::CleanFailed { .. } => {
                self.impossible()
            }
        }
    }

    fn waking_failed(
        self,
        waking: &Waking,
        same: fn(Waking) -> State,
        error: &str,
        transient: bool,
    ) -> Step {
        let again =
            if transient { self.timing.next_attempt(waking.attempts, self.now) } else { None };
        if let Some(attempts) = again {
            return changed(self.with_state(same(Waking { attempts, ..waking.clone() })), vec![]);
        }
        let mut next = self.with_state(self.failure(error));
        next.waiting.splice(0..0, waking.prompts.iter().cloned());
        changed(next, vec![Effect::Sleep { tier: Tier::Cold }])
    }

    fn running(self) -> Result<Step, Impossible> {
        let State::Running { run, since, ref done, .. } = self.bottle.state else {
            return self.impossible();
        };
        match self.event {
            Event::News { run: about, news } if *about == run => {
                Ok(self.news(run, since, done.as_ref(), news))
            }
            Event::News { news, .. } => Ok(self.late_news(news)),
            Event::Awoken { run: about, nonce } if *about == run => {
                let next = Bottle { nonce: Some(nonce.clone()), ..self.bottle.clone() };
                Ok(changed(next, vec![]))
            }
            // The answer was lost, the run was not; neither is the sidecar's nonce known then.
            Event::AwakenFailed { run: about, .. } if *about == run => {
                let next = Bottle { nonce: None, ..self.bottle.clone() };
                Ok(changed(next, vec![]))
            }
            Event::Awoken { .. } | Event::AwakenFailed { .. } => {
                Ok(self.ignore("the run has begun already"))
            }
            Event::Wake { .. } => Ok(self.remember()),
            Event::Freeze { .. } => {
                let ending = done.as_ref().map_or(Ending::Halted {}, reported);
                Ok(with_hold(self.fall_asleep(Tier::Cold, ending), true))
            }
            Event::Died { detail } | Event::Drifted { detail } => {
                let died = || Ending::Died { detail: detail.clone() };
                Ok(self.fall_asleep(Tier::Cold, done.as_ref().map_or_else(died, reported)))
            }
            Event::Cancel { reason } => Ok(self.destroy(*reason)),
            Event::Tick {} if self.is_due(self.timing.deadline(self.bottle)) => {
                // The program may still run: only a stop makes sure that the next run has the
                // bottle for itself.
                let ending = done.as_ref().map_or(Ending::TimedOut {}, reported);
                Ok(self.fall_asleep(Tier::Cold, ending))
            }
            Event::Tick {} => Ok(self.ignore("no deadline is over")),
            Event::Asleep { .. } | Event::SleepFailed { .. } => {
                Ok(self.ignore("it has been woken since"))
            }
            Event::Released {} => Ok(self.ignore("it is wanted")),
            Event::SlotGranted {} | Event::Cleaned {} | Event::CleanFailed { .. } => {
                self.impossible()
            }
        }
    }

    /// News of the run that is going on.
    fn news(self, run: NonZeroU32, since: Timestamp, done: Option<&Said>, news: &News) -> Step {
        let bottle = &Bottle { last_checkin: Some(self.now), ..self.bottle.clone() };
        let alive = At { bottle, ..self };
        let heard = |done: Option<Said>| State::Running { run, since, last_news: self.now, done };
        match news {
            News::Alive {} => changed(alive.with_state(heard(done.cloned())), vec![]),
            News::PrOpened { number } => {
                let mut next = alive.with_state(heard(done.cloned()));
                if self.is_new_pull(*number) {
                    next.pull_requests.push(*number);
                }
                changed(next, vec![])
            }
            News::Done { status, summary } => {
                let said = Said { status: *status, summary: summary.clone(), at: self.now };
                changed(alive.with_state(heard(Some(done.cloned().unwrap_or(said)))), vec![])
            }
            News::Exited { code } => {
                alive.fall_asleep(Tier::Hot, done.map_or(Ending::Silent { code: *code }, reported))
            }
        }
    }

    fn freezing(
        self,
        tier: Tier,
        ending: &Ending,
        attempts: Attempts,
        held: bool,
    ) -> Result<Step, Impossible> {
        let stay =
            |tier, attempts| State::Freezing { tier, ending: ending.clone(), attempts, held };
        match self.event {
            Event::Asleep { tier: reached } if *reached >= tier => {
                let state =
                    State::Frozen { tier: *reached, since: self.now, ending: ending.clone(), held };
                Ok(changed(self.with_state(state), vec![]))
            }
            Event::SleepFailed { error } => {
                Ok(match self.timing.next_attempt(attempts, self.now) {
                    Some(attempts) => changed(self.with_state(stay(tier, attempts)), vec![]),
                    None => changed(self.with_state(self.failure(error)), vec![]),
                })
            }
            Event::Died { .. } if tier < Tier::Cold => {
                let state = stay(Tier::Cold, Attempts::FIRST);
                Ok(changed(self.with_state(state), vec![Effect::Sleep { tier: Tier::Cold }]))
            }
            Event::Tick {} if self.is_due(attempts.next_at) => {
                let state = stay(tier, underway(attempts));
                Ok(changed(self.with_state(state), vec![Effect::Sleep { tier }]))
            }
            Event::Freeze { tier: wanted } if *wanted > tier => {
                let state = stay(*wanted, Attempts::FIRST);
                let step = changed(self.with_state(state), vec![Effect::Sleep { tier: *wanted }]);
                Ok(with_hold(step, true))
            }
            Event::Freeze { .. } if !held => {
                Ok(with_hold(changed(self.bottle.clone(), vec![]), true))
            }
            Event::News { news, .. } => Ok(self.late_news(news)),
            Event::Wake { .. } => {
                let told = self.remember();
                let held = held && !self.spoken(told.ignored);
                Ok(with_hold(told, held))
            }
            Event::Cancel { reason } => Ok(self.destroy(*reason)),
            Event::Asleep { .. } => Ok(self.ignore("it is to sleep deeper")),
            Event::Freeze { .. } => Ok(self.ignore("it is being put to sleep already")),
            Event::Died { .. } | Event::Drifted { .. } => {
                Ok(self.ignore("it is being put to sleep"))
            }
            Event::Released {} => Ok(self.ignore("it is wanted")),
            Event::Awoken { .. } | Event::AwakenFailed { .. } => {
                Ok(self.ignore("its run has ended since"))
            }
            Event::Tick {} => Ok(self.ignore("no deadline is over")),
            Event::SlotGranted {} | Event::Cleaned {} | Event::CleanFailed { .. } => {
                self.impossible()
            }
        }
    }

    fn frozen(self, tier: Tier, since: Timestamp) -> Result<Step, Impossible> {
        match self.event {
            Event::SlotGranted {} if self.bottle.wants_slot_since().is_some() => {
                Ok(self.wake_up(State::Rehydrating))
            }
            Event::Wake { .. } => {
                let mut told = self.remember();
                if let State::Frozen { held, .. } = &mut told.next.state {
                    *held = *held && !self.spoken(told.ignored);
                }
                Ok(told)
            }
            Event::Freeze { tier: wanted } if *wanted > tier => Ok(with_hold(self.cool(), true)),
            Event::Freeze { .. } if self.bottle.wants_slot_since().is_some() => {
                Ok(with_hold(changed(self.bottle.clone(), vec![]), true))
            }
            Event::Tick {} if self.is_due(self.timing.deadline(self.bottle)) => Ok(self.cool()),
            Event::Died { .. } if tier < Tier::Cold => Ok(self.cool()),
            Event::Asleep { tier: reached } if *reached > tier => Ok(self.sink(*reached, since)),
            Event::Drifted { .. } => Ok(changed(self.bottle.clone(), vec![Effect::Sleep { tier }])),
            Event::News { news, .. } => Ok(self.late_news(news)),
            Event::Cancel { reason } => Ok(self.destroy(*reason)),
            Event::Freeze { .. } | Event::Asleep { .. } => {
                Ok(self.ignore("it sleeps that deep already"))
            }
            Event::SleepFailed { .. } => Ok(self.ignore("reconciling will put it right")),
            Event::Released {} => Ok(self.ignore("it is wanted")),
            Event::Died { .. } => Ok(self.ignore("a cold bottle has no life to lose")),
            Event::Awoken { .. } | Event::AwakenFailed { .. } => {
                Ok(self.ignore("its run has ended since"))
            }
            Event::Tick {} => Ok(self.ignore("no deadline is over")),
            Event::SlotGranted {} | Event::Cleaned {} | Event::CleanFailed { .. } => {
                self.impossible()
            }
        }
    }

    fn failed(self, retry: bool) -> Result<Step, Impossible> {
        match self.event {
            Event::SlotGranted {} if retry => Ok(self.wake_up(State::Rehydrating)),
            Event::Wake { .. } => {
                let mut told = self.remember();
                if let State::Failed { retry, .. } = &mut told.next.state {
                    *retry = *retry || self.spoken(told.ignored);
                }
                Ok(told)
            }
            Event::Drifted { .. } => {
                Ok(changed(self.bottle.clone(), vec![Effect::Sleep { tier: Tier::Cold }]))
            }
            Event::News { news, .. } => Ok(self.late_news(news)),
            Event::Cancel { reason } => Ok(self.destroy(*reason)),
            Event::Asleep { .. } | Event::SleepFailed { .. } => {
                Ok(self.ignore("it has failed already"))
            }
            Event::Awoken { .. } | Event::AwakenFailed { .. } => {
                Ok(self.ignore("it has failed already"))
            }
            Event::Freeze { .. } | Event::Died { .. } => Ok(self.ignore("it does not run")),
            Event::Tick {} => Ok(self.ignore("it waits for a prompt, not for time")),
            Event::Released {} => Ok(self.ignore("it is wanted")),
            Event::SlotGranted {} | Event::Cleaned {} | Event::CleanFailed { .. } => {
                self.impossible()
            }
        }
    }

    fn destroyed(self, cleaning: Option<Attempts>) -> Result<Step, Impossible> {
        match self.event {
            Event::Cleaned {} => Ok(self.cleaned(None, vec![])),
            Event::CleanFailed { .. } => {
                let attempts = cleaning.unwrap_or(Attempts::FIRST);
                Ok(self.cleaned(Some(self.timing.endless_attempt(attempts, self.now)), vec![]))
            }
            Event::Tick {} if self.is_due(cleaning.and_then(|attempts| attempts.next_at)) => {
                Ok(self.cleaned(cleaning.map(underway), vec![Effect::Remove {}]))
            }
            Event::Drifted { .. } => {
                Ok(self.cleaned(Some(Attempts::FIRST), vec![Effect::Remove {}]))
            }
            Event::Released {} => {
                let mut next = self.bottle.clone();
                if let State::Destroyed { released, .. } = &mut next.state {
                    *released = true;
                }
                Ok(changed(next, vec![]))
            }
            Event::News { news, .. } => Ok(self.late_news(news)),
            Event::Awoken { .. }
            | Event::AwakenFailed { .. }
            | Event::Wake { .. }
            | Event::Freeze { .. }
            | Event::Asleep { .. }
            | Event::SleepFailed { .. }
            | Event::Died { .. }
            | Event::Cancel { .. }
            | Event::Tick {} => Ok(self.ignore("it is destroyed")),
            Event::SlotGranted {} => self.impossible(),
        }
    }

    fn cleaned(self, attempts: Option<Attempts>, effects: Vec<Effect>) -> Step {
        let mut next = self.bottle.clone();
        if let State::Destroyed { cleaning, .. } = &mut next.state {
            *cleaning = attempts;
        }
        changed(next, effects)
    }

    // What the states share.

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

    fn failure(self, reason: &str) -> State {
        State::Failed { reason: reason.to_owned(), since: self.now, retry: false }
    }

    /// The next run takes all prompts that wait.
    fn wake_up(self, state: fn(Waking) -> State) -> Step {
        let run = NonZeroU32::MIN.saturating_add(self.bottle.runs);
        let prompts: Vec<Prompt> = self.bottle.waiting.clone();
        let waking = Waking { run, prompts: prompts.clone(), attempts: Attempts::FIRST };
        let next = Bottle { runs: run.get(), waiting: vec![], ..self.with_state(state(waking)) };
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
        let next = Bottle { waiting: vec![], nonce: None, ..self.with_state(state) };
        changed(next, vec![Effect::Remove {}])
    }

    /// Keeps what people said for the next run; what was heard before is not heard again.
    fn remember(self) -> Step {
        let Event::Wake { prompts, heard } = self.event else {
            return self.ignore("nothing was said");
        };
        if !heard.is_empty() && heard.iter().all(|id| self.bottle.heard.contains(id)) {
            return self.ignore("it has been told already");
        }
        let mut next = self.bottle.clone();
        next.heard.extend(heard.iter().copied());
        next.waiting.extend(prompts.iter().cloned());
        changed(next, vec![])
    }

    /// Whether something new was said that the agent must answer.
    fn spoken(self, ignored: Option<&'static str>) -> bool {
        let prompted = matches!(self.event, Event::Wake { prompts, .. } if !prompts.is_empty());
        prompted && ignored.is_none()
    }

    /// Whether a pull request is to be added; a sidecar that tells of more than it can have opened is
    /// not believed.
    fn is_new_pull(self, number: IssueNumber) -> bool {
        let known = &self.bottle.pull_requests;
        !known.contains(&number) && known.len() < PULL_REQUESTS_MAX
    }

    /// News of a run that is over: a pull request and the agent's own word still count.
    fn late_news(self, news: &News) -> Step {
        let mut next = self.bottle.clone();
        match news {
            News::PrOpened { number } if self.is_new_pull(*number) => {
                next.pull_requests.push(*number);
                changed(next, vec![])
            }
            News::Done { status, summary } if self.awaits_word() => {
                if let State::Freezing { ending, .. } | State::Frozen { ending, .. } =
                    &mut next.state
                {
                    *ending = Ending::Reported { status: *status, summary: summary.clone() };
                }
                changed(next, vec![])
            }
            News::Alive {} | News::PrOpened { .. } | News::Done { .. } | News::Exited { .. } => {
                self.ignore("the run is over")
            }
        }
    }

    /// Whether the bottle's last run ended without the agent's word, and this event is about it.
    fn awaits_word(self) -> bool {
        let Event::News { run, .. } = self.event else { return false };
        match &self.bottle.state {
            State::Freezing { ending, .. } | State::Frozen { ending, .. } => {
                run.get() == self.bottle.runs && !matches!(ending, Ending::Reported { .. })
            }
            State::Queued { .. }
            | State::Starting(_)
            | State::Running { .. }
            | State::Rehydrating(_)
            | State::Failed { .. }
            | State::Destroyed { .. } => false,
        }
    }
}

fn changed(next: Bottle, effects: Vec<Effect>) -> Step {
    Step { next, effects, ignored: None }
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
