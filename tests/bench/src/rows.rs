//! What is measured, in groups of rows that are taken together.

mod ingest;
mod reconcile;
mod resident;
mod round_trip;
mod status;
mod story;

use crate::{Fault, Row};

/// How much is done for a figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Effort {
    /// Samples of each figure.
    pub samples: usize,
    /// Crowds are made so many times smaller than their names say: 1, but where it is only tried
    /// whether a figure can be taken.
    pub part: u32,
}

/// Rows that are taken together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Group {
    /// The life of an issue on a real engine.
    Story,
    /// A call of the agent's.
    RoundTrip,
    /// Many calls of the agent's.
    Throughput,
    /// Webhooks.
    Ingest,
    /// The operator's table.
    Status,
    /// A daemon's start.
    Reconcile,
    /// The daemon's memory.
    Resident,
}

/// All of them, as they are run.
pub const GROUPS: [Group; 7] = [
    Group::Story,
    Group::RoundTrip,
    Group::Throughput,
    Group::Ingest,
    Group::Status,
    Group::Reconcile,
    Group::Resident,
];

impl Group {
    /// Its rows.
    pub fn names(self) -> &'static [&'static str] {
        match self {
            Self::Story => &[
                "event_to_agent_cold",
                "done_to_frozen",
                "comment_to_agent_hot",
                "comment_to_agent_cold",
                "sidecar_pss",
                "bottle_pss",
            ],
            Self::RoundTrip => &["rpc_round_trip"],
            Self::Throughput => &["rpc_throughput"],
            Self::Ingest => &["webhook_ingest"],
            Self::Status => &["status_10k"],
            Self::Reconcile => &["restart_reconcile_1k"],
            Self::Resident => &["orchestrator_rss"],
        }
    }

    /// Whether it starts containers.
    pub fn needs_docker(self) -> bool {
        match self {
            Self::Story | Self::Resident => true,
            Self::RoundTrip | Self::Throughput | Self::Ingest | Self::Status | Self::Reconcile => {
                false
            }
        }
    }

    /// Takes its rows.
    ///
    /// # Errors
    /// What kept it from doing so.
    pub async fn take(self, effort: Effort) -> Result<Vec<Row>, Fault> {
        match self {
            Self::Story => story::take(effort.samples).await,
            Self::RoundTrip => round_trip::one_by_one(effort.samples).await.map(|row| vec![row]),
            Self::Throughput => round_trip::many(effort).await.map(|row| vec![row]),
            Self::Ingest => ingest::take(effort).await.map(|row| vec![row]),
            Self::Status => status::take(effort).await.map(|row| vec![row]),
            Self::Reconcile => reconcile::take(effort).await.map(|row| vec![row]),
            Self::Resident => resident::take(effort).await.map(|row| vec![row]),
        }
    }
}
