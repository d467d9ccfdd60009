//! `operator.sock`: what the `orchestrate` commands ask of the daemon. Its directory is open to the
//! daemon's own user only.

use jiff::Timestamp;
use jsonrpsee::{core::RpcResult, proc_macros::rpc};
use serde::{Deserialize, Serialize};

use crate::ids::{AgentName, IssueNumber, Login, ProfileName, RepoName, Slug};

/// The methods.
#[rpc(server, client)]
pub trait OperatorRpc {
    /// Every bottle that is not long gone, newest first.
    #[method(name = "status", param_kind = map)]
    async fn status(&self) -> RpcResult<Status>;

    /// Starts a bottle by hand. Answered when it is stored; the launch follows.
    #[method(name = "start", param_kind = map)]
    async fn start(&self, request: StartRequest) -> RpcResult<Slug>;

    /// Wakes a frozen bottle with a prompt, or gives it to a running one when its run has ended.
    #[method(name = "resume", param_kind = map)]
    async fn resume(&self, slug: Slug, prompt: String) -> RpcResult<()>;

    /// Puts a bottle to sleep now; `cold` stops its containers.
    #[method(name = "freeze", param_kind = map)]
    async fn freeze(&self, slug: Slug, cold: bool) -> RpcResult<()>;

    /// Ends a bottle; its record stays.
    #[method(name = "destroy", param_kind = map)]
    async fn destroy(&self, slug: Slug) -> RpcResult<()>;

    /// The op log after a position, and the agent's output on request.
    #[method(name = "logs", param_kind = map)]
    async fn logs(&self, slug: Slug, after: u64, output: bool) -> RpcResult<Logs>;
}

/// Every method with its parameters.
pub const METHODS: &[(&str, &[&str])] = &[
    ("status", &[]),
    ("start", &["request"]),
    ("resume", &["slug", "prompt"]),
    ("freeze", &["slug", "cold"]),
    ("destroy", &["slug"]),
    ("logs", &["slug", "after", "output"]),
];

/// Answer to `status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Status {
    /// The daemon's version.
    pub version: String,
    /// Bottles that may be awake at a time.
    pub slots: u32,
    /// Those that are.
    pub slots_used: u32,
    /// Whether the kill switch is on.
    pub kill_switch: bool,
    /// The bottles.
    pub bottles: Vec<BottleStatus>,
}

/// One bottle, with the columns that users of the first version rely on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BottleStatus {
    /// Its name.
    pub slug: Slug,
    /// Its agent.
    pub agent_name: AgentName,
    /// The profiles that it was made of.
    pub bottle_names: Vec<ProfileName>,
    /// The engine that it runs on.
    pub backend_name: String,
    /// The account that its writes are made with.
    pub agent_git_user: Login,
    /// The repository.
    pub repo: RepoName,
    /// The issue.
    pub issue_number: Option<IssueNumber>,
    /// The pull request that it opened last.
    pub pr_number: Option<IssueNumber>,
    /// `queued`, `starting`, `running`, `freezing`, `frozen`, `rehydrating`, `failed`, `destroyed`.
    pub status: String,
    /// More on it: the tier of a frozen bottle, the reason of a failed or destroyed one.
    pub detail: String,
    /// A word given by the operator at `start`.
    pub label: Option<String>,
    /// Runs so far.
    pub runs: u32,
    /// When the sidecar was last heard of.
    pub last_checkin_at: Option<Timestamp>,
    /// Made at.
    pub created_at: Timestamp,
}

/// What `orchestrate start` asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StartRequest {
    /// Which agent.
    pub agent: AgentName,
    /// Profiles, later ones override; empty for the agent's own.
    pub bottles: Vec<ProfileName>,
    /// What it is told.
    pub prompt: String,
    /// A word to find it by.
    pub label: Option<String>,
    /// The engine; `None` for the configured one.
    pub backend: Option<String>,
    /// The repository; `None` when only one is configured.
    pub repo: Option<RepoName>,
    /// The issue that it may write to.
    pub issue: Option<IssueNumber>,
}

/// Answer to `logs`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Logs {
    /// The op log, oldest first.
    pub lines: Vec<LogLine>,
    /// The agent's output, if it was asked for; agent-made text, to be escaped before printing.
    pub output: String,
}

/// One line of the op log or of the bottle's life.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogLine {
    /// Its position; give the last one as `after` to read on.
    pub position: u64,
    /// When.
    pub at: Timestamp,
    /// What, in a sentence.
    pub sentence: String,
}
