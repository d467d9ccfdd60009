//! The whole daemon in this process, over a container engine and sidecars in memory and a forge that
//! knows nothing but who asks.

mod lives;
mod operators;
mod starts;
mod world;

use std::{sync::Arc, time::Duration};

use orchestrator::{
    config::Config,
    daemon::{Ports, Running, ServeError, StateDir, assemble},
    life,
};
use orchestrator_core::bottle::{Bottle, State};
use tokio::time::Instant;

use self::world::{Account, Containers, Gauge, MemorySidecars};
use crate::{
    config::Place,
    support::{name, queued},
};

/// For anything to happen, on a machine that builds at the same time.
const PATIENCE: Duration = Duration::from_secs(30);

/// An installation; its daemon can be started again and again.
struct Rig {
    place: Place,
    engine: Arc<Containers>,
    sidecars: Arc<MemorySidecars>,
    gauge: Arc<Gauge>,
    account: Account,
}

impl Rig {
    async fn new() -> Self {
        let place = Place::new();
        std::fs::write(place.path("bottle"), b"").unwrap();
        Self {
            place,
            engine: Arc::default(),
            sidecars: Arc::default(),
            gauge: Arc::default(),
            account: Account::start().await,
        }
    }

    fn config(&self) -> Config {
        let mut config = self.place.load().unwrap();
        config.data_dir = self.place.path("data");
        config.engine.programs = self.place.path("");
        config.listen = ([127, 0, 0, 1], 0).into();
        config.slots = 4;
        config.forge.access.url = self.account.url();
        config.timing.retry_base = jiff::SignedDuration::from_millis(20);
        config
    }

    async fn try_start(&self, config: Config) -> Result<Running, ServeError> {
        let dir = StateDir::take(&config).await?;
        let mut ports = Ports::new(
            Arc::new(self.account.client()),
            Arc::clone(&self.engine) as _,
            Arc::clone(&self.sidecars) as _,
            "sidecar:test",
        );
        ports.gauges = Arc::clone(&self.gauge) as _;
        Running::start(assemble(config, dir, ports).await?).await
    }

    async fn start(&self) -> Running {
        self.try_start(self.config()).await.unwrap()
    }
}

/// Stores a bottle that waits for a slot, and gives it one if there is room.
async fn order(running: &Running, slug: &str, serial: u32) -> Bottle {
    let mut bottle = queued(slug, serial, u64::from(serial));
    bottle.home.forge = running.daemon().config.forge.access.id.clone();
    let (laws, made) = (running.daemon().laws(), bottle.clone());
    let create = move |books: &orchestrator::store::Books<'_>| {
        life::create(books, &laws, &made, jiff::Timestamp::now())
    };
    running.daemon().store.write(create).await.unwrap();
    running.daemon().work.notify_one();
    bottle
}

async fn bottle(running: &Running, slug: &str) -> Bottle {
    let slug = name(slug);
    let read = move |books: &orchestrator::store::Books<'_>| books.bottle(&slug);
    running.daemon().store.write(read).await.unwrap().unwrap()
}

/// Waits until a bottle's state is as wanted, and gives it.
async fn until(
    running: &Running,
    slug: &str,
    what: &str,
    wanted: impl Fn(&State) -> bool,
) -> State {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let state = bottle(running, slug).await.state;
        if wanted(&state) {
            return state;
        }
        assert!(Instant::now() < deadline, "{slug} is not {what} but {state:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

async fn until_running(running: &Running, slug: &str) -> State {
    until(running, slug, "running", |state| matches!(state, State::Running { .. })).await
}

async fn until_frozen(running: &Running, slug: &str) -> State {
    until(running, slug, "frozen", |state| matches!(state, State::Frozen { .. })).await
}
