//! A Docker daemon that is a table, with the answers of a real one (20.10.24).

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
};

use axum::{
    Json,
    extract::State,
    http::{Method, StatusCode, Uri},
    response::{IntoResponse as _, Response},
};
use serde_json::{Value, json};

/// What it has, and how it answers.
#[derive(Debug)]
pub(super) struct World {
    /// Name to id and options.
    pub(super) networks: BTreeMap<String, (String, Value)>,
    /// Name to architecture.
    pub(super) images: BTreeMap<String, String>,
    /// By name.
    pub(super) containers: BTreeMap<String, Container>,
    /// What `/info` says.
    pub(super) info: Value,
    /// Calls that do what they are asked and answer nothing, by their last word.
    pub(super) mute: BTreeSet<&'static str>,
    /// Calls that answer this and do nothing, by their last word; inspections by the name.
    pub(super) refuse: BTreeMap<String, (u16, String)>,
    /// Every call that changes something, as its words.
    pub(super) changes: Vec<String>,
    /// What the list shows in place of the image's name.
    pub(super) listed_image: Option<String>,
    /// What `/events` tells, and each query that asked.
    pub(super) events: Vec<Value>,
    pub(super) asked_events: Vec<String>,
    made: u32,
}

/// One container.
#[derive(Debug, Clone)]
pub(super) struct Container {
    pub(super) id: String,
    pub(super) labels: Value,
    pub(super) image: String,
    pub(super) status: &'static str,
    pub(super) exit_code: i64,
    pub(super) started: bool,
    network_mode: String,
    /// The network's id, known from the first start on.
    network: Option<String>,
}

/// An engine that can do all that is needed.
pub(super) fn good_info() -> Value {
    json!({
        "OSType": "linux", "Architecture": "x86_64", "CgroupVersion": "1",
        "MemoryLimit": true, "SwapLimit": true, "PidsLimit": true,
        "SecurityOptions": ["name=seccomp,profile=default"], "DockerRootDir": "/var/lib/docker",
    })
}

impl Default for World {
    fn default() -> Self {
        Self {
            networks: BTreeMap::new(),
            images: BTreeMap::new(),
            containers: BTreeMap::new(),
            info: good_info(),
            mute: BTreeSet::new(),
            refuse: BTreeMap::new(),
            changes: Vec::new(),
            listed_image: None,
            events: Vec::new(),
            asked_events: Vec::new(),
            made: 0,
        }
    }
}

impl World {
    pub(super) fn add_image(&mut self, name: &str) {
        self.images.insert(name.to_owned(), "amd64".to_owned());
    }

    /// A container that somebody made by hand.
    pub(super) fn put(&mut self, name: &str, image: &str, labels: Value, status: &'static str) {
        let container = Container {
            id: self.id(),
            labels,
            image: image.to_owned(),
            status,
            exit_code: 0,
            started: status != "created",
            network_mode: "none".to_owned(),
            network: None,
        };
        self.containers.insert(name.to_owned(), container);
    }

    fn id(&mut self) -> String {
        self.made += 1;
        format!("id{}", self.made)
    }

    fn create(&mut self, name: &str, asked: &Value) -> Response {
        let text = |place: &str| {
            asked.pointer(place).and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        let image = text("/Image");
        if !self.images.contains_key(&image) {
            return told(404, &format!("No such image: {image}"));
        }
        if let Some(there) = self.containers.get(name) {
            let message = format!("The container name {name:?} is in use by {}", there.id);
            return told(409, &message);
        }
        let id = self.id();
        let container = Container {
            id: id.clone(),
            labels: asked["Labels"].clone(),
            image,
            status: "created",
            exit_code: 0,
            started: false,
            network_mode: text("/HostConfig/NetworkMode"),
            network: None,
        };
        self.containers.insert(name.to_owned(), container);
        (StatusCode::CREATED, Json(json!({ "Id": id, "Warnings": [] }))).into_response()
    }

    fn start(&mut self, name: &str) -> Response {
        let Some(container) = self.containers.get_mut(name) else { return told(404, "none") };
        if container.network_mode != "none" {
            let network = container.network_mode.clone();
            let now = self.networks.get(&network).map(|(id, _)| id);
            match (&container.network, now) {
                (None, None) => return told(404, &format!("network {network} not found")),
                (Some(id), now) if now != Some(id) => {
                    return told(404, &format!("network {id} not found"));
                }
                (_, now) => container.network = now.cloned(),
            }
        }
        (container.status, container.started) = ("running", true);
        done()
    }

    fn become_from(&mut self, name: &str, from: &[&str], to: &'static str, code: u16) -> Response {
        let Some(container) = self.containers.get_mut(name) else { return told(404, "none") };
        if !from.contains(&container.status) {
            return told(code, &format!("Container {name} is {}", container.status));
        }
        // A paused container is killed after its grace time (CASES 173).
        container.exit_code = if container.status == "paused" { 137 } else { 143 };
        container.status = to;
        done()
    }

    fn inspect(&self, name: &str) -> Response {
        if let Some((status, message)) = self.refuse.get(name) {
            return told(*status, message);
        }
        let Some(container) = self.containers.get(name) else { return told(404, "none") };
        let started =
            if container.started { "2026-03-01T10:00:00Z" } else { "0001-01-01T00:00:00Z" };
        Json(json!({
            "Id": container.id,
            "State": {
                "Status": container.status, "ExitCode": container.exit_code, "StartedAt": started,
            },
            "Config": { "Labels": container.labels, "Image": container.image },
        }))
        .into_response()
    }

    fn list(&self) -> Response {
        let rows = self.containers.iter().map(|(name, container)| {
            json!({
                "Id": container.id, "Names": [format!("/{name}")], "Image": self.listed_image.as_ref().unwrap_or(&container.image),
                "Labels": container.labels, "State": container.status,
            })
        });
        Json(rows.collect::<Vec<_>>()).into_response()
    }

    /// A container is called by name or id.
    fn name_of(&self, word: &str) -> String {
        let by_id = self.containers.iter().find(|(_, container)| container.id == word);
        by_id.map_or_else(|| word.to_owned(), |(name, _)| name.clone())
    }

    fn act(
        &mut self,
        method: &str,
        words: &[&str],
        query: &BTreeMap<String, String>,
        body: &[u8],
    ) -> Response {
        let asked = || serde_json::from_slice::<Value>(body).unwrap();
        match (method, words) {
            ("POST", ["networks", "create"]) => {
                let (asked, id) = (asked(), self.id());
                let name = asked["Name"].as_str().unwrap().to_owned();
                self.networks.insert(name, (id.clone(), asked["Options"].clone()));
                (StatusCode::CREATED, Json(json!({ "Id": id, "Warning": "" }))).into_response()
            }
            ("POST", ["images", "create"]) => {
                self.add_image(&format!("{}:{}", query["repo"], query["tag"]));
                Json(json!({ "status": "done" })).into_response()
            }
            ("POST", ["containers", "create"]) => self.create(&query["name"], &asked()),
            ("POST", ["containers", name, "start"]) => self.start(&self.name_of(name)),
            ("POST", ["containers", name, "pause"]) => {
                self.become_from(&self.name_of(name), &["running"], "paused", 409)
            }
            ("POST", ["containers", name, "unpause"]) => {
                self.become_from(&self.name_of(name), &["paused"], "running", 500)
            }
            ("POST", ["containers", name, "stop"]) => {
                self.become_from(&self.name_of(name), &["running", "paused"], "exited", 304)
            }
            ("POST", ["containers", name, "rename"]) => {
                let Some(container) = self.containers.remove(&self.name_of(name)) else {
                    return told(404, "none");
                };
                self.containers.insert(query["name"].clone(), container);
                done()
            }
            ("DELETE", ["containers", name]) => match self.containers.remove(&self.name_of(name)) {
                Some(_) => done(),
                None => told(404, "none"),
            },
            other => panic!("unexpected: {other:?}"),
        }
    }

    fn look(&mut self, words: &[&str], query: &str) -> Response {
        match words {
            ["version"] => Json(json!({
                "ApiVersion": "1.41", "Version": "20.10.24", "Os": "linux", "Arch": "amd64",
            }))
            .into_response(),
            ["info"] => Json(self.info.clone()).into_response(),
            ["_ping"] => "OK".into_response(),
            ["events"] => {
                self.asked_events.push(query.to_owned());
                let lines = self.events.iter().map(|event| format!("{event}\n"));
                lines.collect::<String>().into_response()
            }
            ["networks", name] => match self.networks.get(*name) {
                Some((id, options)) => {
                    Json(json!({ "Id": id, "Name": name, "Options": options })).into_response()
                }
                None => told(404, &format!("network {name} not found")),
            },
            ["images", name @ .., "json"] => {
                let name = name.join("/").replace("%3A", ":").replace("%2F", "/");
                match self.images.get(&name) {
                    Some(kind) => Json(json!({ "Id": "i", "Os": "linux", "Architecture": kind }))
                        .into_response(),
                    None => told(404, "no such image"),
                }
            }
            ["containers", "json"] => self.list(),
            ["containers", name, "json"] => self.inspect(&self.name_of(name)),
            other => panic!("unexpected: {other:?}"),
        }
    }

    fn answer(&mut self, method: &Method, uri: &Uri, body: &[u8]) -> Response {
        let query: BTreeMap<String, String> =
            url::form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes())
                .into_owned()
                .collect();
        let path = uri.path().trim_start_matches("/v1.41");
        let words: Vec<&str> = path.split('/').skip(1).collect();
        let last = words.last().copied().unwrap_or_default().to_owned();
        if let Some((status, message)) = self.refuse.get(&last) {
            return told(*status, message);
        }
        if method == Method::GET {
            return self.look(&words, uri.query().unwrap_or_default());
        }
        self.changes.push(format!("{method} {}", words.join(" ")));
        let answer = self.act(method.as_str(), &words, &query, body);
        if self.mute.remove(last.as_str()) {
            // Done, and the answer is lost: what a client gets of a daemon that dies at that moment.
            return (StatusCode::OK, "{").into_response();
        }
        answer
    }
}

fn done() -> Response {
    StatusCode::NO_CONTENT.into_response()
}

fn told(status: u16, message: &str) -> Response {
    let status = StatusCode::from_u16(status).unwrap();
    (status, Json(json!({ "message": message }))).into_response()
}

/// The answer to any request.
pub(super) async fn answer(
    State(world): State<Arc<Mutex<World>>>,
    method: Method,
    uri: Uri,
    body: axum::body::Bytes,
) -> Response {
    world.lock().unwrap().answer(&method, &uri, &body)
}
