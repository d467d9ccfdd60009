//! Why nothing is done: a sentence for people and a code for programs.

use protocol::ids::{AgentName, ProfileName, RepoName};

use super::Rules;

/// Why nothing is done. Each is a sentence for `orchestrate`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Why {
    /// Not served.
    #[error("the repository is not on the list of served repositories")]
    RepoNotServed,
    /// It has another name now. Who has the old name next is not to be believed.
    #[error("the repository is called {0} now; put that name into forge.repositories")]
    Renamed(RepoName),
    /// Nothing can be written.
    #[error("the repository is archived")]
    Archived,
    /// The default branch cannot be used.
    #[error("the repository's default branch has a name with characters that are not accepted")]
    BadBase,
    /// A pull request that no bottle opened.
    #[error("it is not an issue, and no bottle's pull request")]
    NotOurs,
    /// Not there.
    #[error("the issue is gone")]
    Gone,
    /// Opened by one of our own accounts.
    #[error("the issue was opened by one of our own accounts")]
    OwnIssue,
    /// Closed.
    #[error("the issue is closed")]
    Closed,
    /// No agent is asked for.
    #[error("no label asks for an agent")]
    NoLabel,
    /// More than one agent is asked for.
    #[error("labels ask for more than one agent: {0:?}")]
    TwoAgents(String),
    /// A label names something that is not configured.
    #[error("there is no agent {0:?}")]
    UnknownAgent(String),
    /// A label names something that is not configured.
    #[error("there is no bottle profile {0:?}")]
    UnknownProfile(String),
    /// Nobody from the organisation is assigned.
    #[error("no assignee is a member of the agent organisation")]
    NoMember,
    /// Its bottle has ended, and nobody has asked anew.
    #[error("its last bottle has ended ({0}); take the label off and set it again for another one")]
    Spent(&'static str),
    /// The operator's emergency stop.
    #[error("the kill switch is on")]
    KillSwitch,
    /// All as it should be.
    #[error("nothing new")]
    NothingNew,
}

impl Why {
    /// What to do about it, where the sentence does not say so.
    pub fn remedy(&self, rules: &Rules) -> Option<String> {
        let agents: Vec<&str> = rules.agents.keys().map(AgentName::as_str).collect();
        let profiles: Vec<&str> = rules.profiles.iter().map(ProfileName::as_str).collect();
        Some(match self {
            Self::RepoNotServed => "check forge.repositories".to_owned(),
            Self::Archived => "take it out of the archive".to_owned(),
            Self::OwnIssue => "let a person open one".to_owned(),
            Self::Closed => "reopen it".to_owned(),
            Self::NoLabel => {
                let labels = agents.iter().map(|agent| format!("{}{agent}", rules.agent_label));
                format!("set the label {}", labels.collect::<Vec<_>>().join(" or "))
            }
            Self::TwoAgents(_) => "take off all but one".to_owned(),
            Self::UnknownAgent(_) => format!("there are: {}", agents.join(", ")),
            Self::UnknownProfile(_) if profiles.is_empty() => {
                "write bottles/<name>.toml".to_owned()
            }
            Self::UnknownProfile(_) => format!("there are: {}", profiles.join(", ")),
            Self::NoMember => "assign an agent's account that is one".to_owned(),
            Self::KillSwitch => "remove the file kill-switch from data_dir".to_owned(),
            Self::Renamed(_)
            | Self::BadBase
            | Self::NotOurs
            | Self::Gone
            | Self::Spent(_)
            | Self::NothingNew => return None,
        })
    }

    /// The same for programs: these words stay as they are.
    pub fn code(&self) -> &'static str {
        match self {
            Self::RepoNotServed => "repo_not_served",
            Self::Renamed(_) => "repo_renamed",
            Self::Archived => "repo_archived",
            Self::BadBase => "base_not_accepted",
            Self::NotOurs => "not_an_issue",
            Self::Gone => "issue_gone",
            Self::OwnIssue => "own_issue",
            Self::Closed => "issue_closed",
            Self::NoLabel => "no_agent_label",
            Self::TwoAgents(_) => "two_agent_labels",
            Self::UnknownAgent(_) => "unknown_agent",
            Self::UnknownProfile(_) => "unknown_profile",
            Self::NoMember => "no_member_assigned",
            Self::Spent(_) => "bottle_ended",
            Self::KillSwitch => "kill_switch",
            Self::NothingNew => "nothing_new",
        }
    }
}
