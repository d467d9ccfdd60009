//! Every exchange is held to the published description of the API.
//!
//! A violation is either a mistake of the double or one of whoever called it; both make the test
//! fail in which they happen.

use std::sync::{Arc, LazyLock};

use axum::{
    body::{Body, Bytes},
    http::{Request, Response, header},
};
use http_body_util::BodyExt as _;

use super::{
    forge::Forge,
    record::{BODY_KEPT_BYTES, RequestRecord},
};
use crate::api_description::Description;

static DESCRIPTION: LazyLock<Description> = LazyLock::new(Description::load);

/// Where Gitea itself does not do what its description says.
const ODDITIES: [&str; 1] = [
    // A commit that nobody has reported on.
    "/commits/{ref}/status.state: \"\" is none of",
];

/// Whether the description has something to say about a call: git is another protocol.
pub(crate) fn is_about(request: &Request<Body>) -> bool {
    request.uri().path().starts_with("/api/v1/")
}

/// Holds a request and its answer to the description; gives what is wrong, and the answer again.
pub(crate) async fn check(
    request: &RequestRecord,
    response: Response<Body>,
) -> (Vec<String>, Response<Body>) {
    let status = response.status();
    // What is no JSON is not described further: pages of the router, redirects, diffs.
    let is_json = response
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind.to_str().is_ok_and(|kind| kind.starts_with("application/json")));
    let (head, body) = response.into_parts();
    let bytes = body.collect().await.map(http_body_util::Collected::to_bytes);
    let bytes: Bytes = bytes.unwrap_or_default();
    let mut wrong = Vec::new();
    let is_whole = request.body.len() < BODY_KEPT_BYTES;
    if status.is_success() && is_whole && (is_json || bytes.is_empty()) {
        let query = Some(request.query.as_str()).filter(|query| !query.is_empty());
        let checked =
            DESCRIPTION.check_request(&request.method, &request.path, query, &request.body);
        wrong.extend(checked.err().into_iter().flatten());
    }
    if is_json || (status.is_success() && bytes.is_empty()) {
        let status = status.as_u16();
        let checked = DESCRIPTION.check_answer(&request.method, &request.path, status, &bytes);
        wrong.extend(checked.err().into_iter().flatten());
    }
    wrong.retain(|what| !ODDITIES.iter().any(|oddity| what.contains(oddity)));
    (wrong, Response::from_parts(head, Body::from(bytes)))
}

/// Fails the test in which something did not fit, when the double ends.
#[derive(Debug)]
pub(super) struct Verdict(pub(super) Arc<Forge>);

impl Drop for Verdict {
    fn drop(&mut self) {
        let wrong = self.0.requests.take_violations();
        // A test that fails already has its own reason.
        if !wrong.is_empty() && !std::thread::panicking() {
            panic!(
                "calls or answers that Gitea's API description does not know:\n{}",
                wrong.join("\n")
            );
        }
    }
}
