//! A bottle that falls asleep, sleeps, has failed or is destroyed.

use jiff::Timestamp;

use super::{At, Impossible, Step, changed, failure, underway, with_hold};
use crate::{
    bottle::{Attempts, Ending, State, Tier},
    event::{Effect, Event},
};

impl At<'_> {
    pub(super) fn freezing(
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
                    None => {
                        let retry = !held && !self.bottle.waiting.is_empty();
                        changed(self.with_state(failure(error, self.now, retry)), vec![])
                    }
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
            Event::Starved {} => Ok(self.noted()),
            Event::Pulls { .. } | Event::ClockJumped { .. } => Ok(self.noted()),
            Event::Cool {} => Ok(self.ignore("it is not hot yet")),
            Event::LookAsked {} | Event::Seen {} | Event::RightsLost { .. } => {
                Ok(self.ignore("it has a slot still"))
            }
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

    pub(super) fn frozen(self, tier: Tier, since: Timestamp) -> Result<Step, Impossible> {
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
            Event::Tick {} if self.is_due(self.timing.deadline(self.bottle)) => {
                let passed = if self.answer_is_overdue() { Some(self.pass_over()) } else { None };
                let bottle = passed.as_ref().map_or(self.bottle, |step| &step.next);
                let at = At { bottle, ..self };
                let cools = at.is_due(self.timing.deadline(bottle));
                Ok(if cools { at.cool() } else { changed(bottle.clone(), vec![]) })
            }
            Event::Died { .. } | Event::Cool {} if tier < Tier::Cold => Ok(self.cool()),
            Event::LookAsked {} | Event::Seen {} | Event::RightsLost { .. } => {
                Ok(self.looked_after())
            }
            Event::Starved {} => Ok(self.noted()),
            Event::Pulls { .. } | Event::ClockJumped { .. } => Ok(self.noted()),
            Event::Asleep { tier: reached } if *reached > tier => Ok(self.sink(*reached, since)),
            Event::Drifted { .. } => Ok(changed(self.bottle.clone(), vec![Effect::Sleep { tier }])),
            Event::News { news, .. } => Ok(self.late_news(news)),
            Event::Cancel { reason } => Ok(self.destroy(*reason)),
            Event::Freeze { .. } | Event::Asleep { .. } | Event::Cool {} => {
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

    pub(super) fn failed(self, retry: bool) -> Result<Step, Impossible> {
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
            Event::Freeze { .. } | Event::Died { .. } | Event::Cool {} => {
                Ok(self.ignore("it does not run"))
            }
            Event::LookAsked {} | Event::Seen {} | Event::RightsLost { .. } => {
                Ok(self.looked_after())
            }
            Event::Starved {} => Ok(self.noted()),
            Event::Pulls { .. } | Event::ClockJumped { .. } => Ok(self.noted()),
            Event::Tick {} if self.answer_is_overdue() => Ok(self.pass_over()),
            Event::Tick {} => Ok(self.ignore("it waits for a prompt, not for time")),
            Event::Released {} => Ok(self.ignore("it is wanted")),
            Event::SlotGranted {} | Event::Cleaned {} | Event::CleanFailed { .. } => {
                self.impossible()
            }
        }
    }

    pub(super) fn destroyed(self, cleaning: Option<Attempts>) -> Result<Step, Impossible> {
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
            Event::Pulls { .. } | Event::ClockJumped { .. } => Ok(self.noted()),
            Event::Awoken { .. }
            | Event::AwakenFailed { .. }
            | Event::Starved {}
            | Event::Cool {}
            | Event::LookAsked {}
            | Event::Seen {}
            | Event::RightsLost { .. }
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

    pub(super) fn cleaned(self, attempts: Option<Attempts>, effects: Vec<Effect>) -> Step {
        let mut next = self.bottle.clone();
        if let State::Destroyed { cleaning, .. } = &mut next.state {
            *cleaning = attempts;
        }
        changed(next, effects)
    }
}
