//! Running the parts, and ending them: new work is refused first, what is under way ends, then the
//! store closes. Bottles are left alone; they outlive the daemon.

use std::{future, net::SocketAddr, sync::Arc, time::Duration};

use protocol::operator::OperatorRpcServer as _;
use tokio::{
    net::{TcpListener, UnixListener},
    task::JoinSet,
};

use super::{Daemon, ServeError, halt, host, http::serve_http, lanes, look, queues, reconcile};
use crate::{
    intake::webhook::{self, Hooks},
    operator,
    store::{Books, StoreError},
};

/// For parts that are asked to end; an effect under way is cut then and repeated at the next start.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// A daemon at work. To be ended with [`Running::stop`]; dropped, it breaks off as by a crash.
#[derive(Debug)]
pub struct Running {
    daemon: Arc<Daemon>,
    parts: JoinSet<()>,
    listen: SocketAddr,
}

impl Running {
    /// Binds its sockets, makes what all bottles share, and starts its parts.
    ///
    /// # Errors
    /// When a socket is taken or the engine does not do its part; nothing runs then.
    pub async fn start(daemon: Daemon) -> Result<Self, ServeError> {
        let daemon = Arc::new(daemon);
        let asked = daemon.config.listen;
        let at = |source| ServeError::Listen { at: asked.to_string(), source };
        let hooks = TcpListener::bind(asked).await.map_err(at)?;
        let listen = hooks.local_addr().map_err(at)?;
        let socket = daemon.config.operator_socket();
        let operator = rpc::server::bind(&socket, 0o600)
            .map_err(|source| ServeError::Listen { at: socket.display().to_string(), source })?;
        daemon.engine.prepare().await?;
        // A clock that jumped while nobody looked, a disk that filled up.
        daemon.clock_jumped(jiff::SignedDuration::ZERO).await?;
        daemon.look_at_host().await?;
        watch_queues(&daemon).await?;
        let mut parts = JoinSet::new();
        parts.spawn(lanes::run(Arc::clone(&daemon)));
        parts.spawn(look::poll(Arc::clone(&daemon)));
        parts.spawn(queues::run(Arc::clone(&daemon)));
        parts.spawn(reconcile::run(Arc::clone(&daemon)));
        parts.spawn(reconcile::listen(Arc::clone(&daemon)));
        parts.spawn(host::run(Arc::clone(&daemon)));
        parts.spawn(halt::run(Arc::clone(&daemon)));
        parts.spawn(http(Arc::clone(&daemon), hooks));
        parts.spawn(operator::retention::run(Arc::clone(&daemon)));
        parts.spawn(sockets(Arc::clone(&daemon), operator));
        tracing::info!(%listen, data_dir = %daemon.config.data_dir.display(), "ready");
        Ok(Self { daemon, parts, listen })
    }

    /// The daemon.
    pub fn daemon(&self) -> &Arc<Daemon> {
        &self.daemon
    }

    /// Where webhooks come in; with the port that was chosen if the configuration says 0.
    pub fn listen(&self) -> SocketAddr {
        self.listen
    }

    /// Ready when it cannot go on: no part ends by itself.
    pub async fn broken(&mut self) {
        tokio::select! {
            Some(_) = self.parts.join_next() => {}
            () = self.daemon.store.closed() => {}
        }
    }

    /// Ends it in order.
    pub async fn stop(self) {
        self.stop_unless(future::pending()).await;
    }

    /// Ends it in order, or at once when `at_once` is ready first.
    pub async fn stop_unless(mut self, at_once: impl Future<Output = ()>) {
        self.daemon.stop.send_replace(true);
        tokio::select! {
            () = async { while self.parts.join_next().await.is_some() {} } => {}
            () = tokio::time::sleep(STOP_TIMEOUT) => {
                let parts = self.parts.len();
                tracing::warn!(parts, "cut off what did not end; it is done again at the next start");
            }
            () = at_once => {}
        }
        self.cut_off().await;
    }

    /// Breaks it off wherever it is, as a crash would, and waits until another daemon can take its
    /// data directory.
    pub async fn cut_off(self) {
        let Self { daemon, mut parts, .. } = self;
        parts.shutdown().await;
        let (store, lock) = (daemon.store.clone(), Arc::clone(&daemon.lock));
        drop(daemon);
        store.close().await;
        drop(lock);
    }
}

async fn watch_queues(daemon: &Daemon) -> Result<(), StoreError> {
    let live = |books: &Books<'_>| {
        Ok(books.live_bottles()?.into_iter().map(|bottle| bottle.slug).collect::<Vec<_>>())
    };
    for slug in daemon.store.write(live).await? {
        if daemon.executor.places(&slug).queue.join("new").is_dir() {
            daemon.relay.watch(&slug);
            // What came while nobody watched.
            if let Err(error) = daemon.relay.scan(&daemon.laws(), &slug).await {
                tracing::error!(%slug, %error, "cannot read a queue; it is read again");
            }
        }
    }
    Ok(())
}

async fn sockets(daemon: Arc<Daemon>, listener: UnixListener) {
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
        own: daemon.laws().rules.own_logins,
        pulse: Arc::clone(&daemon.pulse),
    };
    serve_http(listener, webhook::routes(hooks), daemon.stopped()).await;
}
