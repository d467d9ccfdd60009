//! Waits as data, and the arithmetic of retries.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::bottle::{Attempts, Bottle, Rights, State, Tier};

/// Every time span of a bottle's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Timing {
    /// How long an agent that said done may take to exit by itself.
    pub grace: SignedDuration,
    /// How long a running bottle may stay silent.
    pub watchdog: SignedDuration,
    /// How long a frozen bottle stays hot.
    pub hot_for: SignedDuration,
    /// How long a look at the forge counts when a bottle is to be woken.
    pub rights_for: SignedDuration,
    /// How long a slot is kept for a bottle while the forge is asked about it.
    pub look_patience: SignedDuration,
    /// Wait after the first failed attempt; doubles each time.
    pub retry_base: SignedDuration,
    /// The longest wait between attempts.
    pub retry_max: SignedDuration,
    /// Attempts before a bottle is called failed. Cleaning up is tried for ever.
    pub retry_attempts: u32,
}

impl Default for Timing {
    /// The grace and watchdog times of the first version; an hour hot, because a review is often
    /// answered within it; a minute in which a right may be lost unseen, far less than the poll's;
    /// ten seconds for a forge that answers in one; five attempts over half a minute, the time that a Docker restart takes.
    fn default() -> Self {
        Self {
            grace: SignedDuration::from_secs(10),
            watchdog: SignedDuration::from_mins(30),
            hot_for: SignedDuration::from_hours(1),
            rights_for: SignedDuration::from_mins(1),
            look_patience: SignedDuration::from_secs(10),
            retry_base: SignedDuration::from_secs(1),
            retry_max: SignedDuration::from_mins(5),
            retry_attempts: 5,
        }
    }
}

impl Timing {
    /// How long to wait after `failed` failures in a row: base, 2 base, 4 base, ... up to the maximum.
    pub fn retry_delay(&self, failed: u32) -> SignedDuration {
        let doublings = failed.saturating_sub(1).min(20);
        let delay = self.retry_base.checked_mul(1 << doublings).unwrap_or(self.retry_max);
        delay.min(self.retry_max)
    }

    /// One more failure; `None` when the last attempt is used up.
    pub fn next_attempt(&self, attempts: Attempts, now: Timestamp) -> Option<Attempts> {
        let failed = attempts.failed.saturating_add(1);
        (failed < self.retry_attempts).then(|| self.after_failure(failed, now))
    }

    /// One more failure of something that is tried for ever.
    pub fn endless_attempt(&self, attempts: Attempts, now: Timestamp) -> Attempts {
        self.after_failure(attempts.failed.saturating_add(1), now)
    }

    fn after_failure(&self, failed: u32, now: Timestamp) -> Attempts {
        Attempts { failed, next_at: Some(later(now, self.retry_delay(failed))) }
    }

    /// When time alone will change this bottle, if nothing else does.
    pub fn deadline(&self, bottle: &Bottle) -> Option<Timestamp> {
        match &bottle.state {
            State::Starting(waking) | State::Rehydrating(waking) => waking.attempts.next_at,
            State::Running { done: Some(said), .. } => Some(later(said.at, self.grace)),
            State::Running { last_news, .. } => Some(later(*last_news, self.watchdog)),
            State::Freezing { attempts, .. } => attempts.next_at,
            State::Frozen { tier: Tier::Hot, since, .. } => {
                let cools = later(*since, self.hot_for);
                Some(self.answer_due(bottle).map_or(cools, |answer| answer.min(cools)))
            }
            State::Frozen { tier: Tier::Cold, .. }
            | State::Queued { .. }
            | State::Failed { .. } => self.answer_due(bottle),
            State::Destroyed { cleaning: Some(attempts), .. } => attempts.next_at,
            State::Destroyed { cleaning: None, .. } => None,
        }
    }

    /// When a bottle that waits for the forge's answer loses the slot that is kept for it.
    pub fn answer_due(&self, bottle: &Bottle) -> Option<Timestamp> {
        match bottle.rights {
            Rights::Asked { at } => Some(later(at, self.look_patience)),
            Rights::Unknown {} | Rights::Overdue {} | Rights::Seen { .. } => None,
        }
    }

    /// Whether a look at the forge still counts.
    pub fn is_fresh(&self, seen_at: Timestamp, now: Timestamp) -> bool {
        now < later(seen_at, self.rights_for)
    }
}

/// `at + span`, or the end of time.
fn later(at: Timestamp, span: SignedDuration) -> Timestamp {
    at.saturating_add(span).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retries_double_up_to_the_maximum() {
        let timing = Timing::default();
        let seconds: Vec<i64> = (1..=11).map(|n| timing.retry_delay(n).as_secs()).collect();
        assert_eq!(seconds, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
        assert_eq!(timing.retry_delay(u32::MAX).as_secs(), 300);
    }

    #[test]
    fn the_last_attempt_is_the_last() {
        let timing = Timing::default();
        let mut attempts = Attempts::FIRST;
        let mut tried = 1;
        while let Some(next) = timing.next_attempt(attempts, Timestamp::UNIX_EPOCH) {
            attempts = next;
            tried += 1;
        }
        assert_eq!(tried, timing.retry_attempts);
    }
}
