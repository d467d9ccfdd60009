//! A server on a socket in a temporary directory, and a client that writes bytes.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use jsonrpsee::{RpcModule, types::ErrorObjectOwned};
use protocol::error::{ErrorCode, RpcError};
use rpc::server::{HangUp, Limits, Service, bind, serve};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
    sync::{Notify, oneshot},
    task::JoinSet,
};

/// Size of the answer of `big`: above the kernel's buffers.
pub(crate) const BIG: usize = 4 << 20;

const KNOWN: rpc::server::Known =
    &[("echo", &["text"]), ("wait", &[]), ("panic", &[]), ("big", &[]), ("refuse", &[])];

pub(crate) struct Server {
    pub(crate) path: PathBuf,
    pub(crate) waiting: Arc<Notify>,
    pub(crate) release: Arc<Notify>,
    pub(crate) finished: Arc<Notify>,
    pub(crate) hang_up: HangUp,
    stop: Option<oneshot::Sender<()>>,
    tasks: JoinSet<()>,
    _dir: tempfile::TempDir,
}

#[derive(serde::Deserialize)]
struct Echo {
    text: String,
}

/// Ample limits; a test makes the one small that it is about.
pub(crate) fn limits() -> Limits {
    Limits { depth_max: 8, ..Limits::agent() }
}

impl Server {
    pub(crate) fn start(limits: Limits) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("test.sock");
        let [waiting, release, finished] = [(); 3].map(|()| Arc::new(Notify::new()));
        let module = methods([&waiting, &release, &finished].map(Arc::clone));
        let hang_up = HangUp::default();
        let service = Service::new(module, KNOWN).hang_up(hang_up.clone());
        let (stop, stopped) = oneshot::channel::<()>();
        let mut tasks = JoinSet::new();
        let listener = bind(&path, 0o600).unwrap();
        tasks.spawn(serve(listener, service, limits, async { drop(stopped.await) }));
        Self { path, waiting, release, finished, hang_up, stop: Some(stop), tasks, _dir: dir }
    }

    pub(crate) async fn stop(&mut self) {
        drop(self.stop.take());
        while self.tasks.join_next().await.is_some() {}
    }

    pub(crate) async fn connect(&self) -> UnixStream {
        UnixStream::connect(&self.path).await.unwrap()
    }

    /// Sends bytes and reads until the server closes.
    pub(crate) async fn raw(&self, bytes: &[u8]) -> String {
        let mut peer = self.connect().await;
        drop(peer.write_all(bytes).await);
        let mut answer = Vec::new();
        drop(
            tokio::time::timeout(Duration::from_secs(5), peer.read_to_end(&mut answer))
                .await
                .unwrap(),
        );
        String::from_utf8_lossy(&answer).into_owned()
    }
}

fn methods([waiting, release, finished]: [Arc<Notify>; 3]) -> RpcModule<()> {
    let mut module = RpcModule::new(());
    module
        .register_async_method("echo", |params, _, _| async move {
            params.parse::<Echo>().map(|echo| echo.text)
        })
        .unwrap();
    module
        .register_async_method("wait", move |_, _, _| {
            let (waiting, release, finished) =
                (Arc::clone(&waiting), Arc::clone(&release), Arc::clone(&finished));
            async move {
                waiting.notify_one();
                release.notified().await;
                finished.notify_one();
                true
            }
        })
        .unwrap();
    module
        .register_async_method("panic", |_, _, _| async move {
            if true {
                panic!("a secret");
            }
        })
        .unwrap();
    module.register_method("big", |_, (), _| "x".repeat(BIG)).unwrap();
    module
        .register_method("refuse", |_, (), _| {
            Err::<(), ErrorObjectOwned>(
                RpcError::new(ErrorCode::NotFound, "not here").hint("look again").into(),
            )
        })
        .unwrap();
    module
}

pub(crate) fn call(method: &str, params: Value) -> String {
    json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).to_string()
}

pub(crate) fn request(body: &str) -> Vec<u8> {
    let length = body.len();
    format!("POST / HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}").into_bytes()
}

/// Posts a body; gives the head and the body of the answer.
pub(crate) async fn post(path: &Path, body: &str) -> (String, String) {
    let mut peer = UnixStream::connect(path).await.unwrap();
    peer.write_all(&request(body)).await.unwrap();
    let mut answer = String::new();
    peer.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), body.to_owned())
}

pub(crate) fn status(answer: &str) -> u16 {
    answer.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0)
}
