//! Receives the webhooks of the server under test.

use std::{
    io,
    net::Ipv4Addr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{Router, body::Bytes, extract::State, http::HeaderMap, routing::post};
use serde_json::Value;
use tokio::{
    net::TcpListener,
    task::JoinSet,
    time::{Instant, sleep},
};

use super::Finding;

/// How long a delivery may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// Between two looks at what has come.
const LOOK: Duration = Duration::from_millis(50);

/// A webhook.
#[derive(Debug, Clone)]
pub(super) struct Letter {
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Letter {
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// Event and action, such as `issues/opened`.
    pub(super) fn what(&self) -> String {
        let action = self.json();
        let action = action.get("action").and_then(Value::as_str).unwrap_or("-");
        format!("{}/{action}", self.header("x-gitea-event"))
    }
}

type Letters = Arc<Mutex<Vec<Letter>>>;

/// What has come so far.
#[derive(Debug)]
pub(super) struct Inbox {
    pub(super) url: String,
    pub(super) secret: String,
    letters: Letters,
    // Ends the server when dropped.
    _tasks: JoinSet<()>,
}

impl Inbox {
    /// Listens on all interfaces; `host` is how the server names this machine.
    pub(super) async fn start(host: &str) -> io::Result<Self> {
        let letters = Letters::default();
        let note = |State(letters): State<Letters>, headers: HeaderMap, body: Bytes| async move {
            letters.lock().unwrap_or_else(PoisonError::into_inner).push(Letter { headers, body });
        };
        let router = Router::new().route("/hook", post(note)).with_state(Arc::clone(&letters));
        let is_local = host == "127.0.0.1" || host == "localhost";
        let address = if is_local { Ipv4Addr::LOCALHOST } else { Ipv4Addr::UNSPECIFIED };
        let listener = TcpListener::bind((address, 0)).await?;
        let url = format!("http://{host}:{}/hook", listener.local_addr()?.port());
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            if let Err(error) = axum::serve(listener, router).await {
                tracing::warn!(%error, "the receiver of webhooks ended");
            }
        });
        let secret = hex::encode(rand::random::<[u8; 16]>());
        Ok(Self { url, secret, letters, _tasks: tasks })
    }

    /// The first webhook of this kind about this issue or pull request.
    pub(super) async fn wait_for(&self, what: &str, number: u64) -> Result<Letter, Finding> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let letters = self.letters.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let mut found = letters.iter().filter(|letter| {
                let json = letter.json();
                letter.what() == what
                    && ["/issue/number", "/pull_request/number"]
                        .iter()
                        .any(|place| json.pointer(place).and_then(Value::as_u64) == Some(number))
            });
            if let Some(letter) = found.next() {
                return Ok(letter.clone());
            }
            if Instant::now() > deadline {
                let kinds: Vec<String> = letters.iter().map(Letter::what).collect();
                let kinds = kinds.join(", ");
                return Err(Finding::Differs(format!("no {what} came, only: {kinds}")));
            }
            sleep(LOOK).await;
        }
    }
}
