//! The op log: what a bottle did or tried, in sentences, through the queue and the process's log.
//!
//! Writes, refusals and failures are queued one by one; reads are counted and told as signs of
//! life. Refusals cost an agent nothing, so they are listed at a bounded rate and counted above it.

mod sentence;

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use protocol::event::{Happening, Operation, OperationOutcome};
use tokio::time::Instant;

pub use sentence::{
    Act, fetched, foreign, numbers, opened_pr, posted_comment, push_refused, pushed, read,
    reported_progress, updated_description,
};

use crate::queue::{Place, Pushed, Queue, QueueError, Stamp};

/// Refusals and failures listed per minute.
const LISTED_PER_MINUTE: usize = 60;
/// The least time between two signs of life.
pub const CHECK_IN_EVERY: Duration = Duration::from_secs(30);

/// The op log of one bottle.
#[derive(Debug)]
pub struct OpLog {
    queue: Queue,
    tally: Mutex<Tally>,
}

/// What is counted between two signs of life.
#[derive(Debug, Default)]
struct Tally {
    reads: u64,
    unlisted: u64,
    /// When the last refusals and failures were listed.
    listed: VecDeque<Instant>,
}

impl OpLog {
    /// An op log that goes to this queue.
    pub fn new(queue: Queue) -> Self {
        Self { queue, tally: Mutex::default() }
    }

    /// Keeps a place for the record of a write that is about to be made.
    ///
    /// # Errors
    /// When the queue is full: the write must not be made. That it was asked for is counted.
    pub async fn reserve(&self) -> Result<Place, QueueError> {
        let place = self.queue.reserve().await;
        if place.is_err() {
            self.with_tally(|tally| tally.unlisted += 1);
        }
        place
    }

    /// A read was done; told with the next sign of life.
    pub fn count_read(&self, operation: &Operation) {
        tracing::debug!(method = operation.method, sentence = operation.sentence, "operation");
        self.with_tally(|tally| tally.reads += 1);
    }

    /// Records an operation, durably if that is possible. `place` was kept for it if it is a write:
    /// its record is only missing when the disk fails after the deed, which is then counted.
    pub async fn record(&self, stamp: Stamp, operation: Operation, place: Option<Place>) {
        let Operation { method, outcome, sentence, .. } = &operation;
        tracing::info!(method, ?outcome, sentence, "operation");
        let is_write = operation.outcome == OperationOutcome::Done;
        if !is_write && !self.with_tally(|tally| tally.may_list(Instant::now())) {
            return self.with_tally(|tally| tally.unlisted += 1);
        }
        match self.queue.push(stamp, Happening::Operation { operation }, place).await {
            Ok(_) => {}
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "an operation is not listed"
                );
                self.with_tally(|tally| tally.unlisted += 1);
            }
        }
    }

    /// Queues a sign of life if anything happened since the last one.
    pub async fn check_in(&self, stamp: Stamp) {
        let (reads, unlisted) = self.with_tally(|tally| (tally.reads, tally.unlisted));
        if reads == 0 && unlisted == 0 {
            return;
        }
        match self.queue.push(stamp, Happening::CheckIn { reads, unlisted }, None).await {
            Ok(Pushed::Stored(_)) => self.with_tally(|tally| {
                tally.reads = tally.reads.saturating_sub(reads);
                tally.unlisted = tally.unlisted.saturating_sub(unlisted);
            }),
            Ok(Pushed::NotNeeded) => {}
            Err(error) => tracing::debug!(%error, "no sign of life"),
        }
    }

    fn with_tally<T>(&self, change: impl FnOnce(&mut Tally) -> T) -> T {
        // Counters are right after any panic.
        change(&mut self.tally.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Tally {
    fn may_list(&mut self, now: Instant) -> bool {
        let minute = Duration::from_secs(60);
        while self.listed.front().is_some_and(|at| now.duration_since(*at) >= minute) {
            self.listed.pop_front();
        }
        let may = self.listed.len() < LISTED_PER_MINUTE;
        if may {
            self.listed.push_back(now);
        }
        may
    }
}
