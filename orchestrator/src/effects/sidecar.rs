//! Talking to one bottle's sidecar over its control socket.

use std::{path::Path, time::Duration};

use protocol::{
    control::{ControlRpcClient as _, Usage},
    error::{ErrorCode, RpcError},
    grant::{Grant, RunSpec, Secrets},
    ids::Nonce,
    limits,
};
use rpc::client::UdsClient;

use super::Failure;
use crate::engine::spec::Places;

/// A sidecar answers in microseconds; on a host that swaps, in seconds.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// From the container's start to the socket: milliseconds; on a busy host, seconds.
const START_TIMEOUT: Duration = Duration::from_secs(20);
/// Between two looks at a socket that is not there yet.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// Gives grant and secrets as soon as the sidecar listens.
pub(super) async fn configure(
    places: &Places,
    grant: Grant,
    secrets: Secrets,
) -> Result<Nonce, Failure> {
    let socket = places.control_socket();
    let deadline = tokio::time::Instant::now() + START_TIMEOUT;
    loop {
        let client = connect(&socket, ANSWER_TIMEOUT)?;
        let answer =
            client.configure(grant.clone(), secrets.clone()).await.map_err(rpc::client::error);
        match answer {
            Ok(configured) => return Ok(configured.nonce),
            // Nobody listens yet, or a socket of the sidecar's former life is still there.
            Err(error)
                if error.data.kind == ErrorCode::NotReady
                    && tokio::time::Instant::now() < deadline =>
            {
                tokio::time::sleep(LOOK_AGAIN).await;
            }
            Err(error) => return Err(Failure::Sidecar(error)),
        }
    }
}

/// Hands a run over.
pub(super) async fn start_run(places: &Places, run: RunSpec) -> Result<(), Failure> {
    call(connect(&places.control_socket(), ANSWER_TIMEOUT)?.start_run(run)).await
}

/// Ends its work and wipes its secrets.
pub(super) async fn drain(places: &Places) -> Result<(), Failure> {
    let patience = limits::DRAIN_TIMEOUT + ANSWER_TIMEOUT;
    call(connect(&places.control_socket(), patience)?.drain()).await.map(|_| ())
}

/// How it is doing.
pub(super) async fn usage(places: &Places) -> Result<Usage, Failure> {
    call(connect(&places.control_socket(), ANSWER_TIMEOUT)?.usage()).await
}

fn connect(socket: &Path, timeout: Duration) -> Result<UdsClient, Failure> {
    rpc::client::connect(socket, timeout)
        .map_err(|error| Failure::Sidecar(RpcError::new(ErrorCode::NotReady, error.to_string())))
}

async fn call<T>(
    answer: impl Future<Output = Result<T, jsonrpsee::core::client::Error>>,
) -> Result<T, Failure> {
    answer.await.map_err(|error| Failure::Sidecar(rpc::client::error(error)))
}
