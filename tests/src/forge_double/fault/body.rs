//! Bodies that no sound server sends: without end, drop by drop, broken off.

use std::{io, time::Duration};

use axum::{
    body::{Body, Bytes},
    http::{HeaderValue, Response, header},
};
use futures_util::{StreamExt as _, stream};
use http_body_util::BodyExt as _;

/// Bytes sent at a time of a huge answer.
const CHUNK: &[u8] = &[b' '; 64 * 1024];

/// Time for the first half of an answer to leave before the connection ends.
const FLUSH_PAUSE: Duration = Duration::from_millis(50);

/// JSON of this many bytes, nearly all of it spaces, made while it is sent.
pub(crate) fn huge(bytes: u64) -> Response<Body> {
    let whole = bytes / CHUNK.len() as u64;
    let rest = usize::try_from(bytes % CHUNK.len() as u64).unwrap_or_default();
    let count = usize::try_from(whole).unwrap_or(usize::MAX);
    let chunks = stream::repeat(Bytes::from_static(CHUNK)).take(count);
    let rest = Bytes::from_static(CHUNK.get(..rest).unwrap_or_default());
    let end = stream::iter([rest, Bytes::from_static(b"[]")]);
    let body = Body::from_stream(chunks.chain(end).map(Ok::<_, io::Error>));
    let mut response = Response::new(body);
    let json = HeaderValue::from_static(crate::forge_double::answer::JSON);
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

/// The same answer, a byte at a time.
pub(crate) async fn dripping(response: Response<Body>, pause: Duration) -> Response<Body> {
    let (head, bytes) = read(response).await;
    let drops = stream::iter(bytes).then(move |byte| async move {
        tokio::time::sleep(pause).await;
        Ok::<_, io::Error>(Bytes::copy_from_slice(&[byte]))
    });
    Response::from_parts(head, Body::from_stream(drops))
}

/// The first half of the same answer; then the connection ends.
pub(crate) async fn cut(response: Response<Body>) -> Response<Body> {
    let (mut head, bytes) = read(response).await;
    head.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(bytes.len()));
    let half = bytes.slice(..bytes.len() / 2);
    let broken = stream::once(async {
        tokio::time::sleep(FLUSH_PAUSE).await;
        Err(io::Error::from(io::ErrorKind::ConnectionReset))
    });
    let half = stream::iter([Ok(half)]);
    Response::from_parts(head, Body::from_stream(half.chain(broken)))
}

async fn read(response: Response<Body>) -> (axum::http::response::Parts, Bytes) {
    let (head, body) = response.into_parts();
    let bytes = body.collect().await.map(http_body_util::Collected::to_bytes);
    (head, bytes.unwrap_or_default())
}
