//! A bottle that waits for its first slot, is being woken, or works.

use std::num::NonZeroU32;

use jiff::Timestamp;

use super::{At, Impossible, Step, changed, fail, failure, reported, underway, with_hold};
use crate::{
    bottle::{Bottle, Ending, Said, State, Tier, Waking},
    event::{Effect, Event, News},
};

impl At<'_> {
    pub(super) fn queued(self) -> Result<Step, Impossible> {
        match self.event {
            Event::SlotGranted {} => Ok(self.wake_up(State::Starting)),
            Event::Wake { .. } => Ok(self.remember()),
            Event::Cancel { reason } => Ok(self.destroy(*reason)),
            Event::Freeze { .. } => Ok(self.ignore("it has not started yet")),
            Event::LookAsked {} | Event::Seen {} | Event::RightsLost { .. } => Ok(self.noted()),
            Event::Pulls { .. } | Event::ClockJumped { .. } => Ok(self.noted()),
            Event::Died { .. } | Event::Drifted { .. } | Event::Starved {} | Event::Cool {} => {
                Ok(self.ignore("it has no containers yet"))
            }
            Event::Tick {} if self.answer_is_overdue() => Ok(self.pass_over()),
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
    pub(super) fn waking(
        self,
        waking: &Waking,
        same: fn(Waking) -> State,
    ) -> Result<Step, Impossible> {
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
            // Memory may run out before the start is known here.
            Event::Starved {} => Ok(self.noted()),
            Event::Pulls { .. } | Event::ClockJumped { .. } => Ok(self.noted()),
            Event::Cool {} => Ok(self.ignore("it is not hot")),
            Event::LookAsked {} | Event::Seen {} | Event::RightsLost { .. } => {
                Ok(self.ignore("it has its slot already"))
            }
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

    pub(super) fn waking_failed(
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
        // What came later is a reason to try again.
        let retry = !self.bottle.waiting.is_empty();
        fail(self.bottle, waking, failure(error, self.now, retry))
    }

    pub(super) fn running(self) -> Result<Step, Impossible> {
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
            // A child was killed; the agent may well go on.
            Event::Starved {} => Ok(self.noted()),
            Event::Pulls { .. } | Event::ClockJumped { .. } => Ok(self.noted()),
            Event::Cool {} => Ok(self.ignore("it is not hot")),
            Event::LookAsked {} | Event::Seen {} | Event::RightsLost { .. } => {
                Ok(self.ignore("it has its slot already"))
            }
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
    pub(super) fn news(
        self,
        run: NonZeroU32,
        since: Timestamp,
        done: Option<&Said>,
        news: &News,
    ) -> Step {
        let bottle = &Bottle { last_checkin: Some(self.now), ..self.bottle.clone() };
        let alive = At { bottle, ..self };
        let heard = |done: Option<Said>| State::Running { run, since, last_news: self.now, done };
        match news {
            News::Alive {} => changed(alive.with_state(heard(done.cloned())), vec![]),
            News::PrOpened { number } => {
                let mut next = alive.with_state(heard(done.cloned()));
                if self.is_new_claim(*number) {
                    next.claims.open.push(*number);
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
}
