//! `agent.sock`: what the bottle asks for. Every value is checked here; every write goes through the
//! scoped forge, the budget and the op log ([`write`]).

mod post;
mod progress;
mod pull;
mod read;
mod run;
mod write;

pub(crate) use post::{Doubts, Posts};
pub(crate) use write::take_budget;

use std::sync::Arc;

use jsonrpsee::core::{RpcResult, async_trait};
use protocol::{
    agent::{
        AgentRpcServer, Context, DoneReceipt, DoneStatus, OpenedPr, ProgressItem, RunExit, Written,
    },
    grant::RunSpec,
    ids::{IssueNumber, RunId},
    item::{CiReport, Comment, Issue, PullRequest, Review},
};

use crate::phase::Sidecar;

/// Answers the agent socket's RPCs.
#[derive(Debug, Clone)]
pub struct AgentApi(pub Arc<Sidecar>);

#[async_trait]
impl AgentRpcServer for AgentApi {
    async fn read_issue(&self, number: IssueNumber) -> RpcResult<Issue> {
        Ok(read::issue(&self.0, number).await?)
    }

    async fn read_pr(&self, number: IssueNumber) -> RpcResult<PullRequest> {
        Ok(read::pull_request(&self.0, number).await?)
    }

    async fn read_comments(&self, number: IssueNumber) -> RpcResult<Vec<Comment>> {
        Ok(read::comments(&self.0, number).await?)
    }

    async fn read_reviews(&self, number: IssueNumber) -> RpcResult<Vec<Review>> {
        Ok(read::reviews(&self.0, number).await?)
    }

    async fn read_ci(&self, number: IssueNumber) -> RpcResult<CiReport> {
        Ok(read::ci(&self.0, number).await?)
    }

    async fn post_comment(&self, number: IssueNumber, body: String) -> RpcResult<Comment> {
        Ok(write::post_comment(&self.0, number, &body).await?)
    }

    async fn update_description(&self, number: IssueNumber, body: String) -> RpcResult<Written> {
        Ok(write::update_description(&self.0, number, &body).await?)
    }

    async fn open_pr(&self, title: String, body: String) -> RpcResult<OpenedPr> {
        Ok(pull::open(&self.0, &title, &body).await?)
    }

    async fn report_progress(&self, items: Vec<ProgressItem>) -> RpcResult<Comment> {
        Ok(progress::report(&self.0, &items).await?)
    }

    async fn signal_done(&self, status: DoneStatus, summary: String) -> RpcResult<DoneReceipt> {
        Ok(run::done(&self.0, status, summary).await?)
    }

    async fn context(&self) -> RpcResult<Context> {
        Ok(read::context(&self.0)?)
    }

    async fn next_run(&self) -> RpcResult<Option<RunSpec>> {
        Ok(run::next(&self.0).await?)
    }

    async fn run_started(&self, run: RunId) -> RpcResult<()> {
        Ok(run::started(&self.0, run).await?)
    }

    async fn run_exited(&self, run: RunId, exit: RunExit) -> RpcResult<()> {
        Ok(run::exited(&self.0, run, exit).await?)
    }
}
