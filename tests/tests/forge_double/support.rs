//! One helper per kind of test: an HTTP client, a webhook receiver, a git work tree.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, Method, Request, StatusCode},
    routing::post,
};
use e2e::forge_double::{Access, ForgeDouble, HookTarget, Options};
use http_body_util::{BodyExt as _, Full};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use serde_json::Value;
use tempfile::TempDir;
use tokio::{net::TcpListener, process::Command, task::JoinSet, time::timeout};

/// Long enough for a loaded machine, short enough to notice.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// An answer, read to its end.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Reply {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }
}

/// One request; `Err` when the connection breaks.
pub(crate) async fn try_call(
    method: &str,
    url: &str,
    authorization: Option<&str>,
    body: Option<&Value>,
) -> Result<Reply, hyper_util::client::legacy::Error> {
    let client = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build_http();
    let mut request =
        Request::builder().method(Method::from_bytes(method.as_bytes()).unwrap()).uri(url);
    if let Some(authorization) = authorization {
        request = request.header("Authorization", authorization);
    }
    let bytes = body.map(|body| Bytes::from(body.to_string())).unwrap_or_default();
    let request =
        request.header("Content-Type", "application/json").body(Full::new(bytes)).unwrap();
    let response = client.request(request).await?;
    let (head, body) = response.into_parts();
    let text = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
    Ok(Reply { status: head.status.as_u16(), headers: head.headers, text })
}

/// A forge with alice (owner of `alice/widget`), bob, mallory, and the bot, who may write.
pub(crate) struct Team {
    pub(crate) forge: ForgeDouble,
}

pub(crate) const REPO: &str = "alice/widget";
pub(crate) const BOT: &str = "implementer-bot";

impl Team {
    pub(crate) async fn start() -> Self {
        let forge = ForgeDouble::start(Options::default()).await.unwrap();
        for login in ["alice", "bob", BOT, "mallory"] {
            forge.create_user(login).await.unwrap();
        }
        forge.create_repo("alice", REPO).await.unwrap();
        forge.add_collaborator("alice", REPO, BOT, Access::Write).await.unwrap();
        Self { forge }
    }

    /// Calls the API as a user; the path begins after `/api/v1`.
    pub(crate) async fn api(&self, user: &str, method: &str, path: &str, body: Value) -> Reply {
        let url = format!("{}/api/v1{path}", self.forge.base_url());
        let authorization = format!("token {}", self.forge.token(user).unwrap());
        let body = if body.is_null() { None } else { Some(&body) };
        try_call(method, &url, Some(&authorization), body).await.unwrap()
    }

    /// Sets up a receiver for all events of the repository.
    pub(crate) async fn listen(&self) -> Receiver {
        let receiver = Receiver::start().await;
        let target = HookTarget::everything(&receiver.url, "s3cret");
        self.forge.create_hook("alice", REPO, target).await.unwrap();
        receiver
    }

    /// A clone made with a user's token.
    pub(crate) async fn clone_as(&self, user: &str) -> WorkTree {
        let token = self.forge.token(user).unwrap();
        WorkTree::clone(&with_credentials(&self.forge.clone_url(REPO), user, &token)).await
    }
}

pub(crate) fn with_credentials(url: &str, user: &str, token: &str) -> String {
    url.replacen("http://", &format!("http://{user}:{token}@"), 1)
}

/// A webhook as it arrived.
#[derive(Debug, Clone)]
pub(crate) struct Hooked {
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Hooked {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    /// Event and action, such as `issues/opened`.
    pub(crate) fn what(&self) -> String {
        let body = self.json();
        let action = body["action"].as_str().unwrap_or("-");
        format!("{}/{action}", self.header("X-Gitea-Event"))
    }
}

/// A server that notes every webhook.
pub(crate) struct Receiver {
    pub(crate) url: String,
    seen: Arc<Mutex<Vec<Hooked>>>,
    // Ends the server when dropped.
    _tasks: JoinSet<()>,
}

impl Receiver {
    pub(crate) async fn start() -> Self {
        let seen: Arc<Mutex<Vec<Hooked>>> = Arc::default();
        let note = |State(seen): State<Arc<Mutex<Vec<Hooked>>>>, headers, body: Bytes| async move {
            let body = String::from_utf8(body.to_vec()).unwrap();
            seen.lock().unwrap().push(Hooked { headers, body });
            StatusCode::OK
        };
        let router = Router::new().route("/hook", post(note)).with_state(Arc::clone(&seen));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, seen, _tasks: tasks }
    }

    pub(crate) fn all(&self) -> Vec<Hooked> {
        self.seen.lock().unwrap().clone()
    }

    pub(crate) fn take(&self) -> Vec<Hooked> {
        std::mem::take(&mut *self.seen.lock().unwrap())
    }

    /// What arrived after everything queued was sent, as `event/action`.
    pub(crate) async fn after(&self, forge: &ForgeDouble) -> Vec<String> {
        timeout(PATIENCE, forge.deliveries_settled()).await.unwrap();
        self.all().iter().map(Hooked::what).collect()
    }
}

/// A clone on disk, driven by the real git client.
pub(crate) struct WorkTree {
    folder: TempDir,
}

impl WorkTree {
    pub(crate) async fn clone(url: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let tree = Self { folder };
        tree.git(&["clone", "--quiet", url, "."]).await;
        tree
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a file and commits it as the bot did in the recordings.
    pub(crate) async fn commit(&self, file: &str, content: &[u8], message: &str) -> String {
        tokio::fs::write(self.path().join(file), content).await.unwrap();
        self.git(&["add", file]).await;
        self.git(&["commit", "--quiet", "--message", message]).await;
        self.git(&["rev-parse", "HEAD"]).await.trim().to_owned()
    }

    /// Runs git; must succeed.
    pub(crate) async fn git(&self, args: &[&str]) -> String {
        self.try_git(args).await.unwrap_or_else(|said| panic!("git {args:?}: {said}"))
    }

    /// Runs git; `Err` is what it said when it failed.
    pub(crate) async fn try_git(&self, args: &[&str]) -> Result<String, String> {
        let path: PathBuf = self.path().to_owned();
        let output = Command::new("git")
            .args(args)
            .current_dir(&path)
            .env_clear()
            .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .env("HOME", &path)
            .env("TZ", "UTC")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_AUTHOR_NAME", "implementer-bot")
            .env("GIT_AUTHOR_EMAIL", "b@example.test")
            .env("GIT_COMMITTER_NAME", "implementer-bot")
            .env("GIT_COMMITTER_EMAIL", "b@example.test")
            .kill_on_drop(true)
            .output();
        let output = timeout(PATIENCE, output).await.unwrap().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.success() {
            Ok(String::from_utf8_lossy(&output.stdout).into_owned())
        } else {
            Err(said)
        }
    }
}
