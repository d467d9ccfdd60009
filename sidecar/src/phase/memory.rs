//! What a sidecar remembers of its bottle while it has no grant.

use std::collections::BTreeSet;

use protocol::ids::{IssueNumber, Slug};

use crate::{agent::Doubts, budget::Budget};

/// What outlives a `configure` and a `drain`.
#[derive(Debug, Default)]
pub struct Memory {
    /// The one bottle that this sidecar serves.
    pub(super) slug: Option<Slug>,
    /// Writes made.
    pub budget: Budget,
    /// Pull requests opened here; the orchestrator may not know of the last one yet.
    pub opened: BTreeSet<IssueNumber>,
    /// Those that the orchestrator was told of.
    pub announced: BTreeSet<IssueNumber>,
    /// The comment that shows progress: where it is, and its id.
    pub progress: Option<(IssueNumber, u64)>,
    /// Comments posted, for their marks.
    pub comments: u64,
    /// Comments whose fate is unknown.
    pub doubts: Doubts,
    /// For `usage`.
    pub counts: Counts,
}

/// What was done since the start.
#[derive(Debug, Clone, Copy, Default)]
pub struct Counts {
    /// Reads of the forge.
    pub reads: u64,
    /// Writes to it.
    pub writes: u64,
    /// Calls refused.
    pub refusals: u64,
}
