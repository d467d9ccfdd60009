//! `agent.sock`: what a program in the bottle may ask of its sidecar. The caller is hostile.
//!
//! HTTP/1.1 over a Unix socket, JSON-RPC 2.0 on `POST /`, parameters by name, no batches. Which
//! socket a call came in on is the caller's identity; no method has a parameter that says who asks.

use jsonrpsee::{core::RpcResult, proc_macros::rpc};
use serde::{Deserialize, Serialize};

use crate::{
    grant::RunSpec,
    ids::{AgentName, BranchName, IssueNumber, RepoName, RunId, Slug},
    item::{CiReport, Comment, Issue, PullRequest, Review},
};

/// The methods. `read_*` read anywhere in the bound repository; `post_comment` and
/// `update_description` write to the assigned issue and the pull requests that this bottle opened.
#[rpc(server, client)]
pub trait AgentRpc {
    /// One issue. A pull request's number is an error that says so.
    #[method(name = "read_issue", param_kind = map)]
    async fn read_issue(&self, number: IssueNumber) -> RpcResult<Issue>;

    /// One pull request, with its merge state.
    #[method(name = "read_pr", param_kind = map)]
    async fn read_pr(&self, number: IssueNumber) -> RpcResult<PullRequest>;

    /// The comments of an issue or pull request, oldest first.
    #[method(name = "read_comments", param_kind = map)]
    async fn read_comments(&self, number: IssueNumber) -> RpcResult<Vec<Comment>>;

    /// The reviews of a pull request with their remarks on lines, oldest first.
    #[method(name = "read_reviews", param_kind = map)]
    async fn read_reviews(&self, number: IssueNumber) -> RpcResult<Vec<Review>>;

    /// What continuous integration says of a pull request's head.
    #[method(name = "read_ci", param_kind = map)]
    async fn read_ci(&self, number: IssueNumber) -> RpcResult<CiReport>;

    /// Comments on the assigned issue or an own pull request.
    #[method(name = "post_comment", param_kind = map)]
    async fn post_comment(&self, number: IssueNumber, body: String) -> RpcResult<Comment>;

    /// Replaces the description of the assigned issue or an own pull request.
    #[method(name = "update_description", param_kind = map)]
    async fn update_description(&self, number: IssueNumber, body: String) -> RpcResult<Written>;

    /// Opens a pull request from this bottle's branch; a second call returns the first one.
    #[method(name = "open_pr", param_kind = map)]
    async fn open_pr(&self, title: String, body: String) -> RpcResult<OpenedPr>;

    /// Shows how far the work is, in one comment that is edited in place.
    #[method(name = "report_progress", param_kind = map)]
    async fn report_progress(&self, items: Vec<ProgressItem>) -> RpcResult<Comment>;

    /// Says that this run's work has ended. Answered when it is durable; the first of a run counts.
    #[method(name = "signal_done", param_kind = map)]
    async fn signal_done(&self, status: DoneStatus, summary: String) -> RpcResult<DoneReceipt>;

    /// What this bottle is and may do.
    #[method(name = "context", param_kind = map)]
    async fn context(&self) -> RpcResult<Context>;

    /// Waits for a run, at most [`crate::limits::NEXT_RUN_WAIT`]; for PID 1 of the bottle. The same
    /// run is given out until `run_started` names it.
    #[method(name = "next_run", param_kind = map)]
    async fn next_run(&self) -> RpcResult<Option<RunSpec>>;

    /// PID 1 has started a run's program.
    #[method(name = "run_started", param_kind = map)]
    async fn run_started(&self, run: RunId) -> RpcResult<()>;

    /// A run's program has ended.
    #[method(name = "run_exited", param_kind = map)]
    async fn run_exited(&self, run: RunId, exit: RunExit) -> RpcResult<()>;
}

/// Every method with its parameters: the server refuses parameters that are not listed here.
pub const METHODS: &[(&str, &[&str])] = &[
    ("read_issue", &["number"]),
    ("read_pr", &["number"]),
    ("read_comments", &["number"]),
    ("read_reviews", &["number"]),
    ("read_ci", &["number"]),
    ("post_comment", &["number", "body"]),
    ("update_description", &["number", "body"]),
    ("open_pr", &["title", "body"]),
    ("report_progress", &["items"]),
    ("signal_done", &["status", "summary"]),
    ("context", &[]),
    ("next_run", &[]),
    ("run_started", &["run"]),
    ("run_exited", &["run", "exit"]),
];

/// A description was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Written {
    /// Of which issue or pull request.
    pub number: IssueNumber,
}

/// Answer to `open_pr`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OpenedPr {
    /// The pull request of this bottle's branch.
    pub pull_request: PullRequest,
    /// Whether it was there already.
    pub existed: bool,
}

/// One line of a progress report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProgressItem {
    /// What is to be done.
    pub text: String,
    /// Whether it is.
    pub done: bool,
}

/// How a run's work ended, in the agent's own words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DoneStatus {
    /// As asked.
    Success,
    /// It could not be done.
    Failed,
    /// Somebody must decide or give something first.
    Blocked,
}

/// Answer to `signal_done`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DoneReceipt {
    /// The run that it ended.
    pub run: RunId,
    /// What is on record for the run; an earlier word if there was one.
    pub status: DoneStatus,
    /// The summary on record.
    pub summary: String,
    /// Whether this call was the one that counted.
    pub counted: bool,
}

/// How a run's program ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunExit {
    /// Its exit code, or 128 + the signal that ended it.
    pub code: i32,
    /// The last bytes of its output, as text.
    pub output_tail: String,
}

/// What a bottle is and may do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Context {
    /// The bottle.
    pub slug: Slug,
    /// The agent.
    pub agent: AgentName,
    /// The run that is going on.
    pub run: Option<RunId>,
    /// The bound repository.
    pub repo: RepoName,
    /// Where `git clone` finds it; plain git is set up so that this goes through the sidecar.
    pub clone_url: String,
    /// The assigned issue.
    pub issue: Option<IssueNumber>,
    /// Pull requests of this bottle.
    pub pull_requests: Vec<IssueNumber>,
    /// Where pull requests go.
    pub base: BranchName,
    /// The one branch that may be pushed.
    pub branch: BranchName,
    /// Author and committer of commits.
    pub git_name: String,
    /// Their address.
    pub git_email: String,
    /// Writes to the forge that are left in this minute and today.
    pub writes_left: WritesLeft,
}

/// What is left of the write budgets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WritesLeft {
    /// Until a minute has passed.
    pub this_minute: u32,
    /// Until a day has passed.
    pub today: u32,
}
