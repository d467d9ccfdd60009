//! Answering a Unix socket.
//!
//! What happens to a connection that misbehaves is decided here and in the parts below; methods see
//! well-formed calls only. A method runs to its end even when its caller hangs up, so that a write
//! is never cut between the forge and its record.

mod call;
mod connection;
mod http;
mod limits;
mod socket;

use std::{
    fmt,
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use ::http::{Request, Response};
use async_trait::async_trait;
use hyper::body::Incoming;
use jsonrpsee::Methods;
use tokio::{
    net::UnixListener,
    sync::{Semaphore, watch},
    task::JoinSet,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub use self::{
    http::{Body, BodyError, empty, full, text},
    limits::Limits,
    socket::bind,
};

/// The methods of a socket with the parameters of each, e.g. `protocol::agent::METHODS`.
pub type Known = &'static [(&'static str, &'static [&'static str])];

/// What is served on a socket.
#[derive(Clone)]
pub struct Service {
    methods: Methods,
    known: Known,
    other: Option<Arc<dyn Other>>,
    hang_up: HangUp,
}

/// Answers what is not `POST /`.
#[async_trait]
pub trait Other: Send + Sync {
    /// Answers one request. The future is dropped when the caller goes away; bounds on the body's
    /// size and time are this handler's own.
    async fn handle(&self, request: Request<Incoming>) -> Response<Body>;
}

/// Ends all connections of a server, which goes on accepting new ones.
#[derive(Debug, Clone)]
pub struct HangUp(watch::Sender<u64>);

impl Default for HangUp {
    fn default() -> Self {
        Self(watch::Sender::new(0))
    }
}

impl HangUp {
    /// Lets each connection finish the answer it is writing, for at most `Limits::grace`, and
    /// closes it.
    pub fn all(&self) {
        self.0.send_modify(|round| *round += 1);
    }
}

impl Service {
    /// A service of RPC methods only. Parameters that `known` does not list are refused.
    pub fn new(methods: impl Into<Methods>, known: Known) -> Self {
        Self { methods: methods.into(), known, other: None, hang_up: HangUp::default() }
    }

    /// Adds a handler for everything that is not `POST /`.
    #[must_use]
    pub fn other(mut self, other: Arc<dyn Other>) -> Self {
        self.other = Some(other);
        self
    }

    /// Lets `hang_up` end this server's connections.
    #[must_use]
    pub fn hang_up(mut self, hang_up: HangUp) -> Self {
        self.hang_up = hang_up;
        self
    }
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service").field("known", &self.known).finish_non_exhaustive()
    }
}

/// What all connections of one server share.
struct Shared {
    service: Service,
    limits: Limits,
    /// Places for calls in flight.
    places: Arc<Semaphore>,
    /// Running methods; they outlive their connections.
    calls: TaskTracker,
    /// Cuts methods that did not end within the grace of a stop.
    cut: CancellationToken,
    /// Lets connections end.
    stopping: CancellationToken,
    /// Accepted so far, for the log.
    accepted: AtomicU64,
}

/// Pause after a failed `accept`, which is how running out of file descriptors shows (CASES 41).
const ACCEPT_BACK_OFF: Duration = Duration::from_millis(100);

/// Serves until `stop` is ready, then gives connections and running methods `Limits::grace` to end
/// and cuts the rest. Returns when nothing of it runs any more. The socket's file stays.
pub async fn serve(
    listener: UnixListener,
    service: Service,
    limits: Limits,
    stop: impl Future<Output = ()>,
) {
    let connections = Arc::new(Semaphore::new(limits.connections));
    let shared = Arc::new(Shared {
        service,
        limits,
        places: Arc::new(Semaphore::new(limits.in_flight)),
        calls: TaskTracker::new(),
        cut: CancellationToken::new(),
        stopping: CancellationToken::new(),
        accepted: AtomicU64::new(0),
    });
    let mut tasks = JoinSet::new();
    tokio::pin!(stop);
    loop {
        let accepted = tokio::select! {
            biased;
            () = &mut stop => break,
            Some(_ended) = tasks.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => match Arc::clone(&connections).try_acquire_owned() {
                Ok(permit) => {
                    tasks.spawn(connection::run(stream, Arc::clone(&shared), permit));
                }
                Err(_) => tracing::warn!(
                    limit = limits.connections,
                    "too many connections, one was hung up on"
                ),
            },
            Err(error) => {
                tracing::warn!(%error, "no connection could be accepted");
                tokio::time::sleep(ACCEPT_BACK_OFF).await;
            }
        }
    }
    drop(listener);
    wind_down(&shared, tasks).await;
}

/// Ends connections and methods within the grace.
async fn wind_down(shared: &Shared, mut tasks: JoinSet<()>) {
    shared.stopping.cancel();
    shared.calls.close();
    let all_ended = async {
        while tasks.join_next().await.is_some() {}
        shared.calls.wait().await;
    };
    if tokio::time::timeout(shared.limits.grace, all_ended).await.is_err() {
        tracing::warn!(calls = shared.calls.len(), "cutting calls that did not end in time");
    }
    shared.cut.cancel();
    tasks.shutdown().await;
    shared.calls.wait().await;
}
