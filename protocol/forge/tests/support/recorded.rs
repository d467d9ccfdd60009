//! A server on 127.0.0.1 that answers each request as a recording did, once and in order, and
//! refuses what was not recorded. Checks method, path, account and body, and each request against
//! the forge's own description of its API.

use std::{
    collections::BTreeSet,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, HeaderName, Method, StatusCode, Uri, header},
    response::{IntoResponse as _, Response},
};
use forge::gitea::{Bounds, Gitea};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::{net::TcpListener, task::JoinSet};

use super::{api_description::Description, client::client};

/// One exchange, as it stands in a file.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Recording {
    request: Asked,
    response: Answered,
}

#[derive(Debug, Clone, Deserialize)]
struct Asked {
    method: String,
    path: String,
    body: Value,
    #[serde(rename = "as")]
    account: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
struct Answered {
    status: u16,
    headers: Map<String, Value>,
    body: String,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/gitea-1.15.11/api")
}

/// The names of all exchanges there are.
pub(crate) fn all_names() -> BTreeSet<String> {
    let name = |entry: fs::DirEntry| entry.path().file_stem().unwrap().to_str().unwrap().to_owned();
    fs::read_dir(folder()).unwrap().map(|entry| name(entry.unwrap())).collect()
}

/// An exchange of the recordings, by its file's name without `.json`.
pub(crate) fn recording(name: &str) -> Recording {
    let path = folder().join(format!("{name}.json"));
    serde_json::from_slice(&fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display())))
        .unwrap()
}

/// An exchange that was not recorded: what another version, or this one elsewhere, answers.
pub(crate) fn made(method: &str, path: &str, status: u16, body: impl ToString) -> Recording {
    Recording {
        request: Asked {
            method: method.into(),
            path: path.into(),
            body: Value::Null,
            account: None,
        },
        response: Answered {
            status,
            headers: json!({"Content-Type": "application/json;charset=utf-8"})
                .as_object()
                .unwrap()
                .clone(),
            body: body.to_string(),
        },
    }
}

impl Recording {
    /// With another, or no, header.
    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.response.headers.insert(name.into(), value.into());
        self
    }

    /// With the value at a JSON pointer of the answer replaced.
    pub(crate) fn with(mut self, pointer: &str, value: Value) -> Self {
        let mut body: Value = serde_json::from_str(&self.response.body).unwrap();
        *body.pointer_mut(pointer).unwrap_or_else(|| panic!("nothing at {pointer}")) = value;
        self.response.body = body.to_string();
        self
    }

    /// As the answer to another question.
    pub(crate) fn asked_for(mut self, path: &str) -> Self {
        (self.request.method, self.request.path) = ("GET".to_owned(), path.to_owned());
        (self.request.body, self.request.account) = (Value::Null, None);
        self
    }

    /// What the answer has that the forge's description does not.
    pub(crate) fn misfits(&self, description: &Description) -> Vec<String> {
        let path = self.request.path.split('?').next().unwrap();
        let (status, body) = (self.response.status, self.response.body.as_bytes());
        description.check_answer(&self.request.method, path, status, body).err().unwrap_or_default()
    }

    /// The answer's JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.response.body).unwrap()
    }

    /// With another body of the answer.
    pub(crate) fn body(mut self, body: &str) -> Self {
        self.response.body = body.to_owned();
        self
    }

    /// The account whose token must come; nobody's where the recording had none.
    pub(crate) fn asked_by(mut self, account: &str) -> Self {
        self.request.account = Some(account.to_owned());
        self
    }

    /// The body that must come.
    pub(crate) fn expecting(mut self, body: Value) -> Self {
        self.request.body = body;
        self
    }

    fn fits(&self, method: &Method, uri: &Uri, account: &str, body: &Value) -> bool {
        let asked = &self.request;
        let whole = uri.path_and_query().map_or("", |path| path.as_str());
        asked.method == method.as_str()
            && (asked.path == whole || asked.path == without_page(whole))
            && asked.account.as_deref().is_none_or(|wanted| wanted == account)
            && asked.body == *body
    }
}

/// The recordings were made without the page that we always name.
fn without_page(path: &str) -> String {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let rest: Vec<&str> = query
        .split('&')
        .filter(|pair| !pair.starts_with("page=") && !pair.starts_with("limit="))
        .collect();
    let rest = rest.join("&").replace("%3A", ":");
    if rest.is_empty() { path.to_owned() } else { format!("{path}?{rest}") }
}

#[derive(Debug)]
struct Script {
    description: Description,
    waiting: Vec<Recording>,
    requests: Vec<String>,
    unexpected: Vec<String>,
}

/// The server; ends when dropped.
#[derive(Debug)]
pub(crate) struct Server {
    address: SocketAddr,
    script: Arc<Mutex<Script>>,
    _tasks: JoinSet<()>,
}

impl Server {
    /// Serves these exchanges.
    pub(crate) async fn start(exchanges: impl IntoIterator<Item = Recording>) -> Self {
        let (requests, unexpected) = Default::default();
        let waiting = exchanges.into_iter().collect();
        let script = Script { description: Description::load(), waiting, requests, unexpected };
        let script = Arc::new(Mutex::new(script));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let app = Router::new().fallback(answer).with_state(Arc::clone(&script));
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { address, script, _tasks: tasks }
    }

    /// Serves recordings of these names.
    pub(crate) async fn replay(names: &[&str]) -> Self {
        Self::start(names.iter().map(|name| recording(name))).await
    }

    /// A client of it with an account's token.
    pub(crate) fn client(&self, account: &str) -> Gitea {
        let once = Bounds { tries: 1, ..Bounds::default() };
        client(&format!("http://{}", self.address), account, once)
    }

    /// All requests, as `METHOD path?query`.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.script.lock().unwrap().requests.clone()
    }

    /// Checks that what was scripted was asked, all of it, and nothing else.
    pub(crate) fn finish(self) {
        let script = self.script.lock().unwrap();
        assert!(script.unexpected.is_empty(), "not expected: {:#?}", script.unexpected);
        assert!(script.waiting.is_empty(), "not asked for: {:#?}", script.waiting);
    }
}

async fn answer(
    State(script): State<Arc<Mutex<Script>>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let account = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let account = account
        .strip_prefix("token token-of-")
        .and_then(|rest| rest.strip_suffix("-0123456789abcdef"));
    let account = account.unwrap_or_default();
    let json: Value =
        if body.is_empty() { Value::Null } else { serde_json::from_slice(&body).unwrap() };
    assert!(headers[header::USER_AGENT].to_str().unwrap().starts_with("bot-bottle/"));
    let mut script = script.lock().unwrap();
    script.requests.push(format!("{method} {uri}"));
    let described =
        script.description.check_request(method.as_str(), uri.path(), uri.query(), &body);
    script.unexpected.extend(described.err().unwrap_or_default());
    let found =
        script.waiting.iter().position(|recording| recording.fits(&method, &uri, account, &json));
    let Some(at) = found else {
        script.unexpected.push(format!("{method} {uri} as {account}: {json}"));
        return (StatusCode::NOT_IMPLEMENTED, "not scripted").into_response();
    };
    let Answered { status, headers, body } = script.waiting.remove(at).response;
    let mut response = (StatusCode::from_u16(status).unwrap(), body).into_response();
    response.headers_mut().remove(header::CONTENT_TYPE);
    for (name, value) in headers {
        let name: HeaderName = name.parse().unwrap();
        response.headers_mut().insert(name, value.as_str().unwrap().parse().unwrap());
    }
    response
}
