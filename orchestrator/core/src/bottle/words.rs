//! What users read of a bottle.

use protocol::agent::DoneStatus;

use super::{Attempts, Bottle, Ending, Reason, State, Tier};

impl Bottle {
    /// What users see behind its state's word; may hold the agent's text, to be escaped before
    /// printing.
    pub fn detail(&self) -> String {
        self.state.detail_of(self.starved_at.is_some())
    }
}

impl State {
    /// The word that users see.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Queued { .. } => "queued",
            Self::Starting(_) => "starting",
            Self::Running { .. } => "running",
            Self::Freezing { .. } => "freezing",
            Self::Frozen { .. } => "frozen",
            Self::Rehydrating(_) => "rehydrating",
            Self::Failed { .. } => "failed",
            Self::Destroyed { .. } => "destroyed",
        }
    }

    /// What users see behind the word of a bottle in this state; `starved` if a program of it was
    /// killed for lack of memory. See [`Bottle::detail`].
    pub fn detail_of(&self, starved: bool) -> String {
        let detail = self.detail();
        if !starved || matches!(self, Self::Destroyed { .. }) {
            return detail;
        }
        let starved = "a program was killed for lack of memory";
        if detail.is_empty() { starved.to_owned() } else { format!("{detail}; {starved}") }
    }

    /// What the state says behind its word; see [`Bottle::detail`].
    pub fn detail(&self) -> String {
        let retry = |attempts: &Attempts| match attempts.failed {
            0 => String::new(),
            n => format!("attempt {}", n + 1),
        };
        match self {
            Self::Queued { .. } => "waits for a slot".to_owned(),
            Self::Starting(waking) | Self::Rehydrating(waking) => retry(&waking.attempts),
            Self::Running { done: None, run, .. } => format!("run {run}"),
            Self::Running { done: Some(_), run, .. } => format!("run {run}, done, exits"),
            Self::Freezing { attempts, .. } => retry(attempts),
            Self::Frozen { tier, ending, .. } => format!("{}, {}", tier.word(), ending.sentence()),
            Self::Failed { reason, .. } => reason.clone(),
            Self::Destroyed { reason, cleaning, .. } => {
                let rest = if cleaning.is_some() { ", cleaning up" } else { "" };
                format!("{}{rest}", reason.sentence())
            }
        }
    }
}

impl Tier {
    /// The word that users see.
    pub fn word(self) -> &'static str {
        match self {
            Self::Hot => "hot",
            Self::Cold => "cold",
        }
    }
}

impl Ending {
    /// In a few words.
    pub fn sentence(&self) -> String {
        match self {
            Self::Reported { status: DoneStatus::Success, summary } => {
                format!("success: {summary}")
            }
            Self::Reported { status: DoneStatus::Failed, summary } => format!("failed: {summary}"),
            Self::Reported { status: DoneStatus::Blocked, summary } => {
                format!("blocked: {summary}")
            }
            Self::Silent { code: 137 } => "incomplete: killed (137) without signal_done".to_owned(),
            Self::Silent { code } => format!("incomplete: exited with {code} without signal_done"),
            Self::TimedOut {} => "incomplete: no sign of life, stopped by the watchdog".to_owned(),
            Self::Died { detail } => format!("incomplete: {detail}"),
            Self::Halted {} => {
                "incomplete: put to sleep by an operator or the kill switch".to_owned()
            }
        }
    }
}

impl Reason {
    /// In a few words.
    pub fn sentence(self) -> &'static str {
        match self {
            Self::Merged => "pull request merged",
            Self::PullClosed => "pull request closed",
            Self::PullGone => "pull request gone",
            Self::IssueClosed => "issue closed",
            Self::Gone => "issue or repository gone",
            Self::Unlabelled => "label removed",
            Self::Unassigned => "unassigned",
            Self::Operator => "by an operator",
        }
    }
}
