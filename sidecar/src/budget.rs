//! How many writes a bottle has left. Pure: the time is given.

use std::{collections::VecDeque, time::Duration};

use protocol::{
    agent::WritesLeft,
    limits::{WRITES_PER_DAY, WRITES_PER_MINUTE},
};
use tokio::time::Instant;

const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 3600);

/// Writes of the last day, oldest first; never more than [`WRITES_PER_DAY`].
#[derive(Debug, Default)]
pub struct Budget {
    taken: VecDeque<Instant>,
}

/// No write is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{used} writes per {per} are used up, next one in {} s", retry_after.as_secs())]
pub struct UsedUp {
    used: u32,
    per: &'static str,
    /// When the next write may be made; at least a second.
    pub retry_after: Duration,
}

impl Budget {
    /// Takes one write.
    ///
    /// # Errors
    /// When those of the last minute or of the last day are used up.
    pub fn take(&mut self, now: Instant) -> Result<(), UsedUp> {
        self.forget_before(now);
        if let Some(oldest) = self.oldest_of_full(DAY, WRITES_PER_DAY, now) {
            return Err(used_up(WRITES_PER_DAY, "day", oldest + DAY - now));
        }
        if let Some(oldest) = self.oldest_of_full(MINUTE, WRITES_PER_MINUTE, now) {
            return Err(used_up(WRITES_PER_MINUTE, "minute", oldest + MINUTE - now));
        }
        self.taken.push_back(now);
        Ok(())
    }

    /// Gives the last one back: nothing was sent.
    pub fn give_back(&mut self) {
        self.taken.pop_back();
    }

    /// What is left.
    pub fn left(&mut self, now: Instant) -> WritesLeft {
        self.forget_before(now);
        let left = |window, most: u32| {
            most.saturating_sub(u32::try_from(self.within(window, now)).unwrap_or(u32::MAX))
        };
        let today = left(DAY, WRITES_PER_DAY);
        WritesLeft { this_minute: left(MINUTE, WRITES_PER_MINUTE).min(today), today }
    }

    fn forget_before(&mut self, now: Instant) {
        while self.taken.front().is_some_and(|taken| now.duration_since(*taken) >= DAY) {
            self.taken.pop_front();
        }
    }

    fn within(&self, window: Duration, now: Instant) -> usize {
        self.taken.iter().rev().take_while(|taken| now.duration_since(**taken) < window).count()
    }

    /// The write that must fall out of the window before the next one may be made.
    fn oldest_of_full(&self, window: Duration, most: u32, now: Instant) -> Option<Instant> {
        let within = self.within(window, now);
        let full = within >= usize::try_from(most).unwrap_or(usize::MAX);
        full.then(|| self.taken.get(self.taken.len() - within).copied()).flatten()
    }
}

fn used_up(used: u32, per: &'static str, retry_after: Duration) -> UsedUp {
    let whole = Duration::from_secs(retry_after.as_secs() + 1);
    UsedUp { used, per, retry_after: whole }
}

#[cfg(test)]
mod tests {
    use super::*;

    // CASES 57
    #[test]
    fn the_31st_write_of_a_minute_waits() {
        let (mut budget, start) = (Budget::default(), Instant::now());
        for second in 0..30 {
            budget.take(start + Duration::from_secs(second)).unwrap();
        }
        let now = start + Duration::from_secs(40);
        assert_eq!(budget.left(now), WritesLeft { this_minute: 0, today: 470 });
        let refused = budget.take(now).unwrap_err();
        assert_eq!(refused.retry_after, Duration::from_secs(21));
        assert_eq!(refused.to_string(), "30 writes per minute are used up, next one in 21 s");
        budget.take(start + Duration::from_secs(60)).unwrap();
    }

    #[test]
    fn the_501st_write_of_a_day_waits() {
        let (mut budget, start) = (Budget::default(), Instant::now());
        for number in 0..500 {
            budget.take(start + Duration::from_secs(number * 10)).unwrap();
        }
        let now = start + Duration::from_secs(6000);
        assert_eq!(budget.take(now).unwrap_err().per, "day");
        budget.take(start + DAY).unwrap();
        assert_eq!(budget.left(start + DAY).today, 0);
    }

    #[test]
    fn what_is_given_back_may_be_taken_again() {
        let (mut budget, now) = (Budget::default(), Instant::now());
        budget.take(now).unwrap();
        budget.give_back();
        assert_eq!(budget.left(now), WritesLeft { this_minute: 30, today: 500 });
    }
}
