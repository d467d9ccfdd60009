//! The one reader of files and environment; afterwards configuration is a value.
//!
//! `config.toml` with `agents/*.toml` and `bottles/*.toml` beside it. All mistakes are reported
//! together, each with file, place and what to do. Secrets are named by file only, and the files
//! must belong to us alone.

mod file;
mod load;
mod units;

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use forge::webhook::WebhookSecrets;
use orchestrator_core::timing::Timing;
use protocol::{
    grant::{ForgeAccess, GitIdentity, PromptVia},
    ids::{AgentName, BranchName, Login, ProfileName, RepoName},
    secret::Secret,
};

pub use file::TEMPLATES;
pub use load::{Environment, data_dir, default_dir, load};

/// Everything that the daemon was told.
#[derive(Debug, Clone)]
pub struct Config {
    /// Database, sockets and the bottles' files. Absolute.
    pub data_dir: PathBuf,
    /// The forge.
    pub forge: Forge,
    /// Where webhooks come in.
    pub listen: SocketAddr,
    /// The engine.
    pub engine: Engine,
    /// Bottles that may be awake at a time.
    pub slots: u32,
    /// Waits.
    pub timing: Timing,
    /// How often everything is looked at although no hint came.
    pub poll: Duration,
    /// Branches begin with this.
    pub branch_prefix: BranchName,
    /// The agents.
    pub agents: BTreeMap<AgentName, Agent>,
    /// The profiles.
    pub profiles: BTreeMap<ProfileName, Profile>,
}

/// The forge and our account on it.
#[derive(Debug, Clone)]
pub struct Forge {
    /// Where it is.
    pub access: ForgeAccess,
    /// The organisation whose members are agents.
    pub org: Login,
    /// The orchestrator's own token: reads only.
    pub token: Secret,
    /// What deliveries are signed with; more than one while they are rotated.
    pub webhook_secrets: WebhookSecrets,
    /// The repositories that are served.
    pub repos: Vec<RepoName>,
}

/// The container engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Engine {
    /// Its name; `docker`.
    pub backend: String,
    /// Its socket; `None` for the usual place.
    pub socket: Option<PathBuf>,
    /// The sidecars' network.
    pub network: String,
    /// Where the programs `sidecar` and `bottle` lie.
    pub programs: PathBuf,
}

/// An agent, from its manifest.
#[derive(Debug, Clone)]
pub struct Agent {
    /// Its account and name in commits.
    pub identity: GitIdentity,
    /// Its token on the forge.
    pub token: Secret,
    /// Its own profiles.
    pub profiles: Vec<ProfileName>,
    /// Its command line.
    pub command: Vec<String>,
    /// How it takes its prompt.
    pub prompt_via: PromptVia,
    /// Its environment.
    pub env: BTreeMap<String, String>,
}

/// What a bottle is made of. Fields that are `None` are taken from the profile before.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Profile {
    /// The container image.
    pub image: Option<String>,
    /// Memory in bytes.
    pub memory_bytes: Option<u64>,
    /// Processes and threads.
    pub pids: Option<u32>,
    /// Processors, in thousandths.
    pub millicpus: Option<u32>,
    /// Environment of the agent.
    pub env: BTreeMap<String, String>,
}

impl Config {
    /// The profiles put together; later ones override.
    ///
    /// # Errors
    /// The first of them that is not configured (any more): without it the bottle would be less
    /// bounded than its record says.
    pub fn merged_profile(&self, names: &[ProfileName]) -> Result<Profile, ProfileName> {
        let mut merged = Profile::default();
        for name in names {
            let profile = self.profiles.get(name).ok_or_else(|| name.clone())?;
            let Profile { image, memory_bytes, pids, millicpus, env } = profile.clone();
            merged.image = image.or(merged.image);
            merged.memory_bytes = memory_bytes.or(merged.memory_bytes);
            merged.pids = pids.or(merged.pids);
            merged.millicpus = millicpus.or(merged.millicpus);
            merged.env.extend(env);
        }
        Ok(merged)
    }

    /// The operator socket.
    pub fn operator_socket(&self) -> PathBuf {
        operator_socket(&self.data_dir)
    }

    /// While this file exists, nothing new is started and what runs is put to sleep.
    pub fn kill_switch_file(&self) -> PathBuf {
        self.data_dir.join("kill-switch")
    }
}

/// The operator socket below a data directory.
pub fn operator_socket(data_dir: &Path) -> PathBuf {
    data_dir.join("operator.sock")
}

/// One mistake in the configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {what}")]
pub struct Mistake {
    /// The file, with line and column where they are known, or the environment variable.
    pub place: String,
    /// What is wrong.
    pub what: String,
    /// What to do about it.
    pub hint: String,
}

/// All mistakes of a configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the configuration has {} mistake(s)", .0.len())]
pub struct Mistakes(pub Vec<Mistake>);
