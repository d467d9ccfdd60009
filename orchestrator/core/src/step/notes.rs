//! What is noted in a bottle's record without changing its state.

use protocol::{ids::IssueNumber, limits::PULL_REQUESTS_MAX};

use super::{At, Step, changed};
use crate::{
    bottle::{Bottle, Claims, Ending, Heard, Prompt, Rights, State},
    clock,
    event::{Event, News},
};

impl At<'_> {
    /// Keeps what people said for the next run; what was heard before is not heard again.
    pub(super) fn remember(self) -> Step {
        let Event::Wake { prompts, heard } = self.event else {
            return self.ignore("nothing was said");
        };
        if !heard.is_empty() && heard.iter().all(|id| self.bottle.heard.contains(id)) {
            return self.ignore("it has been told already");
        }
        let mut next = self.bottle.clone();
        next.heard.extend(heard.iter().copied());
        next.waiting.extend(prompts.iter().cloned());
        if !prompts.is_empty() && !self.is_asked() {
            next.asked_at = Some(self.now);
            // What was asked of the forge before was about another request.
            if !matches!(next.rights, Rights::Seen { .. }) {
                next.rights = Rights::Unknown {};
            }
        }
        changed(next, vec![])
    }

    /// Whether something new was said that the agent must answer.
    pub(super) fn spoken(self, ignored: Option<&'static str>) -> bool {
        let prompted = matches!(self.event, Event::Wake { prompts, .. } if !prompts.is_empty());
        prompted && ignored.is_none()
    }

    /// Whether something that waits may wake it already; then its turn goes by that.
    fn is_asked(self) -> bool {
        let kept_back = match self.bottle.state {
            State::Freezing { held, .. } | State::Frozen { held, .. } => held,
            State::Failed { retry, .. } => !retry,
            State::Queued { .. }
            | State::Starting(_)
            | State::Running { .. }
            | State::Rehydrating(_)
            | State::Destroyed { .. } => false,
        };
        let waits = self.bottle.wants_slot_since().is_some();
        waits || (self.bottle.asked_at.is_some() && !kept_back)
    }

    /// Facts about a bottle, whatever its state makes of them.
    pub(super) fn noted(self) -> Step {
        let mut next = self.bottle.clone();
        match self.event {
            Event::Starved {} => next.starved_at = next.starved_at.or(Some(self.now)),
            Event::Seen {} => next.rights = Rights::Seen { at: self.now },
            Event::LookAsked {} => next.rights = Rights::Asked { at: self.now },
            Event::RightsLost { remarks } => unsay(&mut next, remarks),
            Event::Pulls { ours, foreign } => note_pulls(&mut next, ours, foreign),
            Event::ClockJumped { by } => {
                next = clock::shift(self.bottle, *by, self.now, self.timing);
            }
            Event::SlotGranted {}
            | Event::Awoken { .. }
            | Event::AwakenFailed { .. }
            | Event::News { .. }
            | Event::Wake { .. }
            | Event::Freeze { .. }
            | Event::Asleep { .. }
            | Event::SleepFailed { .. }
            | Event::Died { .. }
            | Event::Drifted { .. }
            | Event::Cool {}
            | Event::Cancel { .. }
            | Event::Released {}
            | Event::Cleaned {}
            | Event::CleanFailed { .. }
            | Event::Tick {} => {}
        }
        if next == *self.bottle { self.ignore("it is known") } else { changed(next, vec![]) }
    }

    /// What is known of its right to be woken, if it waits for that.
    pub(super) fn looked_after(self) -> Step {
        if self.bottle.wants_slot_since().is_some() {
            return self.noted();
        }
        self.ignore("it does not wait for a slot")
    }

    /// Whether a bottle that waits for the forge's answer has waited long enough.
    pub(super) fn answer_is_overdue(self) -> bool {
        self.is_due(self.timing.answer_due(self.bottle))
    }

    /// Gives up the slot that was kept for it.
    pub(super) fn pass_over(self) -> Step {
        let next = Bottle { rights: Rights::Overdue {}, ..self.bottle.clone() };
        changed(next, vec![])
    }

    /// Whether a pull request is to be looked at; a sidecar that tells of more than it can have
    /// opened is not believed.
    pub(super) fn is_new_claim(self, number: IssueNumber) -> bool {
        let Bottle { pull_requests: ours, claims: Claims { open, refuted }, .. } = self.bottle;
        let known = [ours, open, refuted];
        known.iter().all(|numbers| !numbers.contains(&number))
            && known.iter().map(|numbers| numbers.len()).sum::<usize>() < PULL_REQUESTS_MAX
    }

    /// News of a run that is over: a pull request and the agent's own word still count.
    pub(super) fn late_news(self, news: &News) -> Step {
        let mut next = self.bottle.clone();
        match news {
            News::PrOpened { number } if self.is_new_claim(*number) => {
                next.claims.open.push(*number);
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
    pub(super) fn awaits_word(self) -> bool {
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

/// Lets remarks wait no longer; a bottle that is left with nothing to be told asks for nothing.
fn unsay(bottle: &mut Bottle, remarks: &[Heard]) {
    let is_unsaid =
        |prompt: &Prompt| prompt.saying.as_ref().is_some_and(|saying| remarks.contains(&saying.id));
    bottle.waiting.retain(|prompt| !is_unsaid(prompt));
    if bottle.waiting.is_empty() {
        (bottle.asked_at, bottle.rights) = (None, Rights::Unknown {});
        if let State::Failed { retry, .. } = &mut bottle.state {
            *retry = false;
        }
    }
}

/// What the forge says of pull requests. What it once said to be the bottle's stays so.
fn note_pulls(bottle: &mut Bottle, ours: &[IssueNumber], foreign: &[IssueNumber]) {
    let Bottle { pull_requests, claims, .. } = bottle;
    for number in ours {
        claims.refuted.retain(|refuted| refuted != number);
        if !pull_requests.contains(number) && pull_requests.len() < PULL_REQUESTS_MAX {
            pull_requests.push(*number);
        }
    }
    for number in foreign {
        if claims.open.contains(number) && !pull_requests.contains(number) {
            claims.refuted.push(*number);
        }
    }
    claims.open.retain(|open| !ours.contains(open) && !foreign.contains(open));
}
