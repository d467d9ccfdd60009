//! A forge for git: `git http-backend` behind HTTP on a free port, which wants a credential and
//! writes down what it is asked.

use std::{
    convert::Infallible,
    path::{Path, PathBuf},
    process::Stdio,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{io::AsyncWriteExt as _, net::TcpListener, process::Command, task::JoinSet};

/// For one command of git.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(30);

/// What was asked: method, path with query, headers.
pub(crate) type Asked = (String, HeaderMap);

pub(crate) struct GitServer {
    pub(crate) url: String,
    pub(crate) root: tempfile::TempDir,
    asked: Arc<Mutex<Vec<Asked>>>,
    mode: Arc<Mutex<Mode>>,
    _tasks: JoinSet<()>,
}

/// How it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Work,
    Status(u16),
    Redirect,
    /// Takes this long before it does a push.
    SlowPush(std::time::Duration),
}

/// Runs git without anybody's configuration; gives whether it succeeded and what it said.
pub(crate) async fn git(dir: &Path, args: &[&str]) -> (bool, String) {
    let mut command = Command::new("git");
    command.current_dir(dir).args(args).env_clear().kill_on_drop(true);
    command.env("PATH", "/usr/local/bin:/usr/bin:/bin").env("HOME", dir);
    for (name, value) in [
        ("GIT_CONFIG_NOSYSTEM", "1"),
        ("GIT_TERMINAL_PROMPT", "0"),
        ("GIT_AUTHOR_NAME", "Bot"),
        ("GIT_AUTHOR_EMAIL", "bot@example.org"),
        ("GIT_COMMITTER_NAME", "Bot"),
        ("GIT_COMMITTER_EMAIL", "bot@example.org"),
    ] {
        command.env(name, value);
    }
    let output = tokio::time::timeout(PATIENCE, command.output()).await.unwrap().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}

pub(crate) async fn git_ok(dir: &Path, args: &[&str]) -> String {
    let (success, said) = git(dir, args).await;
    assert!(success, "git {args:?}: {said}");
    said
}

impl GitServer {
    /// With `alice/widget` and `alice/other`, each of one commit on `main`.
    pub(crate) async fn start() -> Self {
        let root = tempfile::tempdir().unwrap();
        let seed = root.path().join("seed");
        std::fs::create_dir(&seed).unwrap();
        git_ok(&seed, &["init", "-q", "-b", "main"]).await;
        std::fs::write(seed.join("README.md"), "widget\n").unwrap();
        git_ok(&seed, &["add", "."]).await;
        git_ok(&seed, &["commit", "-qm", "first"]).await;
        for name in ["widget", "other"] {
            let bare = root.path().join(format!("alice/{name}.git"));
            git_ok(root.path(), &["clone", "-q", "--bare", "seed", bare.to_str().unwrap()]).await;
            git_ok(&bare, &["config", "http.receivepack", "true"]).await;
            git_ok(&bare, &["config", "receive.advertisePushOptions", "true"]).await;
        }
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let (asked, mode) = (Arc::default(), Arc::new(Mutex::new(Mode::Work)));
        let mut tasks = JoinSet::new();
        tasks.spawn(serve(listener, root.path().to_owned(), Arc::clone(&asked), Arc::clone(&mode)));
        Self { url, root, asked, mode, _tasks: tasks }
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    pub(crate) fn set(&self, mode: Mode) {
        *self.mode.lock().unwrap() = mode;
    }

    /// Object id of a ref of `alice/widget`, or nothing.
    pub(crate) async fn at(&self, name: &str) -> Option<String> {
        let bare = self.root.path().join("alice/widget.git");
        let (success, said) = git(&bare, &["rev-parse", "-q", "--verify", name]).await;
        success.then(|| said.trim().to_owned())
    }

    /// All refs of `alice/widget`.
    pub(crate) async fn refs(&self) -> String {
        git_ok(&self.root.path().join("alice/widget.git"), &["for-each-ref", "--format=%(refname)"])
            .await
    }
}

async fn serve(
    listener: TcpListener,
    root: PathBuf,
    asked: Arc<Mutex<Vec<Asked>>>,
    mode: Arc<Mutex<Mode>>,
) {
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let (root, asked, mode) = (root.clone(), Arc::clone(&asked), Arc::clone(&mode));
        let service = service_fn(move |request: Request<Incoming>| {
            let (root, mode) = (root.clone(), *mode.lock().unwrap());
            let path = request.uri().path_and_query().unwrap().as_str().to_owned();
            let line = format!("{} {path}", request.method());
            asked.lock().unwrap().push((line, request.headers().clone()));
            async move { Ok::<_, Infallible>(answer(&root, mode, request).await) }
        });
        connections.spawn(async move {
            drop(http1::Builder::new().serve_connection(TokioIo::new(stream), service).await);
        });
    }
}

fn plain(status: u16) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from_static(b"<html>no")));
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    response
}

async fn answer(root: &Path, mode: Mode, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let is_push = request.uri().path().ends_with("/git-receive-pack");
    match mode {
        Mode::Status(status) => return plain(status),
        Mode::Redirect => {
            let mut response = plain(302);
            response.headers_mut().insert("location", "http://127.0.0.1:1/evil".parse().unwrap());
            return response;
        }
        Mode::SlowPush(time) if is_push => tokio::time::sleep(time).await,
        Mode::SlowPush(_) | Mode::Work => {}
    }
    if !request.headers().contains_key("authorization") {
        return plain(401);
    }
    cgi(root, request).await
}

/// RFC 3875, as far as git needs it.
async fn cgi(root: &Path, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let (parts, body) = request.into_parts();
    let Ok(body) = body.collect().await else { return plain(400) };
    let body = body.to_bytes();
    let header =
        |name: &str| parts.headers.get(name).map_or("", |value| value.to_str().unwrap()).to_owned();
    let mut child = Command::new("git")
        .arg("http-backend")
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env("HOME", root)
        .env("GIT_PROJECT_ROOT", root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("REMOTE_USER", "bot")
        .env("REQUEST_METHOD", parts.method.as_str())
        .env("PATH_INFO", parts.uri.path())
        .env("QUERY_STRING", parts.uri.query().unwrap_or_default())
        .env("CONTENT_TYPE", header("content-type"))
        .env("CONTENT_LENGTH", body.len().to_string())
        .env("HTTP_CONTENT_ENCODING", header("content-encoding"))
        .env("GIT_PROTOCOL", header("git-protocol"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let feed = async move {
        drop(stdin.write_all(&body).await);
    };
    let ((), output) = tokio::join!(feed, child.wait_with_output());
    let stdout = output.unwrap().stdout;
    let Some(end) = stdout.windows(4).position(|four| four == b"\r\n\r\n") else {
        return plain(500);
    };
    let head = String::from_utf8_lossy(&stdout[..end]).into_owned();
    let mut response = Response::new(Full::new(Bytes::copy_from_slice(&stdout[end + 4..])));
    for line in head.split("\r\n") {
        let (name, value) = line.split_once(": ").unwrap();
        if name.eq_ignore_ascii_case("status") {
            let code = value.split(' ').next().unwrap().parse().unwrap();
            *response.status_mut() = StatusCode::from_u16(code).unwrap();
        } else {
            response.headers_mut().insert(
                http::HeaderName::from_bytes(name.as_bytes()).unwrap(),
                value.parse().unwrap(),
            );
        }
    }
    response
}
