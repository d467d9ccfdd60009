//! `bottle init`: the first process of a bottle.
//!
//! It waits on the sidecar for a run ([`sidecar`]), starts the agent program with its prompt
//! ([`launch`]), relays what the program says ([`output`]), clears away what it leaves behind
//! ([`children`]), reports its end, and waits again. Beside that it reaps every orphan, and carries
//! bytes between 127.0.0.1:3128 and the sidecar's socket ([`forward`]) for tools that know TCP
//! only.
//!
//! It ends when it is told to by a signal, which the agent gets first, and by nothing else: a
//! sidecar that is gone, asleep or broken is asked again until it answers.

pub mod children;
pub mod forward;
pub mod git;
pub mod launch;
pub mod output;
pub mod run;
pub mod sidecar;

use std::{
    io,
    net::SocketAddr,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use jsonrpsee::core::client::Error as ClientError;
use nix::{errno::Errno, sys::signal::Signal};
use tokio::{
    net::TcpListener,
    signal::unix::{Signal as Signals, SignalKind, signal},
    task::JoinSet,
    time::timeout,
};

use crate::bottle::{
    config::Environment,
    init::{children::Children, run::Runs, sidecar::Sidecar},
};

/// From a signal to the agent's end. Docker's own patience with a container is the same 10 s.
const GRACE: Duration = Duration::from_secs(10);
/// For reaping and reporting an agent that was killed.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// What PID 1 is started with.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The sidecar's socket.
    pub socket: PathBuf,
    /// Where the forwarder listens.
    pub listen: SocketAddr,
    /// The process's environment.
    pub environment: Environment,
}

/// Why a bottle could not be started. Once it runs, it ends by a signal only.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// No runtime.
    #[error("cannot start the runtime")]
    Runtime(#[source] io::Error),
    /// Orphans would not come to us.
    #[error("cannot become the reaper of orphans")]
    Subreaper(#[source] Errno),
    /// No handler for a signal.
    #[error("cannot listen to signals")]
    Signals(#[source] io::Error),
    /// The forwarder's port is taken, or there is no loopback.
    #[error("cannot listen on {address}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The client could not be made.
    #[error("cannot make a client of {}", socket.display())]
    Client {
        /// Of which socket.
        socket: PathBuf,
        /// Why.
        source: ClientError,
    },
}

/// Runs the bottle until a signal ends it.
///
/// # Errors
/// When it cannot be set up.
pub async fn run(settings: Settings) -> Result<(), InitError> {
    // PID 1 is given all orphans anyway; this makes every other process behave the same.
    nix::sys::prctl::set_child_subreaper(true).map_err(InitError::Subreaper)?;
    let mut stop = StopSignals::new().map_err(InitError::Signals)?;
    let children = Children::default();
    let reaper = children.clone().reap().map_err(InitError::Signals)?;
    let listen_error = |source| InitError::Listen { address: settings.listen, source };
    let listener = TcpListener::bind(settings.listen).await.map_err(listen_error)?;
    let forwarder = listener.local_addr().map_err(listen_error)?;
    let sidecar = Sidecar::connect(&settings.socket)
        .map_err(|source| InitError::Client { socket: settings.socket.clone(), source })?;

    let mut helpers = JoinSet::new();
    helpers.spawn(reaper);
    helpers.spawn(forward::serve(listener, settings.socket.clone()));
    tracing::info!(socket = %settings.socket.display(), %forwarder, "bottle is waiting for a run");

    let stopping = Arc::new(AtomicBool::new(false));
    let runs = Runs {
        sidecar,
        children: children.clone(),
        place: launch::Place {
            environment: settings.environment,
            socket: settings.socket,
            forwarder,
        },
        stopping: Arc::clone(&stopping),
    };
    serve(runs, &children, &mut stop, &stopping).await;
    helpers.shutdown().await;
    Ok(())
}

/// Serves runs until a signal, then lets the one that is going on end.
async fn serve(runs: Runs, children: &Children, stop: &mut StopSignals, stopping: &AtomicBool) {
    let mut runs = std::pin::pin!(runs.serve());
    let first = tokio::select! {
        () = &mut runs => return,
        signal = stop.next() => signal,
    };
    stopping.store(true, Ordering::Relaxed);
    if !children.signal_agent(first) {
        tracing::info!(signal = %first, "stopped while no agent was running");
        return;
    }
    tracing::info!(signal = %first, "stopping, the agent has been told");
    tokio::select! {
        () = &mut runs => return,
        signal = stop.next() => tracing::warn!(%signal, "told again, the agent is killed"),
        () = tokio::time::sleep(GRACE) => tracing::warn!("the agent did not end in time, it is killed"),
    }
    children.signal_agent(Signal::SIGKILL);
    if timeout(LAST_WORDS, runs).await.is_err() {
        tracing::warn!("the run's end could not be reported");
    }
}

/// The signals that end a bottle.
struct StopSignals {
    terminate: Signals,
    interrupt: Signals,
    hang_up: Signals,
}

impl StopSignals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) -> Signal {
        tokio::select! {
            _ = self.terminate.recv() => Signal::SIGTERM,
            _ = self.interrupt.recv() => Signal::SIGINT,
            _ = self.hang_up.recv() => Signal::SIGHUP,
        }
    }
}
