//! `operator.sock`: what the `orchestrate` commands ask of the daemon. Its directory is open to the
//! daemon's own user only.

use std::{fmt, str::FromStr};

use jiff::Timestamp;
use jsonrpsee::{core::RpcResult, proc_macros::rpc};
use serde::{Deserialize, Serialize};
use url::Url;

use crate::ids::{AgentName, BadName, IssueNumber, Login, ProfileName, RepoName, Slug};

/// The methods.
#[rpc(server, client)]
pub trait OperatorRpc {
    /// Every bottle that is not long gone, newest first; of many the first page.
    #[method(name = "status", param_kind = map)]
    async fn status(&self) -> RpcResult<Status>;

    /// The page of bottles after [`Status::next`] or [`BottlePage::next`].
    #[method(name = "bottles", param_kind = map)]
    async fn bottles(&self, before: u32) -> RpcResult<BottlePage>;

    /// The bottle of a slug, an issue or a pull request: the live one, or else the last one.
    #[method(name = "find", param_kind = map)]
    async fn find(&self, subject: Subject) -> RpcResult<BottleStatus>;

    /// What keeps an issue from being worked on, or lets it, by what the forge says now.
    #[method(name = "explain", param_kind = map)]
    async fn explain(&self, subject: Subject) -> RpcResult<Explanation>;

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

    /// The agent's output after a moment, oldest first; at first its end.
    #[method(name = "output", param_kind = map)]
    async fn output(&self, slug: Slug, after: Option<Timestamp>) -> RpcResult<Output>;

    /// Forgets bottles that have been gone for so long; or says only which.
    #[method(name = "prune", param_kind = map)]
    async fn prune(&self, older_than_s: u64, dry_run: bool) -> RpcResult<Pruned>;
}

/// Every method with its parameters.
pub const METHODS: &[(&str, &[&str])] = &[
    ("status", &[]),
    ("bottles", &["before"]),
    ("find", &["subject"]),
    ("explain", &["subject"]),
    ("start", &["request"]),
    ("resume", &["slug", "prompt"]),
    ("freeze", &["slug", "cold"]),
    ("destroy", &["slug"]),
    ("logs", &["slug", "after", "output"]),
    ("output", &["slug", "after"]),
    ("prune", &["older_than_s", "dry_run"]),
];

/// What an operator means: a bottle, or what it works on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Subject {
    /// `implementer-k3v9q`
    Bottle(Slug),
    /// `#7`, `7` or `owner/name#7`
    Item {
        /// The repository; `None` when only one is served.
        repo: Option<RepoName>,
        /// An issue's or a pull request's number.
        number: IssueNumber,
    },
    /// The address of an issue or a pull request on the forge.
    Address(Url),
}

/// A text that means no bottle and no issue.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is neither a bottle nor an issue: {why}")]
pub struct BadSubject {
    text: String,
    why: String,
}

impl FromStr for Subject {
    type Err = BadSubject;
    /// Reads a slug, `7`, `#7`, `owner/name#7`, or a web address; nothing may follow (CASES 226).
    fn from_str(text: &str) -> Result<Self, BadSubject> {
        let bad = |why: String| BadSubject { text: text.to_owned(), why };
        if text.contains("://") {
            return match Url::parse(text) {
                Ok(url) if matches!(url.scheme(), "http" | "https") => Ok(Self::Address(url)),
                Ok(_) | Err(_) => Err(bad("it is not a web address".to_owned())),
            };
        }
        if let Some((repo, number)) = text.split_once('#') {
            let number = format!("#{number}").parse();
            let number = number.map_err(|error: BadName| bad(error.to_string()))?;
            let repo = match repo {
                "" => None,
                repo => Some(repo.parse().map_err(|error: BadName| bad(error.to_string()))?),
            };
            return Ok(Self::Item { repo, number });
        }
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            let number = text.parse().map_err(|error: BadName| bad(error.to_string()))?;
            return Ok(Self::Item { repo: None, number });
        }
        text.parse().map(Self::Bottle).map_err(|_| {
            bad("write <agent>-<5 letters>, 7, #7, owner/name#7 or an issue's address".to_owned())
        })
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bottle(slug) => slug.fmt(f),
            Self::Item { repo: Some(repo), number } => write!(f, "{repo}#{number}"),
            Self::Item { repo: None, number } => write!(f, "#{number}"),
            Self::Address(url) => url.fmt(f),
        }
    }
}

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
    /// When the last webhook with our signature came, since the daemon started.
    pub last_delivery_at: Option<Timestamp>,
    /// What an operator should know beyond the bottles, in sentences.
    pub notes: Vec<String>,
    /// The bottles.
    pub bottles: Vec<BottleStatus>,
    /// Where the next page begins; `None` when there is no more.
    pub next: Option<u32>,
}

/// Answer to `bottles`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BottlePage {
    /// The bottles, newest first.
    pub bottles: Vec<BottleStatus>,
    /// Where the next page begins; `None` when there is no more.
    pub next: Option<u32>,
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

/// Answer to `output`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Output {
    /// What the agent wrote.
    pub pieces: Vec<OutputPiece>,
    /// Whether there will be no more: the bottle is gone.
    pub ended: bool,
}

/// Some output of an agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutputPiece {
    /// When; give the last one as `after` to read on.
    pub at: Timestamp,
    /// A line, or a part of one; agent-made text, to be escaped before printing.
    pub text: String,
}

/// Answer to `explain`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Explanation {
    /// The repository.
    pub repo: RepoName,
    /// The issue or pull request.
    pub number: IssueNumber,
    /// Whether nothing stands in its way.
    pub runs: bool,
    /// What stands in its way first, as in [`Condition::code`].
    pub code: Option<String>,
    /// Its bottle.
    pub bottle: Option<BottleStatus>,
    /// Every condition, in the order in which they are looked at.
    pub checks: Vec<Condition>,
}

/// One condition of [`Explanation`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Condition {
    /// The rule, by a name that stays as it is.
    pub rule: String,
    /// Whether it holds.
    pub outcome: Outcome,
    /// Where it does not: a word for programs that stays the same.
    pub code: Option<String>,
    /// In a sentence; may hold a forge's text, to be escaped before printing.
    pub sentence: String,
}

/// Whether a [`Condition`] holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It does.
    Pass,
    /// It does not.
    Fail,
    /// It cannot be told, or does not matter after what failed before.
    Unknown,
}

/// Answer to `prune`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pruned {
    /// Bottles that were, or would be, forgotten altogether.
    pub bottles: Vec<Slug>,
    /// Bottles of which only the log was, or would be, forgotten: their records keep their issues
    /// from being taken up again.
    pub logs: Vec<Slug>,
}
