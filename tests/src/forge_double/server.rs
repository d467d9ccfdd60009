//! Serving connections: every request is recorded, then faults strike, then it is routed.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    http::{Request, Response, header},
};
use futures_util::TryStreamExt as _;
use http_body_util::BodyExt as _;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::sleep,
};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use super::{
    answer::Refusal,
    api::request::authenticate,
    described,
    fault::{self, CannedAnswer, FaultKind, login_page},
    forge::Forge,
    gate,
    record::RequestRecord,
};

/// Pause after a failed `accept`, so that running out of descriptors does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Ends the connection without an answer.
#[derive(Debug, thiserror::Error)]
#[error("connection dropped by a planned fault")]
struct Dropped;

/// Accepts connections until stopped; then ends those under way.
pub(crate) async fn accept(
    listener: TcpListener,
    forge: Arc<Forge>,
    router: Router,
    stop: CancellationToken,
) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            Some(ended) = connections.join_next() => {
                if let Err(error) = ended {
                    tracing::warn!(%error, "connection task failed");
                }
            }
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(serve(stream, Arc::clone(&forge), router.clone()));
                }
                Err(error) => {
                    tracing::warn!(%error, "accept failed");
                    sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    connections.shutdown().await;
}

async fn serve(stream: TcpStream, forge: Arc<Forge>, router: Router) {
    let service = service_fn(move |request: Request<Incoming>| {
        let (forge, router) = (Arc::clone(&forge), router.clone());
        async move { answer(&forge, router, request.map(Body::new)).await }
    });
    let mut builder = http1::Builder::new();
    let connection =
        builder.timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), service);
    if let Err(error) = connection.await {
        tracing::debug!(%error, "connection ended early");
    }
}

/// Records and answers one request.
async fn answer(
    forge: &Arc<Forge>,
    router: Router,
    request: Request<Body>,
) -> Result<Response<Body>, Dropped> {
    let target = request.uri().path_and_query().map(ToString::to_string).unwrap_or_default();
    let fault = forge.faults.strike(request.method(), &target);
    let place = forge.requests.begin(describe(forge, &request));
    let recording = Arc::clone(forge);
    let request = request.map(|body| {
        let stream = body.into_data_stream();
        Body::from_stream(stream.inspect_ok(move |chunk| recording.requests.body(place, chunk)))
    });
    let is_described =
        described::is_about(&request) && fault.as_ref().is_none_or(FaultKind::leaves_answer);
    let mut response = match fault {
        None => route(forge, router, request).await,
        Some(kind) => strike(forge, router, request, kind).await?,
    };
    if is_described {
        let (wrong, checked) = described::check(&forge.requests.get(place), response).await;
        forge.requests.violates(place, wrong);
        response = checked;
    }
    forge.requests.answered(place, response.status().as_u16());
    Ok(response)
}

fn describe(forge: &Forge, request: &Request<Body>) -> RequestRecord {
    let authorization = request.headers().get(header::AUTHORIZATION);
    RequestRecord {
        method: request.method().to_string(),
        path: request.uri().path().to_owned(),
        query: request.uri().query().unwrap_or_default().to_owned(),
        user: forge.read(|registry| authenticate(registry, request.headers()).ok().flatten()),
        authorization: authorization
            .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()),
        ..RequestRecord::default()
    }
}

async fn route(forge: &Forge, router: Router, request: Request<Body>) -> Response<Body> {
    if let Some(redirect) = gate::redirect(forge, &request) {
        return redirect;
    }
    let Ok(response) = router.oneshot(request).await;
    match response.extensions().get::<Refusal>() {
        Some(refusal) => refusal.response(&forge.base_url),
        None => response,
    }
}

async fn strike(
    forge: &Forge,
    router: Router,
    request: Request<Body>,
    kind: FaultKind,
) -> Result<Response<Body>, Dropped> {
    match kind {
        FaultKind::Status(status) => Ok(failure(forge, status)),
        FaultKind::AfterThenStatus(status) => {
            complete(route(forge, router, request).await).await;
            Ok(failure(forge, status))
        }
        FaultKind::Delay(pause) => {
            sleep(pause).await;
            Ok(route(forge, router, request).await)
        }
        FaultKind::DelayAfter(pause) => {
            let response = route(forge, router, request).await;
            sleep(pause).await;
            Ok(response)
        }
        FaultKind::Html200 => Ok(login_page()),
        FaultKind::DropConnection => Err(Dropped),
        FaultKind::AfterThenDrop => {
            complete(route(forge, router, request).await).await;
            Err(Dropped)
        }
        FaultKind::Cut => Ok(fault::body::cut(route(forge, router, request).await).await),
        FaultKind::Drip(pause) => {
            Ok(fault::body::dripping(route(forge, router, request).await, pause).await)
        }
        FaultKind::Huge(bytes) => Ok(fault::body::huge(bytes)),
        FaultKind::Answer(canned) => Ok(canned.response()),
    }
}

/// Gitea's error body under any status.
fn failure(forge: &Forge, status: u16) -> Response<Body> {
    let content_type = ("Content-Type".to_owned(), super::answer::JSON.to_owned());
    let swagger = format!("{}/api/swagger", forge.base_url);
    let body = format!("{}\n", serde_json::json!({ "message": "", "url": swagger }));
    CannedAnswer { status, headers: vec![content_type], body }.response()
}

/// Reads an answer to its end: a push is noted only when its answer is complete.
async fn complete(response: Response<Body>) {
    if let Err(error) = response.into_body().collect().await {
        tracing::debug!(%error, "answer broke off");
    }
}
