//! The one reader of files and environment; afterwards configuration is a value.
//!
//! `config.toml` with `agents/*.toml` and `bottles/*.toml` beside it. All mistakes are reported
//! together, each with file, line, key and what to do: [`schema`] finds keys and types that are not
//! as described, `load` and its parts what a description cannot say. Secrets are named by file only,
//! and the files must belong to us alone. The daemon reads all of it once, at its start: a file that
//! is edited while it runs changes nothing before the next one (CASES 230).

mod agents;
mod document;
mod file;
mod find;
mod forge;
mod load;
mod paths;
mod schema;
mod show;
pub(crate) mod units;

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use ::forge::webhook::WebhookSecrets;
use orchestrator_core::{host::HostLimits, timing::Timing};
use protocol::{
    grant::{ForgeAccess, GitIdentity, PromptVia},
    ids::{AgentName, BranchName, Login, ProfileName, RepoName},
    secret::Secret,
};

pub use file::{TEMPLATES, UNIT};
pub use find::{config_file, data_dir, default_dir};
pub use load::{Environment, check, load};
pub use paths::{FileSystem, file_system};
pub use schema::schemas;
pub use show::effective;

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
    /// What of the host must stay free.
    pub host: HostLimits,
    /// Waits.
    pub timing: Timing,
    /// How often everything is looked at although no hint came.
    pub poll: Duration,
    /// How long the records of bottles that are gone are kept; `None` for ever.
    pub keep_records: Option<Duration>,
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

/// Where a mistake is.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize)]
pub struct Place {
    /// The file.
    pub file: Option<PathBuf>,
    /// The environment variable, where it is none of a file.
    pub variable: Option<String>,
    /// Counted from 1.
    pub line: Option<usize>,
    /// In characters, counted from 1.
    pub column: Option<usize>,
    /// The key, as `table.key`.
    pub key: Option<String>,
}

impl Place {
    /// A file as a whole.
    pub fn file(path: &Path) -> Self {
        Self { file: Some(path.to_owned()), ..Self::default() }
    }

    /// An environment variable.
    pub fn variable(name: &str) -> Self {
        Self { variable: Some(name.to_owned()), ..Self::default() }
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (&self.file, &self.variable) {
            (Some(file), _) => write!(f, "{}", file.display())?,
            (None, Some(variable)) => write!(f, "variable {variable}")?,
            (None, None) => write!(f, "configuration")?,
        }
        if let (Some(line), Some(column)) = (self.line, self.column) {
            write!(f, ":{line}:{column}")?;
        }
        self.key.as_ref().map_or(Ok(()), |key| write!(f, ": {key}"))
    }
}

/// One mistake in the configuration, or one thing to think about.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {what}")]
pub struct Mistake {
    /// Where.
    pub place: Place,
    /// What is wrong.
    pub what: String,
    /// What to do about it.
    pub hint: String,
}

impl Mistake {
    fn new(place: Place, what: impl std::fmt::Display, hint: &str) -> Self {
        Self { place, what: what.to_string(), hint: hint.to_owned() }
    }
}

/// All mistakes of a configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the configuration has {} mistake(s)", .0.len())]
pub struct Mistakes(pub Vec<Mistake>);

/// A configuration that was looked at.
#[derive(Debug)]
pub struct Checked {
    /// The configuration, or all that is wrong with it.
    pub config: Result<Config, Mistakes>,
    /// What works, and should not stay so.
    pub warnings: Vec<Mistake>,
}
