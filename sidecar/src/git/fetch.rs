//! Fetching: streamed both ways, counted as a read.

use futures_util::{StreamExt as _, TryStreamExt as _};
use http::{
    HeaderMap, HeaderValue, Request, Response, StatusCode,
    header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE},
};
use http_body::Frame;
use http_body_util::{BodyExt as _, Limited, StreamBody};
use hyper::body::Incoming;
use protocol::limits::GIT_FETCH_REQUEST_MAX_BYTES;
use rpc::server::{Body, BodyError, text};
use tokio::sync::OwnedSemaphorePermit;

use super::{
    failed,
    upstream::{Service, UpstreamError, protocol_header},
};
use crate::{
    oplog::{self, Act},
    phase::Sidecar,
    session::{Cut, Work},
};

/// Hands out the list of refs.
pub(super) async fn refs(
    sidecar: &Sidecar,
    work: Work,
    request: &Request<Incoming>,
    turn: OwnedSemaphorePermit,
) -> Response<Body> {
    let headers: HeaderMap = protocol_header(request.headers()).into_iter().collect();
    let asked = work.until_cut(work.session().upstream.refs(Service::UploadPack, headers)).await;
    answer(sidecar, work, asked, &Service::UploadPack.refs_type(), turn).await
}

/// Hands out objects.
pub(super) async fn pack(
    sidecar: &Sidecar,
    work: Work,
    request: Request<Incoming>,
    turn: OwnedSemaphorePermit,
) -> Response<Body> {
    let (parts, body) = request.into_parts();
    if parts
        .headers
        .get(CONTENT_TYPE)
        .is_none_or(|kind| *kind != Service::UploadPack.request_type())
    {
        return text(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not a request of git");
    }
    let mut headers: HeaderMap = protocol_header(&parts.headers).into_iter().collect();
    match parts.headers.get(CONTENT_ENCODING) {
        None => {}
        // Git packs long lists of what it has; the forge unpacks them, within its own bounds.
        Some(gzip) if gzip == "gzip" => drop(headers.insert(CONTENT_ENCODING, gzip.clone())),
        Some(_) => {
            return text(StatusCode::UNSUPPORTED_MEDIA_TYPE, "the body's encoding must be gzip");
        }
    }
    let bounded = Limited::new(body, GIT_FETCH_REQUEST_MAX_BYTES).into_data_stream();
    let body = reqwest::Body::wrap_stream(bounded);
    let asked =
        work.until_cut(work.session().upstream.pack(Service::UploadPack, headers, body)).await;
    answer(sidecar, work, asked, &Service::UploadPack.result_type(), turn).await
}

/// Streams the forge's answer. A drain cuts the stream, so nothing of the session is kept for it.
async fn answer(
    sidecar: &Sidecar,
    work: Work,
    asked: Result<Result<reqwest::Response, UpstreamError>, Cut>,
    content_type: &str,
    turn: OwnedSemaphorePermit,
) -> Response<Body> {
    let repo = &work.session().grant.repo;
    let forge = match asked {
        Ok(Ok(forge)) => forge,
        Ok(Err(error)) => return failed(sidecar, &work, &Act::fetch(repo), &error).await,
        Err(cut) => return text(StatusCode::SERVICE_UNAVAILABLE, cut.to_string()),
    };
    sidecar.with_memory(|memory| memory.counts.reads += 1);
    sidecar.log.count_read(&oplog::fetched(repo));
    let cut = work.cut().cancelled_owned();
    let stream = forge
        .bytes_stream()
        .map_ok(Frame::data)
        .map_err(|error| Box::new(error.without_url()) as BodyError)
        .take_until(cut)
        .inspect(move |_| {
            // The turn ends with the stream that owns this closure.
            let _turn = &turn;
        });
    let mut response = Response::new(StreamBody::new(stream).boxed_unsync());
    if let Ok(kind) = HeaderValue::from_str(content_type) {
        response.headers_mut().insert(CONTENT_TYPE, kind);
    }
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}
