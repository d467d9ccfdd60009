//! The daemon: starts its parts, gives work to lanes, stops in order.
//!
//! One lane per issue for hints, one per bottle for effects: what belongs together is done in
//! order, what does not runs side by side. Which lanes have work is asked of the store, never
//! remembered: after a crash the same question gives the same answer.

mod halt;
mod host;
mod http;
mod lanes;
mod look;
mod ports;
mod queues;
mod reconcile;
mod restored;
mod running;
mod serve;
mod setup;

use std::{
    fs::File,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use forge::Forge;
use nix::fcntl::Flock;
use orchestrator_core::{
    event::Event,
    host::{HostLimits, Lack},
    policy::Rules,
};
use protocol::ids::{Login, Slug};
use tokio::sync::{Notify, OnceCell, watch};

use crate::{
    clock,
    config::Config,
    effects::Executor,
    engine::Engine,
    intake::{pulse::Pulse, queue::Relay},
    life::{self, Laws, Told},
    store::{Store, StoreError},
};

pub use host::{Gauges, ThisHost};
pub use http::serve_http;
pub use look::{Explanation, LookError};
pub use ports::Ports;
pub use running::Running;
pub use serve::{ServeError, serve};
pub use setup::{LockError, StateDir, assemble};

/// What all parts of the daemon share.
#[derive(Debug)]
pub struct Daemon {
    /// What it was told.
    pub config: Arc<Config>,
    /// What it remembers.
    pub store: Store,
    /// The forge, with the daemon's own token.
    pub forge: Arc<dyn Forge>,
    /// The container engine.
    pub engine: Arc<dyn Engine>,
    /// Does effects.
    pub executor: Executor,
    /// Reads the bottles' queues.
    pub relay: Relay,
    /// Told when lanes may have work.
    pub work: Arc<Notify>,
    /// Told when containers may have changed.
    pub drift: Arc<Notify>,
    /// How news comes in, beside what the store keeps.
    pub pulse: Arc<Pulse>,
    /// Our own account on the forge.
    own: Login,
    /// Its laws without what may change while it runs.
    laws: Laws,
    /// Measures the host.
    gauges: Arc<dyn Gauges>,
    /// What the host must keep.
    host_limits: HostLimits,
    /// What they showed.
    measured: host::Measured,
    /// What it has too little of, as it was found last.
    lack: Mutex<Option<Lack>>,
    /// Where the engine keeps its containers; asked once.
    engine_root: OnceCell<PathBuf>,
    /// Turns true when it is to end.
    stop: watch::Sender<bool>,
    /// One daemon per data directory; held until the store is closed.
    lock: Arc<Flock<File>>,
}

impl Daemon {
    /// The laws as they are now: the kill switch is a file, so that it works without the daemon; the
    /// host is measured from time to time.
    pub fn laws(&self) -> Laws {
        let mut laws = self.laws.clone();
        laws.rules.kill_switch = self.config.kill_switch_file().exists();
        laws.lack = self.lack();
        laws
    }

    /// Tells a bottle something and lets the lanes act on it.
    ///
    /// # Errors
    /// The store's.
    pub async fn tell(&self, slug: &Slug, event: Event) -> Result<Told, StoreError> {
        let (laws, slug) = (self.laws(), slug.clone());
        let told = self
            .store
            .write(move |books| life::tell(books, &laws, &slug, &event, clock::now()))
            .await;
        self.work.notify_one();
        told
    }

    /// Waits, but not beyond the daemon's end.
    pub(crate) async fn rest(&self, pause: Duration) {
        drop(tokio::time::timeout(pause, self.stopped()).await);
    }

    /// Ready when the daemon is to end.
    pub async fn stopped(&self) {
        // An error means that the sender is gone, which is the end as well.
        drop(self.stop.subscribe().wait_for(|stop| *stop).await);
    }
}

/// A label `<this><agent>` asks for an agent.
const AGENT_LABEL: &str = "bot-bottle:";

fn rules(config: &Config, own: Login) -> Rules {
    let mut own_logins: std::collections::BTreeSet<_> =
        config.agents.values().map(|agent| agent.identity.login.clone()).collect();
    own_logins.insert(own);
    Rules {
        agent_label: AGENT_LABEL.to_owned(),
        profile_label: "bot-bottle-bottle:".to_owned(),
        repos: config.forge.repos.iter().cloned().collect(),
        agents: config
            .agents
            .iter()
            .map(|(name, agent)| (name.clone(), agent.profiles.clone()))
            .collect(),
        profiles: config.profiles.keys().cloned().collect(),
        own_logins,
        kill_switch: false,
    }
}
