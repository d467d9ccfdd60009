//! `control.sock`: what the orchestrator tells a sidecar. The caller is trusted; the socket lies in
//! a directory that no bottle sees.

use jsonrpsee::{core::RpcResult, proc_macros::rpc};
use serde::{Deserialize, Serialize};

use crate::{
    event::QueueEvent,
    grant::{Grant, RunSpec, Secrets},
    ids::{EventId, Nonce, RunId},
};

/// The methods.
#[rpc(server, client)]
pub trait ControlRpc {
    /// Gives grant and secrets; may be repeated. Opens the agent socket for work.
    #[method(name = "configure", param_kind = map)]
    async fn configure(&self, grant: Grant, secrets: Secrets) -> RpcResult<Configured>;

    /// Hands a run to the bottle's PID 1. Repeating the same run is a no-op.
    #[method(name = "start_run", param_kind = map)]
    async fn start_run(&self, run: RunSpec) -> RpcResult<()>;

    /// Refuses new calls, lets those in flight end within [`crate::limits::DRAIN_TIMEOUT`], cuts
    /// the rest, and wipes the secrets. `configure` wakes it again.
    #[method(name = "drain", param_kind = map)]
    async fn drain(&self) -> RpcResult<Drained>;

    /// How it is doing; also the sign of life.
    #[method(name = "usage", param_kind = map)]
    async fn usage(&self) -> RpcResult<Usage>;

    /// Drains and ends the process.
    #[method(name = "shutdown", param_kind = map)]
    async fn shutdown(&self) -> RpcResult<()>;

    /// Events after the given one, oldest first, at most 64: the queue for engines where its
    /// directory is not shared.
    #[method(name = "events", param_kind = map)]
    async fn events(&self, after: Option<EventId>) -> RpcResult<Vec<QueueEvent>>;

    /// The event and all before it are stored elsewhere and may be forgotten.
    #[method(name = "ack", param_kind = map)]
    async fn ack(&self, up_to: EventId) -> RpcResult<()>;
}

/// Every method with its parameters.
pub const METHODS: &[(&str, &[&str])] = &[
    ("configure", &["grant", "secrets"]),
    ("start_run", &["run"]),
    ("drain", &[]),
    ("usage", &[]),
    ("shutdown", &[]),
    ("events", &["after"]),
    ("ack", &["up_to"]),
];

/// Answer to `configure`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Configured {
    /// Made anew by each `configure`.
    pub nonce: Nonce,
    /// The sidecar's version, for the log.
    pub version: String,
}

/// Answer to `drain`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Drained {
    /// Calls that had to be cut off.
    pub cut: u32,
}

/// Answer to `usage`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Usage {
    /// `None` while it has no grant: fresh, restarted, or drained.
    pub nonce: Option<Nonce>,
    /// The run that it was last given.
    pub run: Option<RunId>,
    /// Whether the bottle's PID 1 waits for a run now.
    pub bottle_waiting: bool,
    /// Reads of the forge since `configure`.
    pub reads: u64,
    /// Writes to the forge since `configure`.
    pub writes: u64,
    /// Calls that were refused since `configure`.
    pub refusals: u64,
    /// Events that wait in the queue.
    pub queued_events: u64,
}
