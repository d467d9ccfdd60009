//! The engine against a Docker daemon that is a table behind a socket, with the answers of a real
//! one (20.10.24) where something is missing.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::{Arc, Mutex},
};

use axum::{
    Json, Router,
    extract::State,
    http::{Method, StatusCode, Uri},
    response::{IntoResponse as _, Response},
};
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

use crate::support::queued;

const CLOSED: &str = "com.docker.network.bridge.enable_icc";

#[derive(Debug, Default)]
struct World {
    /// Name to id and options.
    networks: BTreeMap<String, (String, Value)>,
    images: BTreeSet<String>,
    containers: BTreeMap<String, Container>,
    made: u32,
}

#[derive(Debug)]
struct Container {
    asked: Value,
    /// The network's id, known from the first start on.
    network: Option<String>,
    running: bool,
}

impl World {
    fn id(&mut self) -> String {
        self.made += 1;
        format!("id{}", self.made)
    }

    fn create(&mut self, name: &str, asked: Value) -> Response {
        let image = asked["Image"].as_str().unwrap().to_owned();
        if !self.images.contains(&image) {
            return gone(&format!("No such image: {image}"));
        }
        self.containers.insert(name.to_owned(), Container { asked, network: None, running: false });
        (StatusCode::CREATED, Json(json!({ "Id": self.id(), "Warnings": [] }))).into_response()
    }

    fn start(&mut self, name: &str) -> Response {
        let container = self.containers.get_mut(name).unwrap();
        let network = container.asked["HostConfig"]["NetworkMode"].as_str().unwrap();
        if network != "none" {
            let now = self.networks.get(network).map(|(id, _)| id);
            match (&container.network, now) {
                (None, None) => return gone(&format!("network {network} not found")),
                (Some(id), now) if now != Some(id) => {
                    return gone(&format!("network {id} not found"));
                }
                (_, now) => container.network = now.cloned(),
            }
        }
        container.running = true;
        StatusCode::NO_CONTENT.into_response()
    }

    fn inspect(&self, name: &str) -> Response {
        let Some(container) = self.containers.get(name) else { return gone("no such container") };
        let status = if container.running { "running" } else { "exited" };
        Json(json!({
            "Id": "c", "State": { "Status": status },
            "Config": { "Labels": container.asked["Labels"] },
        }))
        .into_response()
    }

    fn answer(&mut self, method: &Method, uri: &Uri, body: &[u8]) -> Response {
        let asked = || serde_json::from_slice::<Value>(body).unwrap();
        let query: BTreeMap<String, String> =
            url::form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes())
                .into_owned()
                .collect();
        let path = uri.path().trim_start_matches("/v1.41");
        let words: Vec<&str> = path.split('/').skip(1).collect();
        match (method.as_str(), words.as_slice()) {
            ("GET", ["version"]) => {
                Json(json!({ "ApiVersion": "1.41", "Version": "20.10.24" })).into_response()
            }
            ("GET", ["networks", name]) => match self.networks.get(*name) {
                Some((id, options)) => {
                    Json(json!({ "Id": id, "Name": name, "Options": options })).into_response()
                }
                None => gone(&format!("network {name} not found")),
            },
            ("POST", ["networks", "create"]) => {
                let (asked, id) = (asked(), self.id());
                let name = asked["Name"].as_str().unwrap().to_owned();
                self.networks.insert(name, (id.clone(), asked["Options"].clone()));
                (StatusCode::CREATED, Json(json!({ "Id": id, "Warning": "" }))).into_response()
            }
            ("GET", ["images", name @ .., "json"]) => {
                let name = name.join("/").replace("%3A", ":").replace("%2F", "/");
                if self.images.contains(&name) {
                    Json(json!({ "Id": "i" })).into_response()
                } else {
                    gone("no such image")
                }
            }
            ("POST", ["images", "create"]) => {
                self.images.insert(format!("{}:{}", query["repo"], query["tag"]));
                Json(json!({ "status": "done" })).into_response()
            }
            ("POST", ["containers", "create"]) => self.create(&query["name"], asked()),
            ("GET", ["containers", name, "json"]) => self.inspect(name),
            ("POST", ["containers", name, "start"]) => self.start(name),
            ("DELETE", ["containers", name]) => {
                self.containers.remove(*name);
                StatusCode::NO_CONTENT.into_response()
            }
            other => panic!("unexpected: {other:?}"),
        }
    }
}

fn gone(message: &str) -> Response {
    (StatusCode::NOT_FOUND, Json(json!({ "message": message }))).into_response()
}

async fn answer(
    State(world): State<Arc<Mutex<World>>>,
    method: Method,
    uri: Uri,
    body: axum::body::Bytes,
) -> Response {
    world.lock().unwrap().answer(&method, &uri, &body)
}

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
        let app = Router::new().fallback(answer).with_state(Arc::clone(&world));
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

    fn runs(&self, name: &str) -> bool {
        self.world.lock().unwrap().containers.get(name).is_some_and(|found| found.running)
    }

    /// As `docker system prune` would, of a bottle that sleeps cold.
    fn prune(&self) {
        let mut world = self.world.lock().unwrap();
        world.networks.clear();
        world.images.clear();
        for container in world.containers.values_mut() {
            container.running = false;
        }
    }
}

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
    rig.world.lock().unwrap().images.insert("mine:1".to_owned());
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
