//! The files as they are written, before anything is checked, and the commented ones of `init`.

use std::collections::BTreeMap;

use serde::Deserialize;

/// `config.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ConfigFile {
    pub data_dir: Option<String>,
    #[serde(default)]
    pub forge: ForgeFile,
    #[serde(default)]
    pub server: ServerFile,
    #[serde(default)]
    pub engine: EngineFile,
    #[serde(default)]
    pub limits: LimitsFile,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ForgeFile {
    pub id: Option<String>,
    pub kind: Option<String>,
    pub url: Option<String>,
    pub org: Option<String>,
    pub token_file: Option<String>,
    #[serde(default)]
    pub webhook_secret_files: Vec<String>,
    #[serde(default)]
    pub repositories: Vec<String>,
    pub ca_file: Option<String>,
    pub branch_prefix: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ServerFile {
    pub listen: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EngineFile {
    pub backend: Option<String>,
    pub socket: Option<String>,
    pub network: Option<String>,
    pub programs: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LimitsFile {
    pub slots: Option<u32>,
    pub watchdog: Option<String>,
    pub grace: Option<String>,
    pub hot_for: Option<String>,
    pub poll: Option<String>,
}

/// `agents/<name>.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AgentFile {
    pub provider: String,
    pub login: String,
    pub git_name: Option<String>,
    pub git_email: String,
    pub token_file: String,
    #[serde(default)]
    pub bottles: Vec<String>,
    #[serde(default)]
    pub command: Vec<String>,
    pub prompt_via: Option<protocol::grant::PromptVia>,
    #[serde(default)]
    pub env: BTreeMap<String, String>,
}

/// `bottles/<name>.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ProfileFile {
    pub image: Option<String>,
    pub memory: Option<String>,
    pub pids: Option<u32>,
    pub cpus: Option<f64>,
    #[serde(default)]
    pub env: BTreeMap<String, String>,
}

/// What `orchestrate init` writes: path below the configuration's directory, and text.
pub const TEMPLATES: &[(&str, &str)] = &[
    ("config.toml", include_str!("../../../deploy/example/config.toml")),
    ("agents/implementer.toml", include_str!("../../../deploy/example/agents/implementer.toml")),
    ("bottles/default.toml", include_str!("../../../deploy/example/bottles/default.toml")),
];
