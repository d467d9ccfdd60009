//! `control.sock`: the orchestrator's orders.

use std::sync::Arc;

use jsonrpsee::core::{RpcResult, async_trait};
use protocol::{
    control::{Configured, ControlRpcServer, Drained, Usage},
    error::{ErrorCode, RpcError},
    event::QueueEvent,
    grant::{Grant, RunSpec, Secrets},
    ids::EventId,
};

use crate::{phase::Sidecar, runs::News};

/// Answers the control socket.
#[derive(Debug, Clone)]
pub struct ControlApi(pub Arc<Sidecar>);

#[async_trait]
impl ControlRpcServer for ControlApi {
    async fn configure(&self, grant: Grant, secrets: Secrets) -> RpcResult<Configured> {
        let configured = self.0.configure(grant, secrets)?;
        tracing::info!(nonce = %configured.nonce, "configured");
        Ok(configured)
    }

    async fn start_run(&self, run: RunSpec) -> RpcResult<()> {
        let work = self.0.enter()?;
        let slug = &work.session().grant.slug;
        if run.run.as_str().rsplit_once('.').is_none_or(|(whose, _)| whose != slug.as_str()) {
            let message = format!("{} is no run of {slug}", run.run);
            return Err(RpcError::new(ErrorCode::Invalid, message).into());
        }
        if run.command.is_empty() {
            return Err(RpcError::new(ErrorCode::Invalid, "a run needs a command").into());
        }
        let id = run.run.clone();
        let news = self.0.runs.send_if_modified(|runs| runs.offer(run) == News::New);
        tracing::info!(run = %id, news, "run handed over");
        Ok(())
    }

    async fn drain(&self) -> RpcResult<Drained> {
        Ok(self.0.drain().await)
    }

    async fn usage(&self) -> RpcResult<Usage> {
        Ok(self.0.usage().await.map_err(RpcError::from)?)
    }

    async fn shutdown(&self) -> RpcResult<()> {
        self.0.shut_down().await;
        Ok(())
    }

    async fn events(&self, after: Option<EventId>) -> RpcResult<Vec<QueueEvent>> {
        Ok(self.0.queue.events(after).await.map_err(RpcError::from)?)
    }

    async fn ack(&self, up_to: EventId) -> RpcResult<()> {
        Ok(self.0.queue.ack(up_to).await.map_err(RpcError::from)?)
    }
}
