//! A clock that jumps: [`jump`] finds it, [`shift`] puts a bottle's deadlines right.
//!
//! Deadlines are remembered as wall time, because they must outlive the daemon. When the wall clock
//! moves and the steady one does not (it was set, or the host slept), every remembered time moves
//! with it, as if the new clock had been there always: nobody is stopped for silence that lasted
//! no longer than a correction, and nobody waits a day more.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{
    bottle::{Attempts, Bottle, Rights, State, Waking},
    timing::Timing,
};

/// Smaller differences are the clock being adjusted, or the time between two readings.
const TOLERANCE: SignedDuration = SignedDuration::from_secs(2);

/// Both clocks at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reading {
    /// The wall clock.
    pub wall: Timestamp,
    /// The steady one, from any start; it stands still while the host sleeps.
    pub steady: Duration,
}

/// How far the wall clock has jumped between two readings, if it has.
pub fn jump(before: Reading, after: Reading) -> Option<SignedDuration> {
    let wall = after.wall.duration_since(before.wall);
    let steady = SignedDuration::try_from(after.steady.saturating_sub(before.steady)).ok()?;
    let by = wall.checked_sub(steady)?;
    (by.abs() > TOLERANCE).then_some(by)
}

/// The bottle as it would be if the clock had always been `by` ahead. No time that has passed lies
/// in the future afterwards, and no retry further away than retries are: also after a jump that
/// nobody saw.
pub fn shift(bottle: &Bottle, by: SignedDuration, now: Timestamp, timing: &Timing) -> Bottle {
    let clock = Shift { by, now, latest: later(now, timing.retry_max) };
    let mut next = bottle.clone();
    next.asked_at = next.asked_at.map(|at| clock.passed(at));
    next.rights = match next.rights {
        Rights::Asked { at } => Rights::Asked { at: clock.passed(at) },
        Rights::Seen { at } => Rights::Seen { at: clock.passed(at) },
        Rights::Unknown {} | Rights::Overdue {} => next.rights,
    };
    match &mut next.state {
        State::Queued { since } | State::Frozen { since, .. } | State::Failed { since, .. } => {
            *since = clock.passed(*since);
        }
        State::Starting(Waking { attempts, .. })
        | State::Rehydrating(Waking { attempts, .. })
        | State::Freezing { attempts, .. }
        | State::Destroyed { cleaning: Some(attempts), .. } => *attempts = clock.due(*attempts),
        State::Running { since, last_news, done, .. } => {
            (*since, *last_news) = (clock.passed(*since), clock.passed(*last_news));
            if let Some(said) = done {
                said.at = clock.passed(said.at);
            }
        }
        // The moment of its end is only shown.
        State::Destroyed { cleaning: None, .. } => {}
    }
    next
}

#[derive(Clone, Copy)]
struct Shift {
    by: SignedDuration,
    now: Timestamp,
    latest: Timestamp,
}

impl Shift {
    fn passed(self, at: Timestamp) -> Timestamp {
        later(at, self.by).min(self.now)
    }

    fn due(self, attempts: Attempts) -> Attempts {
        let next_at = attempts.next_at.map(|at| later(at, self.by).min(self.latest));
        Attempts { next_at, ..attempts }
    }
}

/// `at + by`, or the end of time.
fn later(at: Timestamp, by: SignedDuration) -> Timestamp {
    let end = if by.is_negative() { Timestamp::MIN } else { Timestamp::MAX };
    at.saturating_add(by).unwrap_or(end)
}
