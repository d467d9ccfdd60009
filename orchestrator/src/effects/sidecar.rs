//! Talking to one bottle's sidecar, behind a port; in earnest over its control socket.

use std::{path::Path, time::Duration};

use async_trait::async_trait;
use protocol::{
    control::{ControlRpcClient as _, Usage},
    error::{ErrorCode, RpcError},
    grant::{Grant, RunSpec, Secrets},
    ids::{Nonce, Slug},
    limits,
};
use rpc::client::UdsClient;

use crate::engine::spec::Places;

/// A sidecar answers in microseconds; on a host that swaps, in seconds.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// From the container's start to the socket: milliseconds; on a busy host, seconds.
const START_TIMEOUT: Duration = Duration::from_secs(20);
/// Between two looks at a socket that is not there yet.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// What a bottle's sidecar is told. Each may be repeated.
#[async_trait]
pub trait Sidecars: Send + Sync + std::fmt::Debug {
    /// Gives grant and secrets as soon as the sidecar listens; its answer is a fresh nonce.
    async fn configure(
        &self,
        slug: &Slug,
        places: &Places,
        grant: Grant,
        secrets: Secrets,
    ) -> Result<Nonce, RpcError>;

    /// Hands a run over.
    async fn start_run(&self, slug: &Slug, places: &Places, run: RunSpec) -> Result<(), RpcError>;

    /// Ends its work and wipes its secrets.
    async fn drain(&self, slug: &Slug, places: &Places) -> Result<(), RpcError>;

    /// How it is doing.
    async fn usage(&self, slug: &Slug, places: &Places) -> Result<Usage, RpcError>;
}

/// Sidecars behind their control sockets.
#[derive(Debug, Clone, Copy)]
pub struct ControlSockets;

#[async_trait]
impl Sidecars for ControlSockets {
    async fn configure(
        &self,
        _: &Slug,
        places: &Places,
        grant: Grant,
        secrets: Secrets,
    ) -> Result<Nonce, RpcError> {
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
                Err(error) => return Err(error),
            }
        }
    }

    async fn start_run(&self, _: &Slug, places: &Places, run: RunSpec) -> Result<(), RpcError> {
        answer(connect(&places.control_socket(), ANSWER_TIMEOUT)?.start_run(run)).await
    }

    async fn drain(&self, _: &Slug, places: &Places) -> Result<(), RpcError> {
        let patience = limits::DRAIN_TIMEOUT + ANSWER_TIMEOUT;
        answer(connect(&places.control_socket(), patience)?.drain()).await.map(|_| ())
    }

    async fn usage(&self, _: &Slug, places: &Places) -> Result<Usage, RpcError> {
        answer(connect(&places.control_socket(), ANSWER_TIMEOUT)?.usage()).await
    }
}

fn connect(socket: &Path, timeout: Duration) -> Result<UdsClient, RpcError> {
    rpc::client::connect(socket, timeout)
        .map_err(|error| RpcError::new(ErrorCode::NotReady, error.to_string()))
}

async fn answer<T>(
    call: impl Future<Output = Result<T, jsonrpsee::core::client::Error>>,
) -> Result<T, RpcError> {
    call.await.map_err(rpc::client::error)
}
