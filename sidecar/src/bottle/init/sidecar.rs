//! The sidecar as PID 1 sees it: it may be missing, asleep or restarted at any time, and is asked
//! again until it answers.

use std::{path::Path, time::Duration};

use jsonrpsee::core::client::Error as ClientError;
use protocol::{
    agent::{AgentRpcClient as _, Context, RunExit},
    error::{ErrorCode, RpcError},
    grant::RunSpec,
    ids::RunId,
    limits,
};
use rpc::client::UdsClient;
use tokio::time::Instant;

/// One call: the longest wait of `next_run`, and the way there and back.
const TIMEOUT: Duration = limits::NEXT_RUN_WAIT.saturating_add(Duration::from_secs(10));
/// An answer to `next_run` that came sooner than this was not waited for.
const WAITED: Duration = Duration::from_secs(1);

/// Pauses between questions that failed: 50 ms, doubled up to 1 s.
#[derive(Debug)]
struct BackOff {
    next: Duration,
    /// Pauses that are still as short as the first.
    eager: u32,
}

impl BackOff {
    const SHORTEST: Duration = Duration::from_millis(50);
    const LONGEST: Duration = Duration::from_secs(1);
    /// A sidecar starts beside its bottle: whoever asked for work waits for each of these
    /// milliseconds.
    const EAGER: Duration = Duration::from_millis(4);
    /// A second of them, with the questions.
    const EAGER_PAUSES: u32 = 200;

    fn new() -> Self {
        Self { next: Self::SHORTEST, eager: 0 }
    }

    /// Shorter for the first second.
    fn eager() -> Self {
        Self { next: Self::EAGER, eager: Self::EAGER_PAUSES }
    }

    async fn pause(&mut self) {
        tokio::time::sleep(self.next).await;
        match self.eager.checked_sub(1) {
            Some(rest) => self.eager = rest,
            None => self.next = (self.next * 2).min(Self::LONGEST),
        }
    }
}

/// The calls that PID 1 makes.
#[derive(Debug, Clone)]
pub struct Sidecar {
    client: UdsClient,
}

impl Sidecar {
    /// Makes a client; the socket need not be there yet.
    ///
    /// # Errors
    /// See [`rpc::client::connect`].
    pub fn connect(socket: &Path) -> Result<Self, ClientError> {
        Ok(Self { client: rpc::client::connect(socket, TIMEOUT)? })
    }

    /// Waits for a run, for as long as it takes. May be dropped: a run that was offered is offered
    /// again until it was started.
    pub async fn next_run(&self) -> RunSpec {
        let (mut back_off, mut absence) = (BackOff::new(), BackOff::eager());
        let mut complaint = Complaint::default();
        loop {
            let asked = Instant::now();
            let unreachable = match self.client.next_run().await {
                Ok(Some(spec)) => return spec,
                Ok(None) if asked.elapsed() >= WAITED => {
                    back_off = BackOff::new();
                    complaint = Complaint::default();
                    continue;
                }
                Ok(None) => false,
                Err(error) => {
                    let unreachable = matches!(error, ClientError::Transport(_));
                    complaint.about("next_run", &rpc::client::error(error));
                    unreachable
                }
            };
            if unreachable {
                absence.pause().await;
            } else {
                absence = BackOff::eager();
                back_off.pause().await;
            }
        }
    }

    /// What this bottle is; asked until it is answered.
    pub async fn context(&self) -> Result<Context, RpcError> {
        self.until_answered("context", || self.client.context()).await
    }

    /// Reports that a run's program was started.
    pub async fn run_started(&self, run: &RunId) {
        let answer = self.until_answered("run_started", || self.client.run_started(run.clone()));
        given_up("run_started", answer.await);
    }

    /// Reports that a run's program has ended.
    pub async fn run_exited(&self, run: &RunId, exit: &RunExit) {
        let call = || self.client.run_exited(run.clone(), exit.clone());
        given_up("run_exited", self.until_answered("run_exited", call).await);
    }

    /// Repeats a call while a later answer may be better.
    async fn until_answered<T, F>(&self, what: &str, call: impl Fn() -> F) -> Result<T, RpcError>
    where
        F: Future<Output = Result<T, ClientError>>,
    {
        let mut back_off = BackOff::new();
        let mut complaint = Complaint::default();
        loop {
            match call().await.map_err(rpc::client::error) {
                Ok(answer) => return Ok(answer),
                Err(error) if is_final(error.data.kind) => return Err(error),
                Err(error) => complaint.about(what, &error),
            }
            back_off.pause().await;
        }
    }
}

/// Whether asking again cannot help.
fn is_final(kind: ErrorCode) -> bool {
    match kind {
        ErrorCode::OutOfScope
        | ErrorCode::Invalid
        | ErrorCode::NotFound
        | ErrorCode::Conflict
        | ErrorCode::ForgeRefused => true,
        ErrorCode::LimitReached
        | ErrorCode::ForgeUnavailable
        | ErrorCode::NotReady
        | ErrorCode::QueueFull
        | ErrorCode::Internal => false,
    }
}

fn given_up(what: &str, answer: Result<(), RpcError>) {
    if let Err(error) = answer {
        tracing::error!(call = what, %error, "the sidecar does not take a report");
    }
}

/// Says once that a call fails, and again only when it fails otherwise: a bottle may wait for hours.
#[derive(Debug, Default)]
struct Complaint(Option<RpcError>);

impl Complaint {
    fn about(&mut self, what: &str, error: &RpcError) {
        if self.0.as_ref() != Some(error) {
            tracing::info!(call = what, %error, "the sidecar does not answer, asking again");
            self.0 = Some(error.clone());
        }
    }
}
