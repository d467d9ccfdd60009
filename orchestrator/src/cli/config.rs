//! `orchestrate config`: what is written, what is in force, and what may be written.

use std::path::Path;

use serde_json::{Value, json};

use super::{
    args::{ConfigCommand, Schema, SchemaKind},
    failure::{self, EXIT_USAGE, Failure},
    screen::{self, Screen},
    text::harmless,
};
use crate::config::{self, Environment, Mistakes};

/// Runs one of its parts.
pub(super) fn run(
    screen: Screen,
    command: ConfigCommand,
    path: &Path,
    env: Environment<'_>,
) -> Result<(), Failure> {
    match command {
        ConfigCommand::Check => check(screen, path, env),
        ConfigCommand::Show => show(screen, path, env),
        ConfigCommand::Schema(wanted) => schema(&wanted),
    }
}

fn check(screen: Screen, path: &Path, env: Environment<'_>) -> Result<(), Failure> {
    let config::Checked { config, warnings } = config::check(path, env);
    if screen.json {
        let none = Mistakes(vec![]);
        let Mistakes(mistakes) = config.as_ref().err().unwrap_or(&none);
        let answer = json!({
            "ok": config.is_ok(),
            "file": path,
            "mistakes": failure::mistakes_json(mistakes),
            "warnings": failure::mistakes_json(&warnings),
        });
        screen.print(&answer, String::new)?;
        return config.map(drop).map_err(|_| Failure::Told(EXIT_USAGE));
    }
    screen::complain(&failure::mistakes("warning", &warnings));
    let config = config.map_err(Failure::Config)?;
    let count =
        |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
    let repos = config.forge.repos.len();
    let repos =
        if repos == 1 { "1 repository".to_owned() } else { format!("{repos} repositories") };
    screen::write(&format!(
        "{} is right: {repos}, {}, {}\n",
        harmless(&path.display().to_string(), false),
        count(config.agents.len(), "agent"),
        count(config.profiles.len(), "profile"),
    ))
}

fn show(screen: Screen, path: &Path, env: Environment<'_>) -> Result<(), Failure> {
    let config = config::load(path, env).map_err(Failure::Config)?;
    let effective = config::effective(&config);
    screen.print(&effective, || {
        let text = toml::to_string(&effective).unwrap_or_default();
        harmless(&text, true)
    })
}

fn schema(wanted: &Schema) -> Result<(), Failure> {
    let schemas = config::schemas();
    if let Some(dir) = &wanted.write {
        for (name, schema) in &schemas {
            std::fs::write(dir.join(name), pretty(schema)).map_err(Failure::Io)?;
        }
        return Ok(());
    }
    let name = wanted.kind.map(|kind| match kind {
        SchemaKind::Config => "config.json",
        SchemaKind::Agent => "agent.json",
        SchemaKind::Bottle => "bottle.json",
    });
    let one =
        schemas.iter().find(|(file, _)| Some(*file) == name).map(|(_, schema)| schema.clone());
    let all =
        || schemas.iter().map(|(file, schema)| ((*file).to_owned(), schema.clone())).collect();
    screen::write(&pretty(&one.unwrap_or_else(|| Value::Object(all()))))
}

fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}
