//! What a sidecar tells the orchestrator through the queue directory: one JSON file per event.
//!
//! File name: `<event id>.json`. The reader treats the file as hostile, because a compromised
//! sidecar may have written it; see `orchestrator/src/queue`.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    agent::DoneStatus,
    ids::{EventId, IssueNumber, RunId, Slug},
};

/// The version written into every event. A reader refuses what it does not know.
pub const VERSION: u32 = 1;

/// One event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QueueEvent {
    /// [`VERSION`] of the writer.
    pub version: u32,
    /// Unique, and the file's name. Its sequence number, not the file's time, gives the order.
    pub id: EventId,
    /// The bottle; must be the one whose queue it lies in.
    pub slug: Slug,
    /// The run that was going on.
    pub run: Option<RunId>,
    /// When, by the sidecar's clock; for display only.
    pub at: Timestamp,
    /// What happened.
    pub what: Happening,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Happening {
    /// The agent program was started.
    RunStarted {},
    /// A sign of life: so many reads since the last event.
    CheckIn {
        /// Reads of the forge.
        reads: u64,
        /// Operations that were not queued one by one because there were too many.
        unlisted: u64,
    },
    /// An entry of the op log.
    Operation {
        /// Which.
        operation: Operation,
    },
    /// A pull request was opened from the bottle's branch, or found to exist.
    PrOpened {
        /// Its number.
        number: IssueNumber,
    },
    /// The agent said that its work has ended.
    Done {
        /// How.
        status: DoneStatus,
        /// In its words.
        summary: String,
    },
    /// The agent program has ended.
    Exited {
        /// Exit code, or 128 + signal.
        code: i32,
        /// The end of its output.
        output_tail: String,
    },
}

/// One line of the op log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Operation {
    /// The RPC method or `git-push`, `git-fetch`.
    pub method: String,
    /// What it was aimed at, where it has a number.
    pub number: Option<IssueNumber>,
    /// How it ended.
    pub outcome: OperationOutcome,
    /// For people, e.g. `posted comment on #17` or `refused: write to #500, writable 17, 42`.
    pub sentence: String,
}

/// How an operation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OperationOutcome {
    /// Done.
    Done,
    /// Against the grant or a limit; nothing was sent.
    Refused,
    /// The forge did not do it.
    Failed,
}
