//! One call: from the bytes of a body to the bytes of an answer.

mod envelope;

use std::sync::Arc;

use bytes::Bytes;
use jsonrpsee::{
    ConnectionId, Extensions, MethodCallback, MethodResponse,
    types::{ErrorObject, ErrorObjectOwned, Id, Params},
};
use protocol::error::{ErrorCode, RpcError};
use tokio::{sync::OwnedSemaphorePermit, task::JoinError, time::timeout};

use super::Shared;
use envelope::{Call, Refused};

/// JSON-RPC's code for a fault of the server.
const INTERNAL_ERROR: i32 = -32603;
/// JSON-RPC's code for a method that does not exist.
const METHOD_NOT_FOUND: i32 = -32601;

/// Answers one body. Never fails: what is wrong with it becomes a JSON-RPC error.
pub(super) async fn answer(shared: &Arc<Shared>, body: Bytes) -> Bytes {
    let call = match envelope::read(&body, shared.service.known, shared.limits.depth_max) {
        Ok(call) => call,
        Err(Refused { id, code, message }) => {
            tracing::debug!(code, message, "call refused");
            return error(id, ErrorObject::owned(code, message, None::<()>));
        }
    };
    let Ok(place) = Arc::clone(&shared.places).try_acquire_owned() else {
        return error(call.id, busy(shared.limits.in_flight));
    };
    run(shared, call, place).await
}

/// Runs the method in a task of its own, so that it ends even when the caller does not wait, and
/// so that a panic stays in it. The place is given back when the method has ended, not the caller.
async fn run(shared: &Arc<Shared>, call: Call, place: OwnedSemaphorePermit) -> Bytes {
    let Call { id, method, params } = call;
    let params = Params::new(params.as_deref()).into_owned();
    let answer_max = shared.limits.answer_max_bytes;
    let (callback, own_id) = (shared.service.methods.method(method).cloned(), id.clone());
    let work = async move {
        let response = match callback {
            Some(MethodCallback::Async(run)) => {
                run(own_id, params, ConnectionId(0), answer_max, Extensions::new()).await
            }
            Some(MethodCallback::Sync(run)) => run(own_id, params, answer_max, Extensions::new()),
            Some(MethodCallback::Subscription(_) | MethodCallback::Unsubscription(_)) | None => {
                MethodResponse::error(
                    own_id,
                    ErrorObject::owned(METHOD_NOT_FOUND, "unknown method", None::<()>),
                )
            }
        };
        drop(place);
        response
    };
    let task = shared.calls.spawn(shared.cut.clone().run_until_cancelled_owned(work));
    match timeout(shared.limits.call_timeout, task).await {
        Ok(Ok(Some(response))) => json(response),
        Ok(Ok(None)) => {
            error(id, RpcError::new(ErrorCode::NotReady, "the server is ending").into())
        }
        Ok(Err(failed)) => error(id, fault(method, &failed)),
        Err(_) => error(id, too_slow(method)),
    }
}

fn busy(in_flight: usize) -> ErrorObjectOwned {
    let mut busy = RpcError::new(
        ErrorCode::LimitReached,
        format!("busy: {in_flight} calls are being answered already"),
    );
    busy.data.retry_after_s = Some(1);
    busy.into()
}

fn too_slow(method: &str) -> ErrorObjectOwned {
    let message = format!("{method} takes too long; whether it will be done is not known");
    RpcError::new(ErrorCode::Internal, message).hint("read before you try again").into()
}

/// CASES 65: the panic's own text stays here, it may hold anything.
fn fault(method: &'static str, failed: &JoinError) -> ErrorObjectOwned {
    tracing::error!(method, panicked = failed.is_panic(), "a method failed by a fault of ours");
    ErrorObject::owned(INTERNAL_ERROR, "internal error", None::<()>)
}

fn error(id: Id<'_>, object: ErrorObjectOwned) -> Bytes {
    json(MethodResponse::error(id, object))
}

/// Without a copy: answers may be large.
fn json(response: MethodResponse) -> Bytes {
    Bytes::from(String::from(Box::<str>::from(response.into_json())))
}
