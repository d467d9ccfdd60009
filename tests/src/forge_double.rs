//! A forge for tests: Gitea's API, real git over smart HTTP, signed webhooks, and faults.
//!
//! ```text
//! request ─► record ─► fault? ─► router ─► action ─► registry ─► webhooks (queue ─► receiver)
//! person method ───────────────────────────►┘   └──► git (bare repositories in a temp dir)
//! ```
//!
//! It is held to recordings of Gitea 1.15.11 (`fixtures/`), which a test replays. Where newer
//! Gitea has more (permission look-up, review comments, branches), the API description of
//! 1.25.3 was followed, and each exchange is held to it. It shares no code with the client it tests.
//!
//! It refuses nothing that Gitea would let pass: it is not the place for policy.

mod access;
mod action;
mod answer;
mod api;
mod clock;
mod delivery;
mod described;
mod fault;
mod forge;
mod gate;
mod git;
mod git_http;
mod hook;
mod issue;
mod person;
mod record;
mod registry;
mod server;
mod wire;

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
    sync::Arc,
};

use tempfile::TempDir;
use tokio::{net::TcpListener, task::JoinSet};
use tokio_util::sync::CancellationToken;

pub use self::{
    access::Access,
    action::{
        issue::NewIssue,
        push::{Push, RefUpdate},
        review::NewLineComment,
    },
    answer::Refusal,
    delivery::{
        Delivery,
        fault::{DeliveryFault, DeliveryFaultKind},
        signature::{sha1_hex, sha256_hex},
    },
    fault::{CannedAnswer, Fault, FaultKind},
    git::{
        GitError,
        log::{Commit, Signature},
    },
    issue::ReviewState,
    person::HookTarget,
    record::{BODY_KEPT_BYTES, RequestRecord},
    registry::{RepoPath, Unit},
};
use self::{delivery::Deliveries, described::Verdict, forge::Forge};

/// How to start the double.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The host that callers use, when it is not the address listened on: a container
    /// reaches the double through the gateway of its bridge.
    pub public_host: Option<String>,
}

impl Default for Options {
    /// A free port of the loopback interface.
    fn default() -> Self {
        Self { listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), public_host: None }
    }
}

/// The double could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address is taken or not ours.
    #[error("listen on {address}")]
    Listen {
        /// The address wanted.
        address: SocketAddr,
        /// Why not.
        source: std::io::Error,
    },
    /// There is no room for repositories.
    #[error("make a temporary folder")]
    Folder(#[source] std::io::Error),
}

/// A running forge. Dropping it ends its tasks and the git programs they started.
///
/// # Panics
/// When it is dropped after an exchange that the API's description does not know, see
/// `take_violations`.
#[derive(Debug)]
pub struct ForgeDouble {
    forge: Arc<Forge>,
    address: SocketAddr,
    stop: CancellationToken,
    tasks: JoinSet<()>,
    // After the tasks: they use it.
    folder: TempDir,
    // Last, because it may panic.
    _verdict: Verdict,
}

impl ForgeDouble {
    /// Listens, and serves from then on.
    ///
    /// # Errors
    /// `StartError` when it cannot listen or has no temporary folder.
    pub async fn start(options: Options) -> Result<Self, StartError> {
        let folder = tempfile::tempdir().map_err(StartError::Folder)?;
        let listen = |source| StartError::Listen { address: options.listen, source };
        let listener = TcpListener::bind(options.listen).await.map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        let host = options.public_host.unwrap_or_else(|| reachable(address.ip()));
        let base_url = format!("http://{host}:{}", address.port());
        let (deliveries, waiting) = Deliveries::new();
        let forge = Arc::new(Forge::new(base_url, folder.path(), Arc::clone(&deliveries)));
        let stop = CancellationToken::new();
        let mut tasks = JoinSet::new();
        let router = api::router(Arc::clone(&forge));
        tasks.spawn(server::accept(listener, Arc::clone(&forge), router, stop.clone()));
        tasks.spawn(delivery::deliver(deliveries, waiting, stop.clone()));
        let _verdict = Verdict(Arc::clone(&forge));
        Ok(Self { forge, address, stop, tasks, folder, _verdict })
    }

    /// The address that callers use, without a slash at the end.
    pub fn base_url(&self) -> &str {
        &self.forge.base_url
    }

    /// The address listened on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The clone URL of a repository, without credentials.
    pub fn clone_url(&self, repo: &str) -> String {
        format!("{}/{repo}.git", self.base_url())
    }

    /// The bare repository on disk.
    ///
    /// # Errors
    /// 422 when the name is not `owner/name`.
    pub fn repository_folder(&self, repo: &str) -> Result<PathBuf, Refusal> {
        Ok(self.forge.git.folder(&repo.parse()?))
    }

    /// Ends connections, deliveries and git programs, waits for them, removes the folder.
    pub async fn shutdown(mut self) {
        self.stop.cancel();
        while let Some(ended) = self.tasks.join_next().await {
            if let Err(error) = ended {
                tracing::warn!(%error, "task of the forge double failed");
            }
        }
        if let Err(error) = self.folder.close() {
            tracing::warn!(%error, "temporary folder of the forge double stays");
        }
    }

    /// Every request so far, oldest first.
    pub fn requests(&self) -> Vec<RequestRecord> {
        self.forge.requests.all()
    }

    /// What of all calls and answers so far does not fit the description of Gitea's API. What is
    /// taken here does not fail the test at its end.
    pub fn take_violations(&self) -> Vec<String> {
        self.forge.requests.take_violations()
    }

    /// Every push that git accepted, oldest first.
    pub fn pushes(&self) -> Vec<Push> {
        self.forge.read(|registry| registry.pushes.clone())
    }

    /// Every delivery of a webhook so far, oldest first; also those that were lost.
    pub fn deliveries(&self) -> Vec<Delivery> {
        self.forge.deliveries.all()
    }

    /// Waits until no webhook is queued or under way; held ones do not count.
    pub async fn deliveries_settled(&self) {
        self.forge.deliveries.settled().await;
    }

    /// Plans a fault of the API or of git.
    pub fn fault(&self, fault: Fault) {
        self.forge.faults.add(fault);
    }

    /// Forgets the faults of the API and of git that are still to come.
    pub fn clear_faults(&self) {
        self.forge.faults.clear();
    }

    /// Plans a fault of webhook delivery.
    pub fn delivery_fault(&self, fault: DeliveryFault) {
        self.forge.deliveries.plan(fault);
    }

    /// Sends the webhooks that `DeliveryFaultKind::Hold` kept, last first.
    pub fn release_held(&self) {
        self.forge.deliveries.release_held();
    }

    /// Sends a delivery of the history again, under its old id. False when there is none.
    pub fn redeliver(&self, delivery_id: &str) -> bool {
        let Some(old) = self.deliveries().into_iter().find(|old| old.id == delivery_id) else {
            return false;
        };
        let secret = self.forge.read(|registry| {
            let mut hooks = registry.repos.values().flat_map(|repo| &repo.hooks);
            hooks.find(|hook| hook.id == old.hook_id).map(|hook| hook.secret.clone())
        });
        self.forge.deliveries.redeliver(delivery_id, &secret.unwrap_or_default())
    }
}

/// An address one can connect to, for one that may mean "all".
fn reachable(ip: IpAddr) -> String {
    match ip {
        ip if ip.is_unspecified() => Ipv4Addr::LOCALHOST.to_string(),
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    }
}
