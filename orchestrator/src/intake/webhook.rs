//! `POST /hooks/gitea`: verified over the raw bytes, stored, then answered.
//!
//! The route chooses the verifier, never a header. What is stored is a hint (repository and number)
//! under the delivery's id; the text of the delivery is not kept.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use forge::webhook::{Delivery, DeliveryError, WebhookSecrets, read_gitea, verify_gitea};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use protocol::{
    ids::{IssueNumber, RepoName},
    limits,
};
use tokio::sync::Notify;

use crate::{clock, store::Store};

/// A pause longer than this inside a body ends it (CASES 15).
const IDLE: Duration = Duration::from_secs(5);

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
}

/// The routes of the daemon's HTTP server.
pub fn routes(hooks: Hooks) -> Router {
    Router::new()
        .route("/hooks/gitea", post(receive).fallback(wrong_method))
        .route("/healthz", get(|| async { "ok\n" }))
        .with_state(Arc::new(hooks))
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
    answer(StatusCode::METHOD_NOT_ALLOWED, "deliver with POST; set the webhook's method to POST")
}

async fn receive(State(hooks): State<Arc<Hooks>>, headers: HeaderMap, body: Body) -> Response {
    if headers.contains_key(header::CONTENT_ENCODING) {
        return answer(StatusCode::UNSUPPORTED_MEDIA_TYPE, "deliver without a content encoding");
    }
    let body = match tokio::time::timeout(limits::WEBHOOK_TIMEOUT, whole(body)).await {
        Ok(Ok(body)) => body,
        Ok(Err(refusal)) => return refusal,
        Err(_) => return answer(StatusCode::REQUEST_TIMEOUT, "the body came too slowly"),
    };
    if let Err(error) = verify_gitea(&hooks.secrets, &headers, &body) {
        tracing::warn!(%error, "refused a delivery");
        return answer(
            StatusCode::UNAUTHORIZED,
            "the signature is missing or wrong; compare the webhook's secret",
        );
    }
    let delivery = match read_gitea(&headers, &body) {
        Ok(delivery) => delivery,
        Err(error) => return unreadable(&error),
    };
    accept(&hooks, delivery).await
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
    let key = format!("gitea:{}", delivery.id);
    let lane = lane(repo, number);
    let stored =
        hooks.store.write(move |books| books.arrive(&key, Some(&lane), clock::now())).await;
    match stored {
        Ok(true) => {
            hooks.news.notify_one();
            answer(StatusCode::ACCEPTED, "stored")
        }
        Ok(false) => answer(StatusCode::OK, "known already"),
        Err(error) => {
            tracing::error!(%error, "cannot store a delivery");
            let mut refusal =
                answer(StatusCode::SERVICE_UNAVAILABLE, "cannot store it now; deliver it again");
            refusal.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("30"));
            refusal
        }
    }
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

fn answer(status: StatusCode, text: &str) -> Response {
    (status, format!("{text}\n")).into_response()
}
