//! The configuration as it is in force, with defaults and variables filled in, without its secrets.

use serde_json::{Value, json};

use super::{Agent, Config, Profile, agents::holds_secret};

/// Stands for a secret.
const REDACTED: &str = "[redacted]";

/// Everything that the daemon would work with; secrets are replaced, also those that look like one
/// in an agent's environment.
pub fn effective(config: &Config) -> Value {
    let Config {
        data_dir,
        forge,
        listen,
        engine,
        slots,
        host,
        timing,
        poll,
        keep_records,
        branch_prefix,
        agents,
        profiles,
    } = config;
    let agents: serde_json::Map<String, Value> =
        agents.iter().map(|(name, agent)| (name.to_string(), show_agent(agent))).collect();
    let profiles: serde_json::Map<String, Value> =
        profiles.iter().map(|(name, profile)| (name.to_string(), show_profile(profile))).collect();
    without_null(json!({
        "data_dir": data_dir,
        "keep_records": keep_records.map(seconds),
        "forge": {
            "id": forge.access.id,
            "url": forge.access.url,
            "org": forge.org,
            "repositories": forge.repos,
            "token": REDACTED,
            "webhook_secrets": [REDACTED],
            "own_ca": forge.access.ca_pem.is_some(),
            "branch_prefix": branch_prefix,
        },
        "server": { "listen": listen },
        "engine": {
            "backend": engine.backend,
            "socket": engine.socket,
            "network": engine.network,
            "programs": engine.programs,
        },
        "limits": {
            "slots": slots,
            "hot_bottles": host.hot_max,
            "memory_floor_bytes": host.memory_floor,
            "disk_floor_bytes": host.disk_floor,
            "watchdog": format!("{}s", timing.watchdog.as_secs()),
            "grace": format!("{}s", timing.grace.as_secs()),
            "hot_for": format!("{}s", timing.hot_for.as_secs()),
            "poll": seconds(*poll),
        },
        "agents": agents,
        "bottles": profiles,
    }))
}

fn show_agent(agent: &Agent) -> Value {
    json!({
        "login": agent.identity.login,
        "git_name": agent.identity.name,
        "git_email": agent.identity.email,
        "token": REDACTED,
        "bottles": agent.profiles,
        "command": agent.command,
        "prompt_via": agent.prompt_via,
        "env": masked(&agent.env),
    })
}

fn show_profile(profile: &Profile) -> Value {
    json!({
        "image": profile.image,
        "memory_bytes": profile.memory_bytes,
        "pids": profile.pids,
        "millicpus": profile.millicpus,
        "env": masked(&profile.env),
    })
}

fn masked(env: &std::collections::BTreeMap<String, String>) -> serde_json::Map<String, Value> {
    let shown =
        |name: &str, value: &str| if holds_secret(name) { REDACTED.into() } else { value.into() };
    env.iter().map(|(name, value)| (name.clone(), shown(name, value))).collect()
}

fn seconds(span: std::time::Duration) -> String {
    format!("{}s", span.as_secs())
}

/// TOML has no null.
fn without_null(value: Value) -> Value {
    match value {
        Value::Object(map) => Value::Object(
            map.into_iter()
                .filter(|(_, value)| !value.is_null())
                .map(|(key, value)| (key, without_null(value)))
                .collect(),
        ),
        other => other,
    }
}
