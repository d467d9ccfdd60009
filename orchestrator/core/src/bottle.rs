//! A bottle as it is remembered: who it is, what it may do next, which state it is in.

mod words;

use std::{collections::BTreeSet, fmt, num::NonZeroU32};

use jiff::Timestamp;
use protocol::{
    agent::DoneStatus,
    ids::{
        AgentName, BranchName, ForgeId, IssueNumber, Login, Nonce, ProfileName, RepoName, RunId,
        Slug,
    },
};
use serde::{Deserialize, Serialize};

/// One bottle's record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bottle {
    /// Its name, and that of everything made for it outside.
    pub slug: Slug,
    /// Counted from 1 and never used again; user ids are derived from it.
    pub serial: u32,
    /// What it works on.
    pub home: Home,
    /// Who works in it.
    pub agent: AgentName,
    /// The account that its writes are made with.
    pub login: Login,
    /// What it is made of; later profiles override.
    pub profiles: Vec<ProfileName>,
    /// The engine that it runs on.
    pub backend: String,
    /// A word of the operator's.
    pub label: Option<String>,
    /// Pull requests that it opened, oldest first: the forge said that they are of its branch.
    pub pull_requests: Vec<IssueNumber>,
    /// Pull requests that its sidecar told of. A sidecar may lie: nothing follows from a claim until
    /// the forge was asked.
    #[serde(default)]
    pub claims: Claims,
    /// What people said that it has been told, or that was there before it.
    pub heard: BTreeSet<Heard>,
    /// Prompts for the next run, oldest first.
    pub waiting: Vec<Prompt>,
    /// When the first of them came that may wake it; its turn for a slot goes by that.
    #[serde(default)]
    pub asked_at: Option<Timestamp>,
    /// Whether it is known that it may be woken.
    #[serde(default)]
    pub rights: Rights,
    /// Runs given so far.
    pub runs: u32,
    /// What the sidecar answered to its last `configure`.
    pub nonce: Option<Nonce>,
    /// When the sidecar was last heard of.
    pub last_checkin: Option<Timestamp>,
    /// When a program of its latest run was first killed for lack of memory. The run may go on.
    #[serde(default)]
    pub starved_at: Option<Timestamp>,
    /// Made at.
    pub created_at: Timestamp,
    /// Where it stands.
    pub state: State,
}

/// What a bottle works on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Home {
    /// The forge.
    pub forge: ForgeId,
    /// The repository.
    pub repo: RepoName,
    /// The assigned issue; `None` when an operator started it without one.
    pub issue: Option<IssueNumber>,
    /// Whether the forge's labels started it, and may stop it.
    pub origin: Origin,
    /// Where its pull request goes.
    pub base: BranchName,
    /// What it may push.
    pub branch: BranchName,
}

/// Who asked for a bottle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// A label and an assignment; taking them away ends it.
    Issue,
    /// An operator; labels do not matter to it.
    Operator,
}

/// Something a person said on the forge, by the forge's id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Heard {
    /// A comment.
    Comment(u64),
    /// A review.
    Review(u64),
    /// A remark on a line, in a review or in answer to one.
    Line(u64),
}

/// Numbers that a sidecar told of as its pull requests.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claims {
    /// The forge is still to be asked.
    pub open: Vec<IssueNumber>,
    /// The forge said that they are not of the bottle's branch; kept, so that it is asked once.
    pub refuted: Vec<IssueNumber>,
}

/// Whether it is known that a bottle that wants a slot may still have one: while it waited, its issue
/// may have been closed or its label taken off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "rights", rename_all = "snake_case", deny_unknown_fields)]
pub enum Rights {
    /// Nothing is known.
    Unknown {},
    /// The forge is being asked, and a slot is kept for it.
    Asked {
        /// Since when.
        at: Timestamp,
    },
    /// The forge does not answer; others are served until it does.
    Overdue {},
    /// The forge said yes. Counts for a while.
    Seen {
        /// When.
        at: Timestamp,
    },
}

impl Default for Rights {
    fn default() -> Self {
        Self::Unknown {}
    }
}

/// Something to tell the agent. Its text is private: it is not printed for debugging.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prompt {
    /// Where it comes from, for people: `issue #17`, `comment by bob`, `operator`.
    pub source: String,
    /// What the agent is to read.
    pub text: String,
    /// The remark that it tells of. `None` for an issue's text, for an operator's words, and in old
    /// records.
    #[serde(default)]
    pub saying: Option<Saying>,
}

/// A remark and who made it: what it says counts only as long as its author may write.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Saying {
    /// Which.
    pub id: Heard,
    /// By whom.
    pub author: Login,
}

impl fmt::Debug for Prompt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prompt")
            .field("source", &self.source)
            .field("bytes", &self.text.len())
            .finish()
    }
}

/// Where a bottle stands. Each variant holds what is true in it and nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case", deny_unknown_fields)]
pub enum State {
    /// Waits for a slot.
    Queued {
        /// Since when; the oldest goes first.
        since: Timestamp,
    },
    /// Is being made. Leads to running, or after the last attempt to failed.
    Starting(Waking),
    /// Its agent works.
    Running {
        /// Which run.
        run: NonZeroU32,
        /// Since when.
        since: Timestamp,
        /// The last news of it; the watchdog counts from here.
        last_news: Timestamp,
        /// The agent's own word that it has ended, while it may still exit by itself.
        done: Option<Said>,
    },
    /// Is being put to sleep. Leads to frozen, or after the last attempt to failed.
    Freezing {
        /// Which tier it goes to.
        tier: Tier,
        /// How its run ended.
        ending: Ending,
        /// Attempts so far and when the next is due.
        attempts: Attempts,
        /// An operator wants it asleep: goes over into the frozen state's.
        held: bool,
    },
    /// Sleeps with all its state.
    Frozen {
        /// How deep.
        tier: Tier,
        /// Since when it has been in this tier.
        since: Timestamp,
        /// How its last run ended.
        ending: Ending,
        /// An operator put it to sleep: what waited then does not wake it, something new does.
        held: bool,
    },
    /// Is being woken. Leads to running, or after the last attempt to failed.
    Rehydrating(Waking),
    /// Could not be started or put to sleep; keeps its files. A new prompt tries again.
    Failed {
        /// Why, for people.
        reason: String,
        /// Since when.
        since: Timestamp,
        /// Whether it was asked to try again.
        retry: bool,
    },
    /// Is gone for good; only the record stays.
    Destroyed {
        /// Why.
        reason: Reason,
        /// When that was decided.
        at: Timestamp,
        /// Attempts to remove what it left; `None` when nothing is left.
        cleaning: Option<Attempts>,
        /// Whether its issue has stopped asking since, so that asking again means a new bottle.
        released: bool,
    },
}

/// A bottle on its way to a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Waking {
    /// The run that it is woken for.
    pub run: NonZeroU32,
    /// What the run is told.
    pub prompts: Vec<Prompt>,
    /// Attempts so far and when the next is due.
    pub attempts: Attempts,
}

/// How often something was tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Attempts {
    /// Failed ones.
    pub failed: u32,
    /// When the next is due; `None` while one is under way.
    pub next_at: Option<Timestamp>,
}

impl Attempts {
    /// The first one is under way.
    pub const FIRST: Self = Self { failed: 0, next_at: None };
}

/// What the agent said with `signal_done`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Said {
    /// How it went, by its own word.
    pub status: DoneStatus,
    /// In its words.
    pub summary: String,
    /// When it was read; the grace time counts from here.
    pub at: Timestamp,
}

/// How deep a frozen bottle sleeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tier {
    /// Paused in memory; wakes in milliseconds.
    Hot,
    /// Stopped, files kept; wakes in the time of a container start.
    Cold,
}

/// How a run ended. All but the first leave the record incomplete.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ending", rename_all = "snake_case", deny_unknown_fields)]
pub enum Ending {
    /// The agent said so.
    Reported {
        /// How it went.
        status: DoneStatus,
        /// In its words.
        summary: String,
    },
    /// The agent program exited without a word.
    Silent {
        /// With this code.
        code: i32,
    },
    /// Nothing was heard for the watchdog's time.
    TimedOut {},
    /// A container died.
    Died {
        /// Which, and what is known of it.
        detail: String,
    },
    /// An operator or the kill switch put it to sleep.
    Halted {},
}

/// Why a bottle was destroyed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// Its pull request was merged.
    Merged,
    /// Its pull request was closed without a merge.
    PullClosed,
    /// Its pull request is not there any more.
    PullGone,
    /// Its issue was closed and no pull request was open.
    IssueClosed,
    /// Its issue or repository is not there any more.
    Gone,
    /// The agent's label was taken off.
    Unlabelled,
    /// No member of the agent organisation is assigned any more.
    Unassigned,
    /// An operator said so.
    Operator,
}

impl Bottle {
    /// The id of its `number`th run.
    pub fn run_id(&self, number: NonZeroU32) -> RunId {
        RunId::new(&self.slug, number)
    }

    /// The run that it is in or on its way to.
    pub fn current_run(&self) -> Option<NonZeroU32> {
        match &self.state {
            State::Starting(waking) | State::Rehydrating(waking) => Some(waking.run),
            State::Running { run, .. } => Some(*run),
            State::Queued { .. }
            | State::Freezing { .. }
            | State::Frozen { .. }
            | State::Failed { .. }
            | State::Destroyed { .. } => None,
        }
    }

    /// Whether it takes up one of the host's slots.
    pub fn uses_slot(&self) -> bool {
        match &self.state {
            State::Starting(_)
            | State::Running { .. }
            | State::Freezing { .. }
            | State::Rehydrating(_) => true,
            State::Queued { .. }
            | State::Frozen { .. }
            | State::Failed { .. }
            | State::Destroyed { .. } => false,
        }
    }

    /// Since when it has waited for a slot, if it does: since it was asked for, not since it sleeps.
    pub fn wants_slot_since(&self) -> Option<Timestamp> {
        match &self.state {
            State::Queued { since } => Some(*since),
            State::Frozen { since, held: false, .. } if !self.waiting.is_empty() => {
                Some(self.asked_at.unwrap_or(*since))
            }
            State::Failed { since, retry: true, .. } => Some(self.asked_at.unwrap_or(*since)),
            State::Frozen { .. }
            | State::Failed { .. }
            | State::Starting(_)
            | State::Running { .. }
            | State::Freezing { .. }
            | State::Rehydrating(_)
            | State::Destroyed { .. } => None,
        }
    }

    /// Whether it is the bottle of this issue or pull request.
    pub fn is_about(&self, repo: &RepoName, number: IssueNumber) -> bool {
        self.home.repo == *repo
            && (self.home.issue == Some(number) || self.pull_requests.contains(&number))
    }

    /// The number that shows whether it is still wanted; `None` when nothing on the forge does.
    pub fn looks_at(&self) -> Option<IssueNumber> {
        self.home.issue.or_else(|| self.pull_requests.last().copied())
    }

    /// Who made the remarks that it is still to be told of. A waking that fails puts its prompts back.
    pub fn authors(&self) -> BTreeSet<&Login> {
        let on_their_way = match &self.state {
            State::Starting(waking) | State::Rehydrating(waking) => waking.prompts.as_slice(),
            State::Queued { .. }
            | State::Running { .. }
            | State::Freezing { .. }
            | State::Frozen { .. }
            | State::Failed { .. }
            | State::Destroyed { .. } => &[],
        };
        let prompts = on_their_way.iter().chain(&self.waiting);
        prompts.filter_map(|prompt| prompt.saying.as_ref()).map(|saying| &saying.author).collect()
    }

    /// Whether it has not been destroyed.
    pub fn is_live(&self) -> bool {
        !matches!(self.state, State::Destroyed { .. })
    }
}

impl Reason {
    /// Whether the issue itself stopped asking. Otherwise label and assignee may still be there,
    /// and must be set anew for another bottle.
    pub fn releases(self) -> bool {
        match self {
            Self::Gone | Self::Unlabelled | Self::Unassigned => true,
            // Who can reopen an issue need not be one who may ask for a bottle.
            Self::IssueClosed
            | Self::Merged
            | Self::PullClosed
            | Self::PullGone
            | Self::Operator => false,
        }
    }
}
