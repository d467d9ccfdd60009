//! Calling a Unix socket: jsonrpsee's HTTP client, its TCP half replaced by `hyperlocal`.

use std::{
    path::{Path, PathBuf},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use http::{HeaderValue, header::HOST};
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::{Client, Error as HyperError},
    rt::{TokioExecutor, TokioTimer},
};
use hyperlocal::UnixConnector;
use jsonrpsee::core::{
    BoxError, client::Error, http_helpers::HttpError, middleware::RpcServiceBuilder,
};
use jsonrpsee_http_client::{
    HttpBody, HttpClient, HttpClientBuilder, HttpRequest, HttpResponse, RpcService,
    transport::{Error as TransportError, HttpBackend},
};
use protocol::{
    error::{ErrorCode, RpcError},
    limits,
};
use tower::{Service, ServiceBuilder};

/// A client of one socket. Cheap to clone; connections are opened when needed and shared.
pub type UdsClient = HttpClient<RpcService<UdsBackend>>;

/// Idle connections are dropped before the server's [`limits::FIRST_BYTE_TIMEOUT`] closes them,
/// so that a call does not start on a connection that is about to end.
const POOL_IDLE: Duration = Duration::from_secs(3);

/// Makes a client of the socket at `path`; each call ends after `timeout`. Nothing is opened yet:
/// a missing socket shows at the first call.
///
/// # Errors
/// When the client cannot be put together, which has not been seen to happen.
pub fn connect(path: &Path, timeout: Duration) -> Result<UdsClient, Error> {
    let backend = UdsBackend::new(path);
    HttpClientBuilder::default()
        .request_timeout(timeout)
        .max_request_size(u32::try_from(limits::CONTROL_BODY_MAX_BYTES).unwrap_or(u32::MAX))
        .max_response_size(u32::try_from(limits::RPC_ANSWER_MAX_BYTES).unwrap_or(u32::MAX))
        // Without jsonrpsee's logger: `configure` carries secrets.
        .set_rpc_middleware(RpcServiceBuilder::new())
        .set_http_middleware(
            ServiceBuilder::new().layer_fn(move |_tcp: HttpBackend| backend.clone()),
        )
        .build("http://localhost/")
}

/// Reads a failed call as one of our errors: what a method answered keeps its code and data; a
/// socket that does not answer becomes [`ErrorCode::NotReady`] and says which one.
pub fn error(error: Error) -> RpcError {
    match error {
        Error::Call(object) => RpcError::from(&object),
        Error::RequestTimeout => {
            RpcError::new(ErrorCode::NotReady, "the call was not answered in time")
        }
        Error::Transport(cause) => transport_error(&cause),
        Error::ParseError(cause) => {
            RpcError::new(ErrorCode::Internal, format!("the answer cannot be read: {cause}"))
        }
        other => RpcError::new(ErrorCode::Internal, other.to_string()),
    }
}

fn transport_error(cause: &BoxError) -> RpcError {
    match cause.downcast_ref::<TransportError>() {
        Some(TransportError::Rejected { status_code: 413 })
        | Some(TransportError::RequestTooLarge) => {
            RpcError::new(ErrorCode::Invalid, "the request is too large")
        }
        Some(TransportError::Rejected { status_code }) => RpcError::new(
            ErrorCode::Internal,
            format!("the socket answered with HTTP status {status_code}"),
        ),
        Some(
            TransportError::Url(_)
            | TransportError::Http(_)
            | TransportError::InvalidCertficateStore,
        )
        | None => RpcError::new(ErrorCode::NotReady, cause.to_string()),
    }
}

/// A socket could not be reached, or hung up before it answered.
#[derive(Debug, thiserror::Error)]
#[error("no answer on {}: {}", path.display(), innermost(source))]
struct Unreachable {
    path: Arc<PathBuf>,
    source: HyperError,
}

/// The last cause is the one that a person can act on (`connection refused`, `no such file`).
fn innermost(error: &HyperError) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

/// Sends requests to one socket whatever their URL says.
#[derive(Debug, Clone)]
pub struct UdsBackend {
    client: Client<UnixConnector, HttpBody>,
    uri: http::Uri,
    path: Arc<PathBuf>,
}

impl UdsBackend {
    fn new(path: &Path) -> Self {
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(POOL_IDLE)
            .build(UnixConnector);
        Self {
            client,
            uri: hyperlocal::Uri::new(path, "/").into(),
            path: Arc::new(path.to_owned()),
        }
    }
}

impl Service<HttpRequest> for UdsBackend {
    type Response = HttpResponse<Incoming>;
    type Error = TransportError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, TransportError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: HttpRequest) -> Self::Future {
        *request.uri_mut() = self.uri.clone();
        // hyperlocal would send the socket's path, in hex, as the host.
        request.headers_mut().insert(HOST, HeaderValue::from_static("localhost"));
        let sent = self.client.request(request);
        let path = Arc::clone(&self.path);
        Box::pin(async move {
            sent.await.map_err(|source| {
                TransportError::Http(HttpError::Stream(Box::new(Unreachable { path, source })))
            })
        })
    }
}
