//! Sending webhooks: in the background, in order, signed, once, with a history.

pub(crate) mod fault;
pub(crate) mod signature;

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::{body::Bytes, http::Request};
use http_body_util::Full;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use tokio::{
    sync::{mpsc, watch},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use self::fault::{DeliveryFault, Fate, FateBook};

/// Webhooks waiting at most; Gitea's own queue is bounded as well. More are lost, and say so.
const QUEUE_LENGTH: usize = 4096;
/// Gitea's `DELIVER_TIMEOUT`.
const DELIVER_TIMEOUT: Duration = Duration::from_secs(5);

/// A webhook ready to be sent.
#[derive(Debug, Clone)]
pub(crate) struct Outgoing {
    pub(crate) id: String,
    pub(crate) hook_id: u64,
    pub(crate) event: &'static str,
    pub(crate) url: String,
    pub(crate) secret: String,
    pub(crate) body: Bytes,
}

/// One try to deliver a webhook.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// `X-Gitea-Delivery`.
    pub id: String,
    /// The hook it belongs to.
    pub hook_id: u64,
    /// `X-Gitea-Event`.
    pub event: &'static str,
    /// Where it went.
    pub url: String,
    /// The body, word for word.
    pub body: String,
    /// What the receiver answered; `None` when it did not, or when it was not sent.
    pub status: Option<u16>,
    /// Why there is no status.
    pub error: Option<String>,
}

#[derive(Debug, Default)]
struct Log {
    deliveries: Vec<Delivery>,
    fates: FateBook,
    held: Vec<Outgoing>,
}

/// The way webhooks take, and what became of them.
#[derive(Debug)]
pub(crate) struct Deliveries {
    queue: mpsc::Sender<(Outgoing, Fate)>,
    log: Mutex<Log>,
    /// Webhooks queued and not yet dealt with.
    pending: watch::Sender<usize>,
}

impl Deliveries {
    /// The deliveries, and the queue's end for `deliver`.
    pub(crate) fn new() -> (Arc<Self>, mpsc::Receiver<(Outgoing, Fate)>) {
        let (queue, waiting) = mpsc::channel(QUEUE_LENGTH);
        let pending = watch::Sender::new(0);
        (Arc::new(Self { queue, log: Mutex::default(), pending }), waiting)
    }

    /// Queues a webhook, or what the planned faults make of it. Does not wait.
    pub(crate) fn enqueue(&self, outgoing: Outgoing) {
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        let fate = log.fates.fate_of(outgoing.event);
        let released = match fate {
            Fate::Held { release_after } => {
                log.held.push(outgoing);
                let is_complete = release_after.is_some_and(|count| log.held.len() >= count);
                if is_complete { std::mem::take(&mut log.held) } else { Vec::new() }
            }
            Fate::Lost => {
                log.deliveries.push(unsent(&outgoing, "lost by a planned fault"));
                Vec::new()
            }
            Fate::Sent(_) => {
                self.push(&mut log, outgoing, fate);
                Vec::new()
            }
        };
        for outgoing in released.into_iter().rev() {
            self.push(&mut log, outgoing, Fate::default());
        }
    }

    /// Sends what planned faults hold back, last first.
    pub(crate) fn release_held(&self) {
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        for outgoing in std::mem::take(&mut log.held).into_iter().rev() {
            self.push(&mut log, outgoing, Fate::default());
        }
    }

    /// Sends a webhook of the history again under its old id; false when there is none.
    pub(crate) fn redeliver(&self, id: &str, secret: &str) -> bool {
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(old) = log.deliveries.iter().find(|delivery| delivery.id == id).cloned() else {
            return false;
        };
        let outgoing = Outgoing {
            id: old.id,
            hook_id: old.hook_id,
            event: old.event,
            url: old.url,
            secret: secret.to_owned(),
            body: Bytes::from(old.body),
        };
        self.push(&mut log, outgoing, Fate::default());
        true
    }

    /// Plans a fault after those already planned.
    pub(crate) fn plan(&self, fault: DeliveryFault) {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).fates.add(fault);
    }

    /// A copy of the history, oldest first.
    pub(crate) fn all(&self) -> Vec<Delivery> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).deliveries.clone()
    }

    /// Waits until nothing is queued or under way (held webhooks do not count).
    pub(crate) async fn settled(&self) {
        let mut pending = self.pending.subscribe();
        // The sender lives in `self`, so this cannot fail; if it did, nothing is under way.
        if pending.wait_for(|count| *count == 0).await.is_err() {
            tracing::debug!("webhook queue is gone");
        }
    }

    fn push(&self, log: &mut Log, outgoing: Outgoing, fate: Fate) {
        self.pending.send_modify(|count| *count += 1);
        if let Err(refused) = self.queue.try_send((outgoing, fate)) {
            let (outgoing, _) = refused.into_inner();
            log.deliveries.push(unsent(&outgoing, "queue full or closed"));
            self.pending.send_modify(|count| *count -= 1);
        }
    }

    fn note(&self, delivery: Delivery) {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).deliveries.push(delivery);
    }
}

/// A history entry for a webhook that did not leave.
fn unsent(outgoing: &Outgoing, why: &str) -> Delivery {
    Delivery {
        id: outgoing.id.clone(),
        hook_id: outgoing.hook_id,
        event: outgoing.event,
        url: outgoing.url.clone(),
        body: String::from_utf8_lossy(&outgoing.body).into_owned(),
        status: None,
        error: Some(why.to_owned()),
    }
}

/// Sends webhooks one after another until stopped. A failed one is not retried, as in Gitea.
pub(crate) async fn deliver(
    deliveries: Arc<Deliveries>,
    waiting: mpsc::Receiver<(Outgoing, Fate)>,
    stop: CancellationToken,
) {
    // Stopping in the middle loses webhooks, as stopping a forge does.
    if stop.run_until_cancelled(deliver_all(&deliveries, waiting)).await.is_none() {
        tracing::debug!("deliveries stopped");
    }
}

async fn deliver_all(deliveries: &Deliveries, mut waiting: mpsc::Receiver<(Outgoing, Fate)>) {
    // No idle connections: a receiver that shuts down must not wait for us.
    let client = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(0).build_http();
    while let Some((outgoing, fate)) = waiting.recv().await {
        let Fate::Sent(how) = fate else { continue };
        tokio::time::sleep(how.delay).await;
        for _ in 0..how.copies {
            let request = match signature::request(&outgoing, how.is_forged) {
                Ok(request) => request,
                Err(error) => {
                    deliveries.note(unsent(&outgoing, &error.to_string()));
                    continue;
                }
            };
            deliveries.note(send(&client, &outgoing, request).await);
        }
        deliveries.pending.send_modify(|count| *count -= 1);
    }
}

type HttpClient = Client<hyper_util::client::legacy::connect::HttpConnector, Full<Bytes>>;

async fn send(client: &HttpClient, outgoing: &Outgoing, request: Request<Full<Bytes>>) -> Delivery {
    match timeout(DELIVER_TIMEOUT, client.request(request)).await {
        Ok(Ok(response)) => {
            let status = Some(response.status().as_u16());
            Delivery { status, error: None, ..unsent(outgoing, "") }
        }
        Ok(Err(error)) => unsent(outgoing, &error.to_string()),
        Err(_) => unsent(outgoing, "no answer in time"),
    }
}
