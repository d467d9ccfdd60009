//! Running the parts, and ending them: new work is refused first, what is under way ends, then the
//! store closes. Bottles are left alone; they outlive the daemon.

use std::{path::PathBuf, sync::Arc, time::Duration};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use nix::fcntl::Flock;
use protocol::{limits, operator::OperatorRpcServer as _};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    sync::Semaphore,
    task::JoinSet,
};

use super::{Daemon, LockError, lanes, look, queues, reconcile, setup};
use crate::{
    config::Config,
    engine::EngineError,
    intake::webhook::{self, Hooks},
    operator,
    store::{Books, StoreError},
};

/// For parts that are asked to end; an effect under way is cut then and repeated at the next start.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);
/// Connections of forges and browsers at a time.
const HTTP_CONNECTIONS: usize = 256;

/// Why the daemon does not start, or ended.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// A directory cannot be made.
    #[error("cannot make {path}")]
    Files {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The data directory is taken.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The database cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The forge's address or certificate cannot be used.
    #[error("cannot set up the connection to the forge")]
    ForgeSetup(#[source] forge::gitea::SetupError),
    /// The forge refuses our token, or does not answer.
    #[error("the forge does not accept us")]
    Forge(#[source] forge::ForgeError),
    /// The container engine does not answer.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// An address or socket is taken.
    #[error("cannot listen at {at}")]
    Listen {
        /// Where.
        at: String,
        /// Why.
        source: std::io::Error,
    },
    /// A part of the daemon ended by itself; its panic is in the log.
    #[error("a part of the daemon broke off; bottles go on")]
    Broken,
    /// Signals cannot be received.
    #[error("cannot wait for signals")]
    Signals(#[source] std::io::Error),
}

/// Runs the daemon until SIGTERM or SIGINT. A second signal ends it at once.
///
/// # Errors
/// Whatever keeps it from starting. Afterwards it goes on whatever happens, but for a disk that
/// fails at a commit.
pub async fn serve(config: Config) -> Result<(), ServeError> {
    let mut terminate = signal(SignalKind::terminate()).map_err(ServeError::Signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(ServeError::Signals)?;
    let setup::Bound { daemon, hooks, operator, lock } = setup::bind(config).await?;
    daemon.engine.prepare().await?;
    watch_queues(&daemon).await?;
    let mut parts = JoinSet::new();
    parts.spawn(lanes::run(Arc::clone(&daemon)));
    parts.spawn(look::poll(Arc::clone(&daemon)));
    parts.spawn(queues::run(Arc::clone(&daemon)));
    parts.spawn(reconcile::run(Arc::clone(&daemon)));
    parts.spawn(reconcile::listen(Arc::clone(&daemon)));
    parts.spawn(http(Arc::clone(&daemon), hooks));
    parts.spawn(sockets(Arc::clone(&daemon), operator));
    tracing::info!(listen = %daemon.config.listen, data_dir = %daemon.config.data_dir.display(), "ready");
    let broken = tokio::select! {
        _ = terminate.recv() => false,
        _ = interrupt.recv() => false,
        // No part ends by itself: without it the daemon would be half alive. Whoever started it
        // starts it anew.
        Some(_) = parts.join_next() => true,
        () = daemon.store.closed() => true,
    };
    tracing::info!(broken, "stopping; bottles go on");
    daemon.stop.send_replace(true);
    tokio::select! {
        () = async { while parts.join_next().await.is_some() {} } => {}
        () = tokio::time::sleep(STOP_TIMEOUT) => {
            tracing::warn!(parts = parts.len(), "cut off what did not end; it is done again at the next start");
        }
        _ = terminate.recv() => tracing::warn!("second signal: ending at once"),
        _ = interrupt.recv() => tracing::warn!("second signal: ending at once"),
    }
    parts.shutdown().await;
    finish(daemon, lock).await;
    if broken { Err(ServeError::Broken) } else { Ok(()) }
}

async fn finish(daemon: Arc<Daemon>, lock: Flock<std::fs::File>) {
    let store = daemon.store.clone();
    drop(daemon);
    store.close().await;
    drop(lock);
}

async fn watch_queues(daemon: &Daemon) -> Result<(), StoreError> {
    let live = |books: &Books<'_>| {
        Ok(books.live_bottles()?.into_iter().map(|bottle| bottle.slug).collect::<Vec<_>>())
    };
    for slug in daemon.store.write(live).await? {
        if daemon.executor.places(&slug).queue.join("new").is_dir() {
            daemon.relay.watch(&slug);
            // What came while nobody watched.
            daemon.relay.scan(&daemon.laws(), &slug).await?;
        }
    }
    Ok(())
}

async fn sockets(daemon: Arc<Daemon>, listener: tokio::net::UnixListener) {
    let methods = operator::Operator::new(Arc::clone(&daemon)).into_rpc();
    let service = rpc::server::Service::new(methods, protocol::operator::METHODS);
    rpc::server::serve(listener, service, rpc::server::Limits::trusted(), daemon.stopped()).await;
}

async fn http(daemon: Arc<Daemon>, listener: TcpListener) {
    let hooks = Hooks {
        secrets: daemon.config.forge.webhook_secrets.clone(),
        repos: daemon.config.forge.repos.clone(),
        store: daemon.store.clone(),
        news: Arc::clone(&daemon.work),
    };
    serve_http(listener, webhook::routes(hooks), daemon.stopped()).await;
}

/// Serves HTTP with a bound on connections and on the time that a head may take.
pub async fn serve_http(listener: TcpListener, routes: Router, stop: impl Future<Output = ()>) {
    let places = Arc::new(Semaphore::new(HTTP_CONNECTIONS));
    let mut connections = JoinSet::new();
    tokio::pin!(stop);
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    // Out of descriptors: those in use will be given back.
                    tracing::warn!(%error, "cannot accept");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            },
            Some(_) = connections.join_next(), if !connections.is_empty() => continue,
            () = &mut stop => break,
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else { continue };
        let service = TowerToHyperService::new(routes.clone());
        connections.spawn(async move {
            let served = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(limits::FIRST_BYTE_TIMEOUT)
                .max_buf_size(64 << 10)
                .serve_connection(TokioIo::new(stream), service)
                .await;
            if let Err(error) = served {
                tracing::debug!(%error, "a connection ended badly");
            }
            drop(place);
        });
    }
    connections.shutdown().await;
}
