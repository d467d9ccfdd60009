//! What runs containers, behind a port that knows nothing of Docker.
//!
//! Every operation names the end, not the way: what is there already is success, done once here
//! (bollard's status codes), so that effects may be repeated.

pub mod docker;
pub mod spec;

use std::{collections::BTreeMap, path::PathBuf};

use async_trait::async_trait;
use jiff::Timestamp;
use orchestrator_core::reconcile::Container;
use protocol::ids::Slug;

pub use spec::{ContainerSpec, Role};

/// Why an engine did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The engine does not answer; trying again may help.
    #[error("the container engine does not answer: {what}")]
    Unreachable {
        /// What was asked.
        what: String,
        /// The cause.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The engine refused; trying again may help (a full disk), or not (a missing image).
    #[error("the container engine refused: {what}: {message}")]
    Refused {
        /// What was asked.
        what: String,
        /// The engine's words.
        message: String,
        /// Whether trying again may help.
        transient: bool,
    },
    /// Something that a container is made of is not there (any more).
    #[error("the container engine misses something: {what}: {message}{}", advice(*.role))]
    Missing {
        /// What was asked.
        what: String,
        /// The engine's words.
        message: String,
        /// Whose container it was.
        role: Role,
    },
    /// The engine cannot do what bottles are locked in with; less is not taken (CASES 177).
    #[error("the container engine cannot do without weakening a bottle: {what}; {advice}")]
    Lacks {
        /// What it cannot do.
        what: &'static str,
        /// What to do about it.
        advice: &'static str,
    },
    /// The sidecars' network would let them reach each other.
    #[error(
        "in the network {name:?} containers reach each other; remove it, so that it is made anew \
         with com.docker.network.bridge.enable_icc=false, or choose another engine.network"
    )]
    OpenNetwork {
        /// The network.
        name: String,
    },
    /// A container of that name is not ours; it is left alone (CASES 165).
    #[error("a container {name:?} is there that this installation did not make ({id})")]
    Foreign {
        /// The name.
        name: String,
        /// The container's id.
        id: String,
    },
}

impl EngineError {
    /// Whether trying again may help.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Refused { transient, .. } => *transient,
            // What can be made anew has been made anew by then.
            Self::Missing { .. }
            | Self::Lacks { .. }
            | Self::OpenNetwork { .. }
            | Self::Foreign { .. } => false,
        }
    }
}

/// What the operator can do about something missing.
fn advice(role: Role) -> &'static str {
    match role {
        Role::Bottle => "; build or pull the image, or set `image` in bottles/<name>.toml",
        // Network and image are made when they are missing, from the program as it is now.
        Role::Sidecar => "; restart the daemon if its programs have been replaced",
    }
}

/// Both containers of one bottle, as the engine shows them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The sidecar's.
    pub sidecar: Container,
    /// The agent's.
    pub bottle: Container,
}

/// What an engine tells of itself as it happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Some container of this installation is not as it was.
    Container,
    /// A process in a container was killed for lack of memory; the container may go on.
    OutOfMemory {
        /// The bottle.
        slug: Slug,
        /// Which of its containers.
        role: Role,
    },
}

/// An engine.
#[async_trait]
pub trait Engine: Send + Sync + std::fmt::Debug {
    /// Makes what all bottles share: the sidecars' network and image.
    async fn prepare(&self) -> Result<(), EngineError>;

    /// Every bottle of this installation that has a container.
    async fn observe(&self) -> Result<BTreeMap<Slug, Seen>, EngineError>;

    /// The container is there and its program runs: made, started or unpaused as needed.
    async fn ensure_running(&self, spec: &ContainerSpec) -> Result<(), EngineError>;

    /// The container is paused. What it was if it cannot be paused because it does not run.
    async fn ensure_paused(&self, slug: &Slug, role: Role) -> Result<Container, EngineError>;

    /// The container's program does not run: asked to end, after some seconds killed.
    async fn ensure_stopped(&self, slug: &Slug, role: Role) -> Result<(), EngineError>;

    /// As [`Engine::ensure_stopped`], in a few seconds whatever the program does about it: what was
    /// cancelled gets no time to finish.
    async fn ensure_ended(&self, slug: &Slug, role: Role) -> Result<(), EngineError> {
        self.ensure_stopped(slug, role).await
    }

    /// There is no such container.
    async fn ensure_removed(&self, slug: &Slug, role: Role) -> Result<(), EngineError>;

    /// The last output of a container, at most `max_bytes`; empty when there is none.
    async fn output(
        &self,
        slug: &Slug,
        role: Role,
        max_bytes: usize,
    ) -> Result<String, EngineError>;

    /// The output of a container after a moment, oldest first: at most the last `max_bytes` of it.
    async fn output_after(
        &self,
        slug: &Slug,
        role: Role,
        after: Option<Timestamp>,
        max_bytes: usize,
    ) -> Result<Vec<(Timestamp, String)>, EngineError> {
        let (_, _, _, _) = (slug, role, after, max_bytes);
        Ok(Vec::new())
    }

    /// Waits until the engine tells of a change to a container of this installation. A hint only:
    /// it may miss some, and ends with an error when the engine goes away.
    async fn changed(&self) -> Result<Change, EngineError>;

    /// Whether the engine answers at all.
    async fn ping(&self) -> Result<(), EngineError> {
        Ok(())
    }

    /// Where it keeps its containers on this host; `None` when that is not known.
    async fn root(&self) -> Option<PathBuf> {
        None
    }
}
