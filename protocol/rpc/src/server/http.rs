//! One HTTP request: who answers it, and reading the body of an RPC within its bounds.

use std::sync::Arc;

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method, Request, Response, StatusCode,
    header::{ALLOW, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE},
};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited, combinators::UnsyncBoxBody};
use hyper::body::Incoming;
use tokio::time::timeout;

use super::{Shared, call};

/// Why a streamed answer broke off.
pub type BodyError = Box<dyn std::error::Error + Send + Sync>;

/// An answer's body.
pub type Body = UnsyncBoxBody<Bytes, BodyError>;

/// A body of known bytes.
pub fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

/// No body.
pub fn empty() -> Body {
    full(Bytes::new())
}

/// A short answer for people.
pub fn text(status: StatusCode, message: impl Into<String>) -> Response<Body> {
    let mut line = message.into();
    line.push('\n');
    typed(status, "text/plain; charset=utf-8", full(line))
}

fn typed(status: StatusCode, content_type: &'static str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// Answers one request.
pub(super) async fn answer(shared: &Arc<Shared>, request: Request<Incoming>) -> Response<Body> {
    // `POST http://elsewhere/` is a request to a proxy, not an RPC.
    let for_us = request.uri().path() == "/" && request.uri().authority().is_none();
    if !for_us {
        return match &shared.service.other {
            Some(other) => other.handle(request).await,
            None => text(StatusCode::NOT_FOUND, "only POST / is answered here"),
        };
    }
    if request.method() != Method::POST {
        let mut refusal = text(StatusCode::METHOD_NOT_ALLOWED, "JSON-RPC is spoken here, by POST");
        refusal.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
        return refusal;
    }
    if !is_json(request.headers()) {
        return text(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "the content type must be application/json",
        );
    }
    match read_body(shared, request).await {
        Ok(body) => {
            typed(StatusCode::OK, "application/json", full(call::answer(shared, body).await))
        }
        Err(refusal) => refusal,
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let mut values = headers.get_all(CONTENT_TYPE).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return false };
    let essence = value.to_str().unwrap_or_default().split(';').next().unwrap_or_default();
    essence.trim().eq_ignore_ascii_case("application/json")
}

/// The whole body, or the refusal to send. Its size is checked before it is taken.
async fn read_body(shared: &Shared, request: Request<Incoming>) -> Result<Bytes, Response<Body>> {
    let limit = shared.limits.body_max_bytes;
    let announced = request
        .headers()
        .get(CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > limit) {
        return Err(too_large(limit));
    }
    let collected =
        timeout(shared.limits.frame_timeout, Limited::new(request.into_body(), limit).collect())
            .await;
    match collected {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large(limit)),
        Ok(Err(_)) => Err(closing(text(StatusCode::BAD_REQUEST, "the body broke off"))),
        Err(_) => Err(closing(text(StatusCode::REQUEST_TIMEOUT, "the body did not come in time"))),
    }
}

fn too_large(limit: usize) -> Response<Body> {
    closing(text(StatusCode::PAYLOAD_TOO_LARGE, format!("a request has at most {limit} bytes")))
}

/// Ends the connection after the answer: the rest of the body is not read.
fn closing(mut response: Response<Body>) -> Response<Body> {
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}
