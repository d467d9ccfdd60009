//! What a sidecar holds between `configure` and `drain`: grant, secrets, and the calls in flight.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use forge::ScopedForge;
use protocol::{
    grant::Grant,
    ids::{IssueNumber, Nonce},
};
use tokio::{sync::watch, time::timeout};
use tokio_util::{
    sync::CancellationToken,
    task::{TaskTracker, task_tracker::TaskTrackerToken},
};

use crate::git::upstream::Upstream;

/// Grant and credentials of one `configure`. They go with the last reference: a drain waits for, or
/// cuts, whoever holds one.
pub struct Session {
    /// What the bottle may do.
    pub grant: Grant,
    /// Made anew by each `configure`.
    pub nonce: Nonce,
    /// The forge by git.
    pub upstream: Upstream,
    forge: Mutex<Arc<ScopedForge>>,
    gate: Gate,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("nonce", &self.nonce).finish_non_exhaustive()
    }
}

/// Counts what is in flight; shared by the sessions between two drains.
#[derive(Debug, Clone)]
pub struct Gate {
    calls: TaskTracker,
    cut: CancellationToken,
    pushes: watch::Sender<usize>,
}

impl Default for Gate {
    fn default() -> Self {
        Self {
            calls: TaskTracker::new(),
            cut: CancellationToken::new(),
            pushes: watch::Sender::new(0),
        }
    }
}

impl Session {
    /// Puts a session together.
    pub fn new(
        grant: Grant,
        nonce: Nonce,
        forge: ScopedForge,
        upstream: Upstream,
        gate: Gate,
    ) -> Self {
        Self { grant, nonce, upstream, forge: Mutex::new(Arc::new(forge)), gate }
    }

    /// The gate, for a session that takes over from this one.
    pub fn gate(&self) -> &Gate {
        &self.gate
    }

    /// The forge within the scope of now.
    pub fn forge(&self) -> Arc<ScopedForge> {
        Arc::clone(&self.forge.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Adds a pull request that this bottle has opened to what it may write to.
    pub fn grow(&self, pull_request: IssueNumber) {
        let mut forge = self.forge.lock().unwrap_or_else(PoisonError::into_inner);
        *forge = Arc::new(forge.with_writable(pull_request));
    }

    /// Waits until all calls have ended, at most `patience`, then cuts what is left. Gives how many
    /// were cut.
    pub async fn close(&self, patience: Duration) -> usize {
        self.gate.calls.close();
        let cut = match timeout(patience, self.gate.calls.wait()).await {
            Ok(()) => 0,
            Err(_) => self.gate.calls.len(),
        };
        self.gate.cut.cancel();
        // Cutting takes effect at the next await of each call, and then its record is written.
        drop(timeout(CUT_GRACE, self.gate.calls.wait()).await);
        cut
    }
}

/// What a cut call gets to write its record.
const CUT_GRACE: Duration = Duration::from_secs(2);

/// A call in flight: a drain waits for it.
#[derive(Debug)]
pub struct Work {
    // Before the token, so that the secrets are gone when the drain goes on.
    session: Arc<Session>,
    _in_flight: TaskTrackerToken,
}

/// A drain could not wait any longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("cut off because the bottle goes to sleep, whether it was done is not known")]
pub struct Cut;

impl Work {
    /// Counts a call as in flight until it is dropped. Only [`crate::phase`] decides that one may.
    pub(crate) fn begin(session: Arc<Session>) -> Self {
        let _in_flight = session.gate.calls.token();
        Self { session, _in_flight }
    }

    /// What it works with.
    pub fn session(&self) -> &Arc<Session> {
        &self.session
    }

    /// Runs something that a drain may cut.
    ///
    /// # Errors
    /// [`Cut`] when it was.
    pub async fn until_cut<F: Future>(&self, work: F) -> Result<F::Output, Cut> {
        self.session.gate.cut.run_until_cancelled(work).await.ok_or(Cut)
    }

    /// Ready when a drain cuts what is left; for streams that hold no [`Work`].
    pub fn cut(&self) -> CancellationToken {
        self.session.gate.cut.clone()
    }

    /// Counts a push as in flight until the guard is dropped.
    pub fn begin_push(&self) -> PushInFlight {
        self.session.gate.pushes.send_modify(|pushes| *pushes += 1);
        PushInFlight(self.session.gate.pushes.clone())
    }

    /// Waits until no push is in flight (CASES 60).
    pub async fn no_push(&self) {
        let mut pushes = self.session.gate.pushes.subscribe();
        // The sender lives in the session that we hold.
        drop(pushes.wait_for(|pushes| *pushes == 0).await);
    }
}

/// A push on its way.
#[derive(Debug)]
pub struct PushInFlight(watch::Sender<usize>);

impl Drop for PushInFlight {
    fn drop(&mut self) {
        self.0.send_modify(|pushes| *pushes -= 1);
    }
}
