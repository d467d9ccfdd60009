//! How long a sidecar waits for what.

use std::time::Duration;

use protocol::limits;

use crate::oplog;

/// Times that tests make shorter.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// How long a drain waits for calls in flight.
    pub drain_patience: Duration,
    /// How long `next_run` waits.
    pub next_run_wait: Duration,
    /// How long `signal_done` waits for pushes in flight; below the time that its caller waits.
    pub push_patience: Duration,
    /// Before the forge is asked whether a write of unknown fate was done.
    pub look_again_after: Duration,
    /// The least time between two signs of life.
    pub check_in_every: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            drain_patience: limits::DRAIN_TIMEOUT,
            next_run_wait: limits::NEXT_RUN_WAIT,
            push_patience: limits::RPC_TIMEOUT.saturating_sub(Duration::from_secs(15)),
            look_again_after: Duration::from_secs(1),
            check_in_every: oplog::CHECK_IN_EVERY,
        }
    }
}
