//! Engine, sidecars, host and forge in memory.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    path::PathBuf,
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use axum::{
    Router,
    http::{StatusCode, Uri},
    response::{IntoResponse as _, Response},
};
use forge::gitea::Gitea;
use orchestrator::{
    daemon::{Gauges, ThisHost},
    effects::Sidecars,
    engine::{Change, ContainerSpec, Engine, EngineError, Role, Seen, spec::Places},
};
use orchestrator_core::{clock::Reading, host::Host, reconcile::Container};
use protocol::{
    control::Usage,
    error::{ErrorCode, RpcError},
    grant::{ForgeAccess, Grant, RunSpec, Secrets},
    ids::{Nonce, RunId, Slug},
    secret::Secret,
};
use tokio::{net::TcpListener, sync::Notify, task::JoinSet};
use url::Url;

use crate::support::{NONCE, name};

/// How an engine tells of changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Events {
    /// As they happen.
    #[default]
    Told,
    /// Never.
    Silent,
    /// Its stream breaks off at once.
    Broken,
    /// Again and again, although nothing happens.
    Flood,
}

/// Containers in memory. Every call is written down.
#[derive(Debug, Default)]
pub(super) struct Containers {
    pub(super) events: Mutex<Events>,
    /// Nobody gets an answer.
    pub(super) away: AtomicBool,
    /// It does not come to showing its containers.
    pub(super) blind: AtomicBool,
    /// Starting anything of these bottles ends in this.
    pub(super) refuse: Mutex<BTreeMap<Slug, Refusal>>,
    pub(super) calls: Mutex<Vec<String>>,
    containers: Mutex<BTreeMap<Slug, Seen>>,
    changed: Notify,
}

/// Why an engine does not start a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Its disk is full.
    Full,
    /// A fault of ours.
    Panic,
}

impl Containers {
    /// What somebody else does to a bottle's containers.
    pub(super) fn change(&self, slug: &str, change: impl FnOnce(&mut Seen)) {
        if let Some(seen) = self.containers.lock().unwrap().get_mut(&name::<Slug>(slug)) {
            change(seen);
        }
        self.changed.notify_one();
    }

    /// All containers end, as when the engine or the host is restarted.
    pub(super) fn end_all(&self) {
        for seen in self.containers.lock().unwrap().values_mut() {
            let ended = Container::Exited { code: 137, out_of_memory: false };
            *seen = Seen { sidecar: ended.clone(), bottle: ended };
        }
    }

    pub(super) fn seen(&self, slug: &str) -> Option<Seen> {
        self.containers.lock().unwrap().get(&name::<Slug>(slug)).cloned()
    }

    /// The calls of one kind about a bottle's own container.
    pub(super) fn count(&self, call: &str) -> usize {
        self.calls.lock().unwrap().iter().filter(|known| *known == call).count()
    }

    fn call(&self, what: &str, slug: &Slug, role: Role) -> Result<(), EngineError> {
        self.reach(what)?;
        self.calls.lock().unwrap().push(format!("{what} {}", role.container_name(slug)));
        Ok(())
    }

    fn reach(&self, what: &str) -> Result<(), EngineError> {
        if self.away.load(Ordering::SeqCst) {
            return Err(EngineError::Unreachable { what: what.to_owned(), source: "away".into() });
        }
        Ok(())
    }

    fn set(&self, slug: &Slug, role: Role, state: Container) {
        let mut containers = self.containers.lock().unwrap();
        let none = || Seen { sidecar: Container::Missing, bottle: Container::Missing };
        let seen = containers.entry(slug.clone()).or_insert_with(none);
        match role {
            Role::Sidecar => seen.sidecar = state,
            Role::Bottle => seen.bottle = state,
        }
    }

    fn get(&self, slug: &Slug, role: Role) -> Container {
        let seen = self.containers.lock().unwrap().get(slug).cloned();
        seen.map_or(Container::Missing, |seen| match role {
            Role::Sidecar => seen.sidecar,
            Role::Bottle => seen.bottle,
        })
    }
}

#[async_trait]
impl Engine for Containers {
    async fn prepare(&self) -> Result<(), EngineError> {
        self.reach("prepare")
    }
    async fn observe(&self) -> Result<BTreeMap<Slug, Seen>, EngineError> {
        self.reach("observe")?;
        if self.blind.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        Ok(self.containers.lock().unwrap().clone())
    }
    async fn ensure_running(&self, spec: &ContainerSpec) -> Result<(), EngineError> {
        self.call("run", &spec.slug, spec.role)?;
        let refusal = self.refuse.lock().unwrap().get(&spec.slug).copied();
        match refusal {
            None => {}
            Some(Refusal::Panic) => panic!("as ordered"),
            Some(Refusal::Full) => {
                let message = "mkdir /var/lib/docker/x: no space left on device".to_owned();
                let what = "create".to_owned();
                return Err(EngineError::Refused { what, message, transient: true });
            }
        }
        self.set(&spec.slug, spec.role, Container::Running);
        Ok(())
    }
    async fn ensure_paused(&self, slug: &Slug, role: Role) -> Result<Container, EngineError> {
        self.call("pause", slug, role)?;
        if self.get(slug, role) == Container::Running {
            self.set(slug, role, Container::Paused);
        }
        Ok(self.get(slug, role))
    }
    async fn ensure_stopped(&self, slug: &Slug, role: Role) -> Result<(), EngineError> {
        self.call("stop", slug, role)?;
        if matches!(self.get(slug, role), Container::Running | Container::Paused) {
            self.set(slug, role, Container::Exited { code: 143, out_of_memory: false });
        }
        Ok(())
    }
    async fn ensure_removed(&self, slug: &Slug, role: Role) -> Result<(), EngineError> {
        self.call("remove", slug, role)?;
        self.set(slug, role, Container::Missing);
        Ok(())
    }
    async fn output(&self, _: &Slug, _: Role, _: usize) -> Result<String, EngineError> {
        Ok(String::new())
    }
    async fn output_after(
        &self,
        _: &Slug,
        _: Role,
        _: Option<jiff::Timestamp>,
        _: usize,
    ) -> Result<Vec<(jiff::Timestamp, String)>, EngineError> {
        Ok(vec![])
    }
    async fn changed(&self) -> Result<Change, EngineError> {
        let events = *self.events.lock().unwrap();
        match events {
            Events::Told => self.changed.notified().await,
            Events::Silent => std::future::pending().await,
            Events::Flood => tokio::time::sleep(Duration::from_millis(1)).await,
            Events::Broken => {
                let what = "listen".to_owned();
                return Err(EngineError::Unreachable { what, source: "cut".into() });
            }
        }
        Ok(Change::Container)
    }
    async fn ping(&self) -> Result<(), EngineError> {
        self.reach("ping")
    }
}

/// Sidecars in memory.
#[derive(Debug, Default)]
pub(super) struct MemorySidecars {
    /// Every hand-over of a run.
    pub(super) runs: Mutex<Vec<RunId>>,
    /// Answers to hand-overs that get lost after the run was taken.
    pub(super) lose: AtomicU32,
    /// Bottles whose first process waits for a run.
    pub(super) waiting: Mutex<BTreeSet<Slug>>,
}

#[async_trait]
impl Sidecars for MemorySidecars {
    async fn configure(
        &self,
        _: &Slug,
        _: &Places,
        _: Grant,
        _: Secrets,
    ) -> Result<Nonce, RpcError> {
        Ok(name(NONCE))
    }
    async fn start_run(&self, _: &Slug, _: &Places, run: RunSpec) -> Result<(), RpcError> {
        self.runs.lock().unwrap().push(run.run);
        let lost = self.lose.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1));
        match lost {
            Ok(_) => Err(RpcError::new(ErrorCode::NotReady, "the answer was lost")),
            Err(_) => Ok(()),
        }
    }
    async fn drain(&self, _: &Slug, _: &Places) -> Result<(), RpcError> {
        Ok(())
    }
    async fn usage(&self, slug: &Slug, _: &Places) -> Result<Usage, RpcError> {
        let runs = self.runs.lock().unwrap();
        let own = runs.iter().rev().find(|run| run.as_str().starts_with(slug.as_str()));
        Ok(Usage {
            nonce: Some(name(NONCE)),
            run: own.cloned(),
            bottle_waiting: self.waiting.lock().unwrap().contains(slug),
            reads: 0,
            writes: 0,
            refusals: 0,
            queued_events: 0,
        })
    }
}

/// A host that has what a test says.
#[derive(Debug, Default)]
pub(super) struct Gauge {
    pub(super) host: Mutex<Host>,
    /// A file system does not answer.
    hangs: Mutex<bool>,
    answers: Condvar,
    /// Measurements that were begun.
    pub(super) begun: AtomicU32,
    /// Seconds that the wall clock is ahead of what it was at the start.
    pub(super) ahead: Mutex<i64>,
}

impl Gauge {
    /// Lets a file system hang, or answer again.
    pub(super) fn hang(&self, hangs: bool) {
        *self.hangs.lock().unwrap() = hangs;
        self.answers.notify_all();
    }
}

impl Gauges for Gauge {
    fn measure(&self, _: &[PathBuf]) -> Host {
        self.begun.fetch_add(1, Ordering::SeqCst);
        let hangs = self.hangs.lock().unwrap();
        // Not for ever: no thread may be left.
        drop(self.answers.wait_timeout_while(hangs, Duration::from_secs(30), |hangs| *hangs));
        self.host.lock().unwrap().clone()
    }
    fn clocks(&self) -> Reading {
        let ahead = jiff::SignedDuration::from_secs(*self.ahead.lock().unwrap());
        let now = ThisHost.clocks();
        Reading { wall: now.wall.saturating_add(ahead).unwrap(), ..now }
    }
}

/// Answers that come one after another.
type Answers = Mutex<VecDeque<(StatusCode, &'static str)>>;

/// A forge that says who asks, after some other answers, and fails at everything else.
pub(super) struct Account {
    /// What comes before the right answer.
    pub(super) before: Arc<Answers>,
    address: std::net::SocketAddr,
    _server: JoinSet<()>,
}

impl Account {
    pub(super) async fn start() -> Self {
        let before: Arc<Answers> = Arc::default();
        let answers = Arc::clone(&before);
        let answer = move |uri: Uri| std::future::ready(answer(&answers, &uri));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut server = JoinSet::new();
        let routes = Router::new().fallback(answer);
        server.spawn(async { axum::serve(listener, routes).await.unwrap() });
        Self { before, address, _server: server }
    }

    pub(super) fn url(&self) -> Url {
        Url::parse(&format!("http://{}/", self.address)).unwrap()
    }

    pub(super) fn client(&self) -> Gitea {
        let access = ForgeAccess {
            url: self.url(),
            ..crate::config::Place::new().load().unwrap().forge.access
        };
        Gitea::new(&access, Secret::parse("0123456789").unwrap()).unwrap()
    }
}

fn answer(before: &Answers, uri: &Uri) -> Response {
    if !uri.path().ends_with("/user") {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    }
    match before.lock().unwrap().pop_front() {
        Some(other) => other.into_response(),
        None => {
            axum::Json(serde_json::json!({ "id": 1, "login": "bottle-daemon" })).into_response()
        }
    }
}
