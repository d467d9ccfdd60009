//! `POST /hooks/gitea`: verified over the raw bytes, stored, then answered.
//!
//! The route chooses the verifier, never a header. What is stored is a hint (repository and number)
//! under the delivery's id; the text of the delivery is not kept.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::State,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use forge::webhook::{Delivery, DeliveryError, Hint, WebhookSecrets, read_gitea, verify_gitea};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use protocol::{
    ids::{IssueNumber, Login, RepoName},
    limits,
};
use tokio::sync::{Notify, Semaphore};

use super::pulse::Pulse;
use crate::{
    clock,
    store::{Hinted, Store},
};

/// A pause longer than this inside a body ends it (CASES 15).
const IDLE: Duration = Duration::from_secs(5);
/// Bodies collected at a time before it is known who sends them: 80 MiB at most. A forge sends few
/// at a time.
const BODIES_MAX: usize = 16;

/// What the routes need.
#[derive(Debug, Clone)]
pub struct Hooks {
    /// What deliveries are signed with.
    pub secrets: WebhookSecrets,
    /// The repositories that this route speaks for.
    pub repos: Vec<RepoName>,
    /// Where hints are kept.
    pub store: Store,
    /// Told when there is something new.
    pub news: Arc<Notify>,
    /// Our own accounts: what they say is no news.
    pub own: BTreeSet<Login>,
    /// Told how deliveries come.
    pub pulse: Arc<Pulse>,
}

/// The route's state.
#[derive(Debug)]
struct Served {
    hooks: Hooks,
    /// A permit for each body that may be collected.
    bodies: Semaphore,
}

/// The routes of the daemon's HTTP server.
pub fn routes(hooks: Hooks) -> Router {
    Router::new()
        .route("/hooks/gitea", post(receive).fallback(wrong_method))
        .route("/healthz", get(|| async { "ok\n" }))
        .with_state(Arc::new(Served { hooks, bodies: Semaphore::new(BODIES_MAX) }))
}

/// The lane that hints about a number wait in.
pub fn lane(repo: &RepoName, number: IssueNumber) -> String {
    format!("{repo}#{number}")
}

/// The repository and number of a lane.
pub fn parse_lane(lane: &str) -> Option<(RepoName, IssueNumber)> {
    let (repo, number) = lane.split_once('#')?;
    Some((repo.parse().ok()?, number.parse().ok()?))
}

async fn wrong_method() -> Response {
    let text = "deliver with POST; set the webhook's method to POST";
    with(answer(StatusCode::METHOD_NOT_ALLOWED, text), header::ALLOW, "POST")
}

async fn receive(State(served): State<Arc<Served>>, headers: HeaderMap, body: Body) -> Response {
    let hooks = &served.hooks;
    if headers.contains_key(header::CONTENT_ENCODING) {
        return answer(StatusCode::UNSUPPORTED_MEDIA_TYPE, "deliver without a content encoding");
    }
    // Before the signature: forges sign the JSON and not the form that they wrap it in, and who
    // reads "wrong signature" looks for a mistake that there is not.
    if !is_json(&headers) {
        return unreadable(&DeliveryError::ContentType);
    }
    let Ok(permit) = served.bodies.try_acquire() else {
        return missed(hooks, "too many deliveries at a time; deliver it again");
    };
    let body = match verified(hooks, &headers, body).await {
        Ok(body) => body,
        Err(refusal) => return refusal,
    };
    drop(permit);
    hooks.pulse.delivered(clock::now());
    let delivery = match read_gitea(&headers, &body) {
        Ok(delivery) => delivery,
        Err(error) => return unreadable(&error),
    };
    accept(hooks, delivery).await
}

/// The body of a delivery that is signed by the forge, or what is answered to another.
async fn verified(hooks: &Hooks, headers: &HeaderMap, body: Body) -> Result<Vec<u8>, Response> {
    let body = match tokio::time::timeout(limits::WEBHOOK_TIMEOUT, whole(body)).await {
        Ok(Ok(body)) => body,
        Ok(Err(refusal)) => {
            if refusal.status() == StatusCode::PAYLOAD_TOO_LARGE {
                hooks.pulse.missed.notify_one();
            }
            return Err(refusal);
        }
        Err(_) => return Err(answer(StatusCode::REQUEST_TIMEOUT, "the body came too slowly")),
    };
    if let Err(error) = verify_gitea(&hooks.secrets, headers, &body) {
        tracing::warn!(%error, "refused a delivery");
        hooks.pulse.refused();
        return Err(answer(
            StatusCode::UNAUTHORIZED,
            "the signature is missing or wrong; compare the webhook's secret",
        ));
    }
    Ok(body)
}

/// Forges do not repeat: what cannot be taken is looked for.
fn missed(hooks: &Hooks, text: &str) -> Response {
    hooks.pulse.missed.notify_one();
    with(answer(StatusCode::SERVICE_UNAVAILABLE, text), header::RETRY_AFTER, "30")
}

/// Reads the body up to the limit; each part must come in time.
async fn whole(body: Body) -> Result<Vec<u8>, Response> {
    let mut body = Limited::new(body, limits::WEBHOOK_MAX_BYTES);
    let mut bytes = Vec::new();
    loop {
        match tokio::time::timeout(IDLE, body.frame()).await {
            Ok(None) => return Ok(bytes),
            Ok(Some(Ok(frame))) => {
                bytes.extend_from_slice(frame.data_ref().map_or(&[], |data| data));
            }
            Ok(Some(Err(error))) if error.is::<LengthLimitError>() => {
                return Err(answer(StatusCode::PAYLOAD_TOO_LARGE, "a delivery may have 5 MiB"));
            }
            Ok(Some(Err(_))) => return Err(answer(StatusCode::BAD_REQUEST, "the body broke off")),
            Err(_) => return Err(answer(StatusCode::REQUEST_TIMEOUT, "the body came too slowly")),
        }
    }
}

async fn accept(hooks: &Hooks, delivery: Delivery) -> Response {
    let Some(number) = delivery.hint.number() else {
        tracing::debug!(id = %delivery.id, "a delivery that is about no issue");
        return StatusCode::NO_CONTENT.into_response();
    };
    // Forges compare names without regard to case; our records use the configured spelling.
    let named = delivery.repo.to_string();
    let served = hooks.repos.iter().find(|repo| repo.to_string().eq_ignore_ascii_case(&named));
    let Some(repo) = served else {
        return answer(
            StatusCode::FORBIDDEN,
            "this repository is not served; add it to forge.repositories",
        );
    };
    if is_echo(hooks, &delivery) {
        hooks.pulse.echoed();
        return StatusCode::NO_CONTENT.into_response();
    }
    let key = format!("gitea:{}", delivery.id);
    let lane = lane(repo, number);
    let (now, horizon) = (clock::now(), hooks.pulse.horizon(clock::now()));
    let stored = hooks.store.write(move |books| books.hint(&key, &lane, now, horizon)).await;
    match stored {
        Ok(Hinted::New) => {
            hooks.news.notify_one();
            answer(StatusCode::ACCEPTED, "stored")
        }
        Ok(Hinted::Merged) => answer(StatusCode::ACCEPTED, "going to be looked at already"),
        Ok(Hinted::Known) => answer(StatusCode::OK, "known already"),
        Err(error) => {
            tracing::error!(%error, "cannot store a delivery");
            missed(hooks, "cannot store it now; deliver it again")
        }
    }
}

/// Whether one of our own accounts said something. It would wake nobody, and an agent that reports
/// its progress would keep us busy looking. What else they do is looked at: a label is a label.
fn is_echo(hooks: &Hooks, delivery: &Delivery) -> bool {
    let is_said = matches!(delivery.hint, Hint::Comment { .. } | Hint::Review { .. });
    let sender = delivery.sender.as_str();
    is_said && hooks.own.iter().any(|own| own.as_str().eq_ignore_ascii_case(sender))
}

/// Whether a delivery says of itself that it is JSON.
fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let kind = kind.and_then(|value| value.split(';').next()).unwrap_or_default();
    kind.trim().eq_ignore_ascii_case("application/json")
}

fn unreadable(error: &DeliveryError) -> Response {
    tracing::info!(%error, "a delivery that is not used");
    let status = match error {
        DeliveryError::Unconcerned { .. } => return StatusCode::NO_CONTENT.into_response(),
        DeliveryError::ContentType | DeliveryError::ContentEncoding => {
            StatusCode::UNSUPPORTED_MEDIA_TYPE
        }
        DeliveryError::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
        DeliveryError::Header { .. }
        | DeliveryError::Id(_)
        | DeliveryError::Body { .. }
        | DeliveryError::Contradiction { .. } => StatusCode::BAD_REQUEST,
    };
    answer(status, &error.to_string())
}

fn with(mut response: Response, name: HeaderName, value: &'static str) -> Response {
    response.headers_mut().insert(name, HeaderValue::from_static(value));
    response
}

fn answer(status: StatusCode, text: &str) -> Response {
    (status, format!("{text}\n")).into_response()
}
