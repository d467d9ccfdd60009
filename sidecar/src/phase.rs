//! The sidecar as a whole: which phase it is in, and what it remembers over them.
//!
//! ```text
//! Unconfigured ──configure──► Ready ──drain──► Draining ──► Drained ──configure──► Ready
//!                             └─configure─┘ (new nonce, same memory)
//! ```
//!
//! Secrets exist in `Ready` and `Draining` only.

mod forges;
mod memory;
mod settings;

use std::{
    collections::BTreeSet,
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use forge::{ScopedForge, again::Patience, scoped::Scope};
use protocol::{
    control::{Configured, Drained, Usage},
    error::{ErrorCode, RpcError},
    grant::{Grant, Secrets},
    ids::Nonce,
};
use rpc::server::HangUp;
use tokio::sync::{Mutex as Lane, watch};
use tokio_util::sync::CancellationToken;

pub use self::{
    forges::{Forges, HttpForges},
    memory::{Counts, Memory},
    settings::Settings,
};
use crate::{
    agent::Posts,
    git::upstream::Upstream,
    oplog::OpLog,
    queue::{Queue, QueueError, Stamp},
    runs::Runs,
    session::{Gate, Session, Work},
};

/// What the sidecar is able to do now.
#[derive(Debug)]
pub enum Phase {
    /// Just started: no grant yet.
    Unconfigured,
    /// At work.
    Ready(Arc<Session>),
    /// Refuses new calls, lets those in flight end.
    Draining,
    /// Without secrets.
    Drained,
}

/// Operations of which one goes on at a time; the others wait.
#[derive(Debug, Default)]
pub struct Lanes {
    /// Words about a run.
    pub run: Lane<()>,
    /// Opening the pull request.
    pub pull: Lane<()>,
    /// Editing the progress comment.
    pub progress: Lane<()>,
    /// Comments, of which only the same ones wait for each other.
    pub posts: Posts,
}

/// One sidecar.
pub struct Sidecar {
    pub(crate) phase: watch::Sender<Phase>,
    pub(crate) runs: watch::Sender<Runs>,
    pub(crate) log: OpLog,
    pub(crate) queue: Queue,
    pub(crate) lanes: Lanes,
    pub(crate) settings: Settings,
    /// Callers of `next_run`.
    pub(crate) waiting: AtomicUsize,
    memory: Mutex<Memory>,
    forges: Box<dyn Forges>,
    hang_up: HangUp,
    ending: CancellationToken,
}

impl fmt::Debug for Sidecar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sidecar").field("phase", &*self.phase.borrow()).finish_non_exhaustive()
    }
}

impl Sidecar {
    /// A sidecar without a grant.
    pub fn new(queue: Queue, forges: Box<dyn Forges>, settings: Settings) -> Self {
        Self {
            phase: watch::Sender::new(Phase::Unconfigured),
            runs: watch::Sender::new(Runs::default()),
            log: OpLog::new(queue.clone()),
            queue,
            lanes: Lanes::default(),
            settings,
            waiting: AtomicUsize::new(0),
            memory: Mutex::default(),
            forges,
            hang_up: HangUp::default(),
            ending: CancellationToken::new(),
        }
    }

    /// Hangs up on the agent's connections when the sidecar is drained.
    pub fn agent_hang_up(&self) -> HangUp {
        self.hang_up.clone()
    }

    /// Ready when the process is to end.
    pub fn ending(&self) -> CancellationToken {
        self.ending.clone()
    }

    /// Begins a call of the agent.
    ///
    /// # Errors
    /// [`ErrorCode::NotReady`] in every other phase than `Ready`.
    pub fn enter(&self) -> Result<Work, RpcError> {
        // The borrow keeps `drain` from changing the phase before the call is counted.
        match &*self.phase.borrow() {
            Phase::Ready(session) => Ok(Work::begin(Arc::clone(session))),
            other => Err(not_ready(other)),
        }
    }

    /// Takes grant and secrets. What is remembered of the bottle stays.
    ///
    /// # Errors
    /// [`ErrorCode::Invalid`] for the grant of another bottle or one that cannot be used,
    /// [`ErrorCode::NotReady`] while draining.
    pub fn configure(&self, mut grant: Grant, secrets: Secrets) -> Result<Configured, RpcError> {
        self.remember(&mut grant)?;
        let invalid = |why: String| RpcError::new(ErrorCode::Invalid, why);
        let forge = self.forges.open(&grant.forge, secrets.forge_token.clone()).map_err(invalid)?;
        let upstream = Upstream::new(&grant, secrets.forge_token).map_err(invalid)?;
        let patience =
            Patience { first_pause: self.settings.look_again_after, ..Patience::default() };
        let forge = ScopedForge::new(forge, Scope::from(&grant)).with_patience(patience);
        let nonce = Nonce::from_bytes(rand::random());
        let mut refused = None;
        self.phase.send_if_modified(|phase| {
            let gate = match &*phase {
                Phase::Ready(old) => old.gate().clone(),
                Phase::Unconfigured | Phase::Drained => Gate::default(),
                Phase::Draining => {
                    refused = Some(not_ready(phase));
                    return false;
                }
            };
            *phase =
                Phase::Ready(Arc::new(Session::new(grant, nonce.clone(), forge, upstream, gate)));
            true
        });
        match refused {
            Some(error) => Err(error),
            None => Ok(Configured { nonce, version: env!("CARGO_PKG_VERSION").to_owned() }),
        }
    }

    /// Binds this sidecar to one bottle, and adds to its grant what it opened meanwhile.
    fn remember(&self, grant: &mut Grant) -> Result<(), RpcError> {
        self.with_memory(|memory| {
            let slug = memory.slug.get_or_insert_with(|| grant.slug.clone());
            if *slug != grant.slug {
                let message = format!("this is the sidecar of {slug}, not of {}", grant.slug);
                return Err(RpcError::new(ErrorCode::Invalid, message));
            }
            memory.announced.extend(&grant.pull_requests);
            let known: BTreeSet<_> =
                grant.pull_requests.iter().chain(&memory.opened).copied().collect();
            grant.pull_requests = known.into_iter().collect();
            Ok(())
        })
    }

    /// Refuses new calls, waits for those in flight, cuts the rest, drops the secrets.
    pub async fn drain(&self) -> Drained {
        let mut draining = None;
        self.phase.send_if_modified(|phase| {
            let Phase::Ready(session) = phase else { return false };
            draining = Some(Arc::clone(session));
            *phase = Phase::Draining;
            true
        });
        let Some(session) = draining else {
            // Somebody else may be at it; the phase cannot close, we hold its sender.
            drop(self.phase.subscribe().wait_for(|phase| !matches!(phase, Phase::Draining)).await);
            return Drained { cut: 0 };
        };
        let cut = session.close(self.settings.drain_patience).await;
        self.log.check_in(self.stamp(&session)).await;
        drop(session);
        self.hang_up.all();
        self.phase.send_replace(Phase::Drained);
        tracing::info!(cut, "drained");
        Drained { cut: u32::try_from(cut).unwrap_or(u32::MAX) }
    }

    /// Drains and asks the process to end.
    pub async fn shut_down(&self) {
        self.drain().await;
        self.ending.cancel();
    }

    /// How it is doing.
    ///
    /// # Errors
    /// When the queue cannot be read.
    pub async fn usage(&self) -> Result<Usage, QueueError> {
        let queued_events = u64::try_from(self.queue.waiting().await?).unwrap_or(u64::MAX);
        let nonce = match &*self.phase.borrow() {
            Phase::Ready(session) => Some(session.nonce.clone()),
            Phase::Unconfigured | Phase::Draining | Phase::Drained => None,
        };
        let Counts { reads, writes, refusals } = self.with_memory(|memory| memory.counts);
        let runs = self.runs.borrow();
        let idle = self.waiting.load(Ordering::Acquire) > 0 && runs.to_give().is_none();
        Ok(Usage {
            bottle_waiting: nonce.is_some() && idle,
            nonce,
            run: runs.current().cloned(),
            reads,
            writes,
            refusals,
            queued_events,
        })
    }

    /// Who speaks in an event of now.
    pub fn stamp(&self, session: &Session) -> Stamp {
        Stamp {
            slug: session.grant.slug.clone(),
            nonce: session.nonce.clone(),
            run: self.runs.borrow().current().cloned(),
        }
    }

    /// Queues a sign of life every [`Settings::check_in_every`] while something happens, for ever.
    pub async fn check_in_for_ever(&self) {
        let mut ticks = tokio::time::interval(self.settings.check_in_every);
        loop {
            ticks.tick().await;
            if let Ok(work) = self.enter() {
                self.log.check_in(self.stamp(work.session())).await;
            }
        }
    }

    pub(crate) fn with_memory<T>(&self, change: impl FnOnce(&mut Memory) -> T) -> T {
        // Its parts are each right after any panic.
        change(&mut self.memory.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What an agent reads when there is no grant.
fn not_ready(phase: &Phase) -> RpcError {
    let why = match phase {
        Phase::Unconfigured => "the bottle is starting",
        Phase::Draining => "the bottle is going to sleep",
        Phase::Drained => "the bottle is asleep",
        Phase::Ready(_) => "the bottle is not ready",
    };
    RpcError::new(ErrorCode::NotReady, why).hint("try again in a moment")
}
