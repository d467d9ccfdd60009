//! The files as they are written, before anything is checked. The published JSON Schemas are made of
//! these types, so that a key is described, offered and checked in one place.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

/// `config.toml`: what the daemon may do. Paths are relative to the file's directory.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "bot-bottle: config.toml")]
pub(super) struct ConfigFile {
    /// Database, sockets and the bottles' files. Default: the directory of this file.
    pub data_dir: Option<String>,
    /// How long the records of bottles that are gone are kept, e.g. "90d". Default: for ever.
    pub keep_records: Option<String>,
    /// The forge and our account on it.
    #[serde(default)]
    pub forge: ForgeFile,
    /// Where webhooks come in.
    #[serde(default)]
    pub server: ServerFile,
    /// The container engine.
    #[serde(default)]
    pub engine: EngineFile,
    /// How much, and how long.
    #[serde(default)]
    pub limits: LimitsFile,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ForgeFile {
    /// A part of every record; choose it once. Default: "gitea".
    pub id: Option<String>,
    /// Which software it is. Default: "gitea".
    #[schemars(extend("enum" = ["gitea", "forgejo"]))]
    pub kind: Option<String>,
    /// Its web address; the variable `FORGE_GITEA_API` overrides it.
    pub url: Option<String>,
    /// The organisation whose members are agents; the variable `FORGE_ORG` overrides it.
    pub org: Option<String>,
    /// The file with the daemon's own token; mode 0600.
    pub token_file: Option<String>,
    /// Files with the secrets that webhooks are signed with; two while one replaces the other.
    #[serde(default)]
    pub webhook_secret_files: Vec<String>,
    /// The repositories that are served, as "owner/name".
    #[serde(default)]
    pub repositories: Vec<String>,
    /// A certificate authority of your own, in PEM.
    pub ca_file: Option<String>,
    /// Branches are `<prefix>/<issue>/<bottle>`. Default: "bot-bottle".
    pub branch_prefix: Option<String>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ServerFile {
    /// Address and port that the forge delivers to. Default: "127.0.0.1:8700".
    pub listen: Option<String>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct EngineFile {
    /// Which engine. Default: "docker".
    #[schemars(extend("enum" = ["docker"]))]
    pub backend: Option<String>,
    /// Its socket. Default: "/var/run/docker.sock".
    pub socket: Option<String>,
    /// The sidecars' own network; made if it is missing. Default: "bot-bottle".
    pub network: Option<String>,
    /// Where the programs `sidecar` and `bottle` lie. Default: "/usr/local/lib/bot-bottle".
    pub programs: Option<String>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LimitsFile {
    /// Bottles that may be awake at a time. Default: 4.
    #[schemars(range(min = 1, max = 1000))]
    pub slots: Option<u32>,
    /// Silence after which a run is ended; the variable `FORGE_WATCHDOG_TIMEOUT` overrides it.
    /// Default: "30m".
    pub watchdog: Option<String>,
    /// Time to exit after `signal_done`. Default: "10s".
    pub grace: Option<String>,
    /// How long a frozen bottle stays in memory before it is on disk only. Default: "1h".
    pub hot_for: Option<String>,
    /// Frozen bottles that stay in memory at a time; beyond it the oldest goes to disk. Default: 16.
    #[schemars(range(min = 0, max = 10_000))]
    pub hot_bottles: Option<u32>,
    /// With less memory available nothing is started, and bottles in memory go to disk.
    /// Default: "256MiB".
    pub memory_floor: Option<String>,
    /// With less room on a disk that bottles use, nothing is started. Default: "1GiB".
    pub disk_floor: Option<String>,
    /// Everything is looked at that often, hint or no hint. Default: "5m".
    pub poll: Option<String>,
}

/// `agents/<name>.toml`: the label `bot-bottle:<name>` asks for this agent.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "bot-bottle: agents/<name>.toml")]
pub(super) struct AgentFile {
    /// What kind of agent it is.
    #[schemars(required, extend("enum" = ["command"]))]
    pub provider: Option<String>,
    /// Its account on the forge.
    #[schemars(required)]
    pub login: Option<String>,
    /// Its name in commits. Default: the account.
    pub git_name: Option<String>,
    /// Its address in commits.
    #[schemars(required)]
    pub git_email: Option<String>,
    /// The file with its token on the forge; mode 0600. Only its sidecar ever sees it.
    #[schemars(required)]
    pub token_file: Option<String>,
    /// Profiles of `bottles/`, later ones override.
    #[serde(default)]
    pub bottles: Vec<String>,
    /// Program and arguments.
    #[serde(default)]
    pub command: Vec<String>,
    /// How it takes its prompt. Default: "stdin".
    #[schemars(extend("enum" = ["stdin", "file", "argument"]))]
    pub prompt_via: Option<String>,
    /// Its environment.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
}

/// `bottles/<name>.toml`: what a bottle is made of.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "bot-bottle: bottles/<name>.toml")]
pub(super) struct ProfileFile {
    /// The container image, as `name@sha256:<digest>`.
    pub image: Option<String>,
    /// Accept an image by a name that may mean another image tomorrow; needed for one that was
    /// built on this host, which has no digest in a registry. Default: false.
    pub allow_unpinned: Option<bool>,
    /// Memory, e.g. "4GiB".
    pub memory: Option<String>,
    /// Processes and threads.
    #[schemars(range(min = 16, max = 32768))]
    pub pids: Option<u32>,
    /// Processors.
    #[schemars(range(min = 0.01, max = 1024.0))]
    pub cpus: Option<f64>,
    /// Environment of the agent.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
}

/// What `orchestrate init` writes: path below the configuration's directory, and text.
pub const TEMPLATES: &[(&str, &str)] = &[
    ("config.toml", include_str!("../../../deploy/example/config.toml")),
    ("agents/implementer.toml", include_str!("../../../deploy/example/agents/implementer.toml")),
    ("bottles/default.toml", include_str!("../../../deploy/example/bottles/default.toml")),
];

/// The system service that `orchestrate init` adapts to its place.
pub const UNIT: &str = include_str!("../../../deploy/bot-bottle.service");
