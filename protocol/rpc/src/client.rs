//! Calling a Unix socket: jsonrpsee's calls over hyper's HTTP/1.1, on a connection for each.
//!
//! Reaching a socket costs microseconds. A connection that nobody keeps cannot have been closed by a
//! server meanwhile, and the pool that would keep it weighs on every bottle's first process.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use http::{
    HeaderValue, StatusCode,
    header::{CONTENT_TYPE, HOST},
};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::client::conn::http1;
use hyperlocal::UnixConnector;
use jsonrpsee::{
    core::{
        BoxError,
        client::{BatchResponse, ClientT, Error},
        params::BatchRequestBuilder,
        traits::ToRpcParams,
    },
    types::{Id, InvalidRequestId, Request, Response, ResponseSuccess},
};
use protocol::{
    error::{ErrorCode, RpcError},
    limits,
};
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;
use tower::ServiceExt as _;

/// The id of every call: there is one on a connection.
const ID: Id<'static> = Id::Number(0);

/// A client of one socket. Cheap to clone.
#[derive(Debug, Clone)]
pub struct UdsClient {
    path: Arc<PathBuf>,
    timeout: Duration,
}

/// Makes a client of the socket at `path`; each call ends after `timeout`. Nothing is opened yet:
/// a missing socket shows at the first call.
///
/// # Errors
/// None so far; a client that cannot be put together would show here.
pub fn connect(path: &Path, timeout: Duration) -> Result<UdsClient, Error> {
    Ok(UdsClient { path: Arc::new(path.to_owned()), timeout })
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
    match cause.downcast_ref::<Broken>() {
        Some(Broken::Request) | Some(Broken::Status(StatusCode::PAYLOAD_TOO_LARGE)) => {
            RpcError::new(ErrorCode::Invalid, "the request is too large")
        }
        Some(broken @ (Broken::Status(_) | Broken::Answer)) => {
            RpcError::new(ErrorCode::Internal, broken.to_string())
        }
        Some(Broken::Unreachable { .. }) | None => {
            RpcError::new(ErrorCode::NotReady, cause.to_string())
        }
    }
}

/// Why a call has no answer.
#[derive(Debug, thiserror::Error)]
enum Broken {
    /// It could not be reached, or hung up before it answered.
    #[error("no answer on {}: {}", path.display(), innermost(source.as_ref()))]
    Unreachable { path: Arc<PathBuf>, source: BoxError },
    #[error("the request is too large")]
    Request,
    #[error("the socket answered with HTTP status {}", .0.as_u16())]
    Status(StatusCode),
    #[error("the answer is too large")]
    Answer,
}

/// The last cause is the one that a person can act on (`connection refused`, `no such file`).
fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

impl UdsClient {
    /// Sends a body and gives that of the answer.
    async fn exchange(&self, body: Vec<u8>) -> Result<Bytes, Broken> {
        if body.len() > limits::CONTROL_BODY_MAX_BYTES {
            return Err(Broken::Request);
        }
        let unreachable =
            |source: BoxError| Broken::Unreachable { path: Arc::clone(&self.path), source };
        let stream = UnixConnector.oneshot(hyperlocal::Uri::new(self.path.as_path(), "/").into());
        let stream = stream.await.map_err(|error| unreachable(error.into()))?;
        let (mut sender, connection) =
            http1::handshake(stream).await.map_err(|error| unreachable(error.into()))?;
        let answered = async {
            let answer = sender.send_request(request(body)).await;
            let answer = answer.map_err(|error| unreachable(error.into()))?;
            if answer.status() != StatusCode::OK {
                return Err(Broken::Status(answer.status()));
            }
            let body = Limited::new(answer.into_body(), limits::RPC_ANSWER_MAX_BYTES);
            let read = body.collect().await.map_err(|error| {
                if error.is::<LengthLimitError>() { Broken::Answer } else { unreachable(error) }
            });
            read.map(http_body_util::Collected::to_bytes)
        };
        tokio::pin!(answered);
        tokio::select! {
            answer = &mut answered => answer,
            // What it has read by then is still the answer; otherwise that says what is wrong.
            _ended = connection => answered.await,
        }
    }
}

fn request(body: Vec<u8>) -> http::Request<Full<Bytes>> {
    let mut request = http::Request::new(Full::new(Bytes::from(body)));
    *request.method_mut() = http::Method::POST;
    let headers = request.headers_mut();
    headers.insert(HOST, HeaderValue::from_static("localhost"));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    request
}

impl ClientT for UdsClient {
    async fn request<R, Params>(&self, method: &str, params: Params) -> Result<R, Error>
    where
        R: DeserializeOwned,
        Params: ToRpcParams + Send,
    {
        let params = params.to_rpc_params()?;
        let body = serde_json::to_vec(&Request::borrowed(method, params.as_deref(), ID))?;
        let answer = tokio::time::timeout(self.timeout, self.exchange(body)).await;
        let answer = answer.map_err(|_| Error::RequestTimeout)?;
        let answer = answer.map_err(|broken| Error::Transport(broken.into()))?;
        let response: Response<'_, Box<RawValue>> = serde_json::from_slice(&answer)?;
        let success = ResponseSuccess::try_from(response)?;
        if success.id != ID {
            return Err(InvalidRequestId::NotPendingRequest(success.id.to_string()).into());
        }
        Ok(serde_json::from_str(success.result.get())?)
    }

    /// Our servers refuse notifications.
    async fn notification<Params>(&self, _: &str, _: Params) -> Result<(), Error>
    where
        Params: ToRpcParams + Send,
    {
        Err(Error::HttpNotImplemented)
    }

    /// Our servers refuse batches.
    async fn batch_request<'a, R>(
        &self,
        _: BatchRequestBuilder<'a>,
    ) -> Result<BatchResponse<'a, R>, Error>
    where
        R: DeserializeOwned + fmt::Debug + 'a,
    {
        Err(Error::HttpNotImplemented)
    }
}
