//! What one bottle may do, and one run's instructions.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use url::Url;

use crate::{
    ids::{AgentName, BranchName, ForgeId, IssueNumber, Login, RepoName, RunId, Slug},
    secret::{self, Secret},
};

/// All that a sidecar lets its bottle do. Comes from the orchestrator alone; no RPC of the agent
/// can change it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grant {
    /// The bottle.
    pub slug: Slug,
    /// The agent that works in it.
    pub agent: AgentName,
    /// Where the repository is.
    pub forge: ForgeAccess,
    /// The bound repository; nothing outside it is read or written.
    pub repo: RepoName,
    /// The assigned issue; `None` for a bottle that an operator started without one.
    pub issue: Option<IssueNumber>,
    /// Pull requests that this bottle has opened; the assigned issue and these may be written to.
    pub pull_requests: Vec<IssueNumber>,
    /// Where pull requests go.
    pub base: BranchName,
    /// The one branch that may be pushed.
    pub branch: BranchName,
    /// Author and committer of the agent's commits.
    pub identity: GitIdentity,
}

/// How a forge is reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ForgeAccess {
    /// Its id in the configuration.
    pub id: ForgeId,
    /// What speaks there.
    pub kind: ForgeKind,
    /// Its root as its users know it, e.g. `https://git.example.org/`.
    pub url: Url,
    /// A certificate authority of the organisation's own, PEM.
    pub ca_pem: Option<String>,
}

/// The forges that can be spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ForgeKind {
    /// Gitea, and Forgejo with it.
    Gitea,
}

/// A name in commits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GitIdentity {
    /// The account on the forge that the token belongs to.
    pub login: Login,
    /// The name in commits.
    pub name: String,
    /// The address in commits.
    pub email: String,
}

/// What only the sidecar may know. The one type that puts secrets on a wire: the control socket.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Secrets {
    /// The agent's token on the forge.
    #[serde(serialize_with = "secret::on_the_wire")]
    pub forge_token: Secret,
}

/// One prompt and how it is given to the agent program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunSpec {
    /// Its id; starting the same run twice starts it once.
    pub run: RunId,
    /// The command line in the bottle; never empty. `{prompt}` in an argument stands for the prompt.
    pub command: Vec<String>,
    /// Where the prompt goes.
    pub prompt_via: PromptVia,
    /// The prompt.
    pub prompt: String,
    /// Environment of the agent program; context, never a secret.
    pub env: BTreeMap<String, String>,
}

/// How a program takes its prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PromptVia {
    /// On standard input.
    Stdin,
    /// In place of `{prompt}` in the command line.
    Argument,
    /// In a file, whose path is in `BOT_BOTTLE_PROMPT_FILE`.
    File,
}
