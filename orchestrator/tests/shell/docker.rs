//! The engine against a Docker daemon that is a table behind a socket, with the answers of a real
//! one (20.10.24) where something is missing.

mod faults;
mod features;
mod ownership;
mod world;

use std::{
    path::Path,
    sync::{Arc, Mutex, MutexGuard},
};

use axum::Router;
use orchestrator::{
    config::Profile,
    engine::{
        ContainerSpec, Engine as _, EngineError,
        docker::DockerEngine,
        spec::{self, Places},
    },
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{net::UnixListener, task::JoinSet};

use self::world::World;
use crate::support::queued;

const CLOSED: &str = "com.docker.network.bridge.enable_icc";

struct Rig {
    _dir: TempDir,
    world: Arc<Mutex<World>>,
    engine: DockerEngine,
    sidecar: ContainerSpec,
    bottle: ContainerSpec,
    _daemon: JoinSet<()>,
}

impl Rig {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("sidecar"), b"a program").unwrap();
        let socket = dir.path().join("docker.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let world = Arc::new(Mutex::new(World::default()));
        let app = Router::new().fallback(world::answer).with_state(Arc::clone(&world));
        let mut daemon = JoinSet::new();
        daemon.spawn(async { axum::serve(listener, app).await.unwrap() });
        let engine =
            DockerEngine::connect(Some(&socket), "00aa", "bot-bottle", dir.path()).await.unwrap();
        let record = queued("implementer-aaaaa", 1, 7);
        let places = Places::of(dir.path(), &record.slug);
        let sidecar = spec::sidecar(&record, &places, &engine.sidecar_image().unwrap());
        let profile = Profile { image: Some("mine:1".to_owned()), ..Profile::default() };
        let bottle = spec::bottle(&record, &places, &profile, Path::new("/lib/bottle"));
        Self { _dir: dir, world, engine, sidecar, bottle, _daemon: daemon }
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap()
    }

    /// With everything that both containers need.
    async fn ready() -> Self {
        let rig = Self::new().await;
        rig.engine.prepare().await.unwrap();
        rig.world().add_image("mine:1");
        rig
    }

    fn runs(&self, name: &str) -> bool {
        self.world
            .lock()
            .unwrap()
            .containers
            .get(name)
            .is_some_and(|found| found.status == "running")
    }

    /// As `docker system prune` would, of a bottle that sleeps cold.
    fn prune(&self) {
        let mut world = self.world.lock().unwrap();
        world.networks.clear();
        world.images.clear();
        for container in world.containers.values_mut() {
            container.status = "exited";
        }
    }
}

const BOTTLE: &str = "implementer-aaaaa";
const SIDECAR: &str = "implementer-aaaaa-sidecar";

#[tokio::test]
async fn a_pruned_network_and_image_are_made_anew_when_a_sidecar_needs_them() {
    let rig = Rig::new().await;
    rig.engine.prepare().await.unwrap();
    rig.engine.ensure_running(&rig.sidecar).await.unwrap();
    assert!(rig.runs(SIDECAR));

    rig.prune(); // its container refers to a network that is gone for ever
    rig.engine.ensure_running(&rig.sidecar).await.unwrap();
    assert!(rig.runs(SIDECAR));

    rig.prune();
    rig.engine.prepare().await.unwrap(); // a restart of the daemon made another network
    rig.engine.ensure_running(&rig.sidecar).await.unwrap();
    assert!(rig.runs(SIDECAR));

    rig.prune();
    rig.world.lock().unwrap().containers.clear(); // with everything else
    rig.engine.ensure_running(&rig.sidecar).await.unwrap();
    assert!(rig.runs(SIDECAR));
    let options = rig.world.lock().unwrap().networks["bot-bottle"].1.clone();
    assert_eq!(options, json!({ CLOSED: "false" }));
}

#[tokio::test]
async fn a_missing_image_of_a_bottle_stays_a_failure_that_says_what_to_do() {
    let rig = Rig::new().await;
    rig.engine.prepare().await.unwrap();
    let error = rig.engine.ensure_running(&rig.bottle).await.unwrap_err();
    assert!(!error.is_transient());
    let text = error.to_string();
    for words in ["No such image: mine:1", "build or pull", "bottles/<name>.toml"] {
        assert!(text.contains(words), "{text} lacks {words}");
    }
    rig.world.lock().unwrap().add_image("mine:1");
    rig.engine.ensure_running(&rig.bottle).await.unwrap();
    assert!(rig.runs("implementer-aaaaa"));
}

#[tokio::test]
async fn a_sidecar_image_that_cannot_be_made_any_more_ends_in_a_failure() {
    let rig = Rig::new().await;
    rig.engine.prepare().await.unwrap();
    let mut old = rig.sidecar.clone();
    old.image = "bot-bottle/sidecar:of-another-program".to_owned();
    let error = rig.engine.ensure_running(&old).await.unwrap_err();
    assert!(!error.is_transient());
    assert!(error.to_string().contains("restart the daemon"), "{error}");
}

#[tokio::test]
async fn a_network_in_which_sidecars_reach_each_other_is_refused() {
    for options in [Value::Null, json!({}), json!({ CLOSED: "true" })] {
        let rig = Rig::new().await;
        let network = ("id0".to_owned(), options.clone());
        rig.world.lock().unwrap().networks.insert("bot-bottle".to_owned(), network);
        let error = rig.engine.prepare().await.unwrap_err();
        assert!(matches!(error, EngineError::OpenNetwork { .. }), "{options}: {error}");
        assert!(!error.is_transient());
        assert!(error.to_string().contains("enable_icc=false"), "{error}");
    }
    let rig = Rig::new().await;
    let network = ("id0".to_owned(), json!({ CLOSED: "false" }));
    rig.world.lock().unwrap().networks.insert("bot-bottle".to_owned(), network);
    rig.engine.prepare().await.unwrap();
}
