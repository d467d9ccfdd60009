//! The running sidecar: two sockets, signals, and an orderly end.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
    thread::JoinHandle,
};

use protocol::{agent, agent::AgentRpcServer as _, control, control::ControlRpcServer as _};
use rpc::server::{Limits, Service, bind, serve};
use tokio::{
    net::UnixListener,
    signal::unix::{SignalKind, signal},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;

use crate::{
    agent::AgentApi,
    config::Config,
    control::ControlApi,
    phase::{Forges, HttpForges, Settings, Sidecar},
    queue::{self, Queue},
    router::Router,
};

/// Anybody in the bottle may connect; nobody else sees the directory.
const AGENT_MODE: u32 = 0o666;
/// The orchestrator, which is the same user or root.
const CONTROL_MODE: u32 = 0o600;

/// Why the sidecar cannot run.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// The queue.
    #[error("cannot open the queue")]
    Queue(#[from] queue::OpenError),
    /// A socket.
    #[error("cannot listen on {}", path.display())]
    Socket {
        /// Its path.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// Signals.
    #[error("cannot listen for signals")]
    Signals(#[source] io::Error),
}

/// Runs until `shutdown` or SIGTERM, then drains. A second signal ends it at once.
///
/// # Errors
/// When it cannot start.
pub async fn run(config: &Config) -> Result<(), ProcessError> {
    let mut running = Running::start(config, Box::new(HttpForges), Settings::default())?;
    let mut terminate = signal(SignalKind::terminate()).map_err(ProcessError::Signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(ProcessError::Signals)?;
    let ending = running.sidecar.ending();
    tracing::info!(version = env!("CARGO_PKG_VERSION"), "sidecar is listening");
    tokio::select! {
        () = ending.cancelled() => {}
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tokio::select! {
        () = running.end() => tracing::info!("sidecar has ended"),
        _ = terminate.recv() => tracing::warn!("ended at once by a second signal"),
        _ = interrupt.recv() => tracing::warn!("ended at once by a second signal"),
    }
    Ok(())
}

/// A sidecar that serves its sockets; tests run it with a forge of their own.
#[derive(Debug)]
pub struct Running {
    /// What is served.
    pub sidecar: Arc<Sidecar>,
    tasks: JoinSet<()>,
    stop: CancellationToken,
    queue_thread: Option<JoinHandle<()>>,
}

impl Running {
    /// Opens queue and sockets, and serves them.
    ///
    /// # Errors
    /// When one of them cannot be opened.
    pub fn start(
        config: &Config,
        forges: Box<dyn Forges>,
        settings: Settings,
    ) -> Result<Self, ProcessError> {
        let (queue, thread) = Queue::open(&config.queue_dir)?;
        let sidecar = Arc::new(Sidecar::new(queue, forges, settings));
        let agent_socket = listen(&config.agent_dir, "agent.sock", AGENT_MODE)?;
        let control_socket = listen(&config.control_dir, "control.sock", CONTROL_MODE)?;
        let agent = Service::new(AgentApi(Arc::clone(&sidecar)).into_rpc(), agent::METHODS)
            .other(Arc::new(Router::new(Arc::clone(&sidecar))))
            .hang_up(sidecar.agent_hang_up());
        let control = Service::new(ControlApi(Arc::clone(&sidecar)).into_rpc(), control::METHODS);
        let (mut tasks, stop) = (JoinSet::new(), CancellationToken::new());
        tasks.spawn(serve(agent_socket, agent, Limits::agent(), stop.clone().cancelled_owned()));
        tasks.spawn(serve(
            control_socket,
            control,
            Limits::trusted(),
            stop.clone().cancelled_owned(),
        ));
        let (speaker, silence) = (Arc::clone(&sidecar), stop.clone());
        tasks.spawn(async move {
            silence.run_until_cancelled(speaker.check_in_for_ever()).await.unwrap_or(());
        });
        Ok(Self { sidecar, tasks, stop, queue_thread: Some(thread) })
    }

    /// Drains, lets answers under way end, and ends everything that was started.
    pub async fn end(&mut self) {
        self.sidecar.drain().await;
        self.stop.cancel();
        while self.tasks.join_next().await.is_some() {}
        // The thread ends with the last sender, which is in `sidecar`; it has nothing left to do.
        drop(self.queue_thread.take());
    }
}

fn listen(dir: &Path, name: &str, mode: u32) -> Result<UnixListener, ProcessError> {
    let path = dir.join(name);
    bind(&path, mode).map_err(|source| ProcessError::Socket { path, source })
}
