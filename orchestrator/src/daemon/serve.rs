//! The daemon as a program: from its configuration to the signal that ends it.

use std::path::PathBuf;

use protocol::ids::{AgentName, ForgeId, Login, Slug};
use tokio::signal::unix::{SignalKind, signal};

use super::{
    LockError, Running, StateDir, assemble, host,
    ports::{self, Ports},
};
use crate::{config::Config, engine::EngineError, store::StoreError};

/// Why the daemon does not start, or ended.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// A directory cannot be made.
    #[error("cannot make {path}")]
    Files {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The data directory is taken.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The database cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The forge's address or certificate cannot be used.
    #[error("cannot set up the connection to the forge")]
    ForgeSetup(#[source] forge::gitea::SetupError),
    /// The forge refuses our token, or does not answer.
    #[error("the forge at {url} {}", stance(source))]
    Forge {
        /// Where.
        url: String,
        /// Why.
        source: forge::ForgeError,
    },
    /// The container engine does not answer.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The programs that sidecars are made of are not there.
    #[error(transparent)]
    Programs(EngineError),
    /// An address or socket is taken.
    #[error("cannot listen at {at}")]
    Listen {
        /// Where.
        at: String,
        /// Why.
        source: std::io::Error,
    },
    /// An agent's token belongs to another account than its manifest says.
    #[error(
        "the token of agent {agent} belongs to {is}, its manifest says {login}; \
         correct login or token_file in agents/{agent}.toml"
    )]
    Account {
        /// The agent.
        agent: AgentName,
        /// Whose it should be.
        login: Login,
        /// Whose it is.
        is: Login,
    },
    /// The forge refuses an agent's token.
    #[error(
        "the forge refuses the token of agent {agent}; make a new one for {login} and put it into \
         the token_file of agents/{agent}.toml"
    )]
    AgentToken {
        /// The agent.
        agent: AgentName,
        /// Whose it should be.
        login: Login,
    },
    /// The records are of another forge.
    #[error(
        "the bottle {slug} belongs to the forge {known}, the configuration names {ours}; \
         use another data_dir for another forge"
    )]
    OtherForge {
        /// One such bottle.
        slug: Slug,
        /// Its forge.
        known: ForgeId,
        /// That of the configuration.
        ours: ForgeId,
    },
    /// A part of the daemon ended by itself; its panic is in the log.
    #[error("a part of the daemon broke off; bottles go on")]
    Broken,
    /// Signals cannot be received.
    #[error("cannot wait for signals")]
    Signals(#[source] std::io::Error),
}

/// Only a refusal is one: a forge that is away says nothing of us.
fn stance(error: &forge::ForgeError) -> &'static str {
    match error {
        forge::ForgeError::BadToken { .. } | forge::ForgeError::NoPermission { .. } => {
            "does not accept us"
        }
        forge::ForgeError::OutOfScope { .. }
        | forge::ForgeError::Gone { .. }
        | forge::ForgeError::WrongKind { .. }
        | forge::ForgeError::Conflict { .. }
        | forge::ForgeError::Rejected { .. }
        | forge::ForgeError::RateLimited { .. }
        | forge::ForgeError::Unreachable { .. }
        | forge::ForgeError::Server { .. }
        | forge::ForgeError::BadAnswer { .. } => "cannot be used",
    }
}

/// Runs the daemon until SIGTERM or SIGINT. A second signal ends it at once.
///
/// # Errors
/// Whatever keeps it from starting. Afterwards it goes on whatever happens, but for a disk that
/// fails at a commit.
pub async fn serve(config: Config) -> Result<(), ServeError> {
    let mut terminate = signal(SignalKind::terminate()).map_err(ServeError::Signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(ServeError::Signals)?;
    let mut running = tokio::select! {
        begun = begin(config) => begun?,
        // It may be waiting for a forge that does not answer.
        _ = terminate.recv() => return Ok(()),
        _ = interrupt.recv() => return Ok(()),
    };
    let broken = tokio::select! {
        _ = terminate.recv() => false,
        _ = interrupt.recv() => false,
        // Without a part it would be half alive. Whoever started it starts it anew.
        () = running.broken() => true,
    };
    tracing::info!(broken, "stopping; bottles go on");
    let at_once = async {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::warn!("second signal: ending at once");
    };
    running.stop_unless(at_once).await;
    if broken { Err(ServeError::Broken) } else { Ok(()) }
}

/// A start that fails leaves nothing behind.
async fn begin(config: Config) -> Result<Running, ServeError> {
    host::raise_descriptors();
    let dir = StateDir::take(&config).await?;
    let ports = Ports::connect(&config, dir.instance()).await?;
    let daemon = assemble(config, dir, ports).await?;
    ports::check_accounts(&daemon.config).await?;
    Running::start(daemon).await
}
