//! One connection from accept to close.

use std::{
    convert::Infallible,
    sync::{Arc, atomic::Ordering},
};

use hyper::{Request, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{net::UnixStream, sync::OwnedSemaphorePermit};
use tokio_io_timeout::TimeoutStream;
use tracing::Instrument as _;

use super::{Shared, http};

/// Bytes of a head with all its headers; git's longest are below 1 KiB.
const HEAD_MAX_BYTES: usize = 16 * 1024;

/// Serves one connection until it ends, stalls, or the server hangs up. Holds `permit` so long.
pub(super) async fn run(stream: UnixStream, shared: Arc<Shared>, permit: OwnedSemaphorePermit) {
    let number = shared.accepted.fetch_add(1, Ordering::Relaxed);
    let span = tracing::debug_span!("connection", number);
    answer_until_closed(stream, shared).instrument(span).await;
    drop(permit);
}

async fn answer_until_closed(stream: UnixStream, shared: Arc<Shared>) {
    let mut hang_up = shared.service.hang_up.0.subscribe();
    let (limits, stopping) = (shared.limits, shared.stopping.clone());
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(limits.stall_timeout));
    let answer = service_fn(move |request: Request<Incoming>| {
        let shared = Arc::clone(&shared);
        async move { Ok::<_, Infallible>(http::answer(&shared, request).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_timeout)
        .max_buf_size(HEAD_MAX_BYTES)
        .serve_connection(TokioIo::new(Box::pin(stream)), answer);
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => Some(ended),
        () = stopping.cancelled() => None,
        // The sender lives as long as the server; a closed channel would mean a stop as well.
        _changed = hang_up.changed() => None,
    };
    let ended = match ended {
        Some(ended) => ended,
        None => {
            connection.as_mut().graceful_shutdown();
            // Dropping what is left after the grace closes the socket.
            tokio::time::timeout(limits.grace, connection).await.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "connection ended early");
    }
}
