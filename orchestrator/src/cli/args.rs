//! The command line as it is typed.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use protocol::{
    error::ErrorCode,
    ids::{AgentName, IssueNumber, ProfileName, RepoName},
    operator::Subject,
};

use crate::config::units;

/// Turns issues on a forge into pull requests, made by coding agents in sandboxes.
#[derive(Debug, Parser)]
#[command(name = "orchestrate", version, after_help = exit_codes(), subcommand_required = true, arg_required_else_help = true)]
pub struct Arguments {
    /// The configuration file [default: $BOT_BOTTLE_CONFIG, ~/.bot-bottle/config.toml or
    /// /var/lib/bot-bottle/config.toml].
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Print JSON instead of text, errors too.
    #[arg(long, global = true)]
    pub json: bool,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the daemon.
    Serve,
    /// Write a commented configuration, a system service and a webhook secret.
    Init,
    /// Check or show the configuration.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Look for what keeps the daemon from working, each with what to do about it.
    Doctor,
    /// Show every bottle.
    Status(Watch),
    /// Show why an issue is worked on or not.
    Explain(Meant),
    /// Start a bottle by hand.
    Start(Start),
    /// Wake a frozen bottle with a prompt; a running one gets it when its run has ended.
    Resume(Resume),
    /// Put a bottle to sleep now; what its agent is doing is stopped.
    Freeze(Freeze),
    /// Stop the work on an issue and wait until nothing of it is left; its record stays.
    Cancel(Meant),
    /// End a bottle and remove its containers and files; its record stays.
    Destroy(Meant),
    /// Show what a bottle did: its op log, or its agent's output.
    Logs(Logs),
    /// Show the agent's output as it comes; nothing can be typed.
    Attach(Attach),
    /// Forget the records of bottles that have been gone for long.
    Prune(Prune),
    /// Copy the database into a file, also while the daemon runs.
    Backup(Backup),
    /// Print a completion script for a shell.
    Completions(Completions),
}

/// A bottle, or what it works on.
#[derive(Debug, Args)]
pub struct Meant {
    /// A bottle's slug, or its issue: 7, #7, owner/name#7, or its address.
    #[arg(value_name = "BOTTLE|ISSUE")]
    pub subject: Subject,
}

/// `config`
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Tell all mistakes at once, each with file, line, key and what to do.
    Check,
    /// Show what is in force, with defaults and variables, without secrets.
    Show,
    /// Print the JSON Schema of the files, for editors.
    Schema(Schema),
}

/// `config schema`
#[derive(Debug, Args)]
pub struct Schema {
    /// Only that of one kind of file.
    pub kind: Option<SchemaKind>,
    /// Write them into a directory instead.
    #[arg(long, value_name = "DIR", conflicts_with = "kind")]
    pub write: Option<PathBuf>,
}

/// A kind of file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SchemaKind {
    /// config.toml
    Config,
    /// agents/<name>.toml
    Agent,
    /// bottles/<name>.toml
    Bottle,
}

/// `status`
#[derive(Debug, Args)]
pub struct Watch {
    /// Show it anew whenever it changes, until interrupted.
    #[arg(long, short)]
    pub watch: bool,
}

/// `start`
#[derive(Debug, Args)]
pub struct Start {
    /// Which agent, from agents/<name>.toml.
    #[arg(long)]
    pub agent: AgentName,
    /// A profile from bottles/<name>.toml; may be given again, later ones override.
    #[arg(long = "bottle", value_name = "PROFILE")]
    pub bottles: Vec<ProfileName>,
    /// What the agent is told.
    #[arg(long)]
    pub prompt: String,
    /// A word to find the bottle by.
    #[arg(long)]
    pub label: Option<String>,
    /// The container engine [default: the configured one].
    #[arg(long)]
    pub backend: Option<String>,
    /// The repository, owner/name [default: FORGE_OWNER/FORGE_REPO, or the only one].
    #[arg(long)]
    pub repo: Option<RepoName>,
    /// The issue that it may write to [default: FORGE_ISSUE_NUMBER].
    #[arg(long)]
    pub issue: Option<IssueNumber>,
}

/// `resume`
#[derive(Debug, Args)]
pub struct Resume {
    /// A bottle's slug, or its issue: 7, #7, owner/name#7, or its address.
    #[arg(value_name = "BOTTLE|ISSUE", required_unless_present = "slug", conflicts_with = "slug")]
    pub subject: Option<Subject>,
    /// The same, as the first version took it.
    #[arg(long, value_name = "BOTTLE|ISSUE")]
    pub slug: Option<Subject>,
    /// What the agent is told.
    #[arg(long)]
    pub prompt: String,
}

/// `freeze`
#[derive(Debug, Args)]
pub struct Freeze {
    /// Which bottle.
    #[command(flatten)]
    pub meant: Meant,
    /// Stop the containers of a bottle that sleeps in memory.
    #[arg(long)]
    pub cold: bool,
}

/// `logs`
#[derive(Debug, Args)]
pub struct Logs {
    /// Which bottle.
    #[command(flatten)]
    pub meant: Meant,
    /// Show the agent's output instead.
    #[arg(long)]
    pub output: bool,
    /// Show op log and output as they come, until the bottle is gone.
    #[arg(long, short)]
    pub follow: bool,
    /// Print the agent's output as it is, terminal commands too; not to a terminal.
    #[arg(long)]
    pub raw: bool,
}

/// `attach`
#[derive(Debug, Args)]
pub struct Attach {
    /// Which bottle.
    #[command(flatten)]
    pub meant: Meant,
    /// Print the output as it is, terminal commands too; not to a terminal.
    #[arg(long)]
    pub raw: bool,
}

/// `prune`
#[derive(Debug, Args)]
pub struct Prune {
    /// How long a bottle must have been gone, e.g. 30d; at most 365d.
    #[arg(long, value_name = "AGE", value_parser = units::age)]
    pub older_than: Duration,
    /// Only show what would be forgotten.
    #[arg(long)]
    pub dry_run: bool,
}

/// `backup`
#[derive(Debug, Args)]
pub struct Backup {
    /// Where to; it must not be there yet.
    pub file: PathBuf,
}

/// `completions`
#[derive(Debug, Args)]
pub struct Completions {
    /// Which shell.
    pub shell: Shell,
}

/// The exit codes that scripts may rely on, made from the one table of errors.
fn exit_codes() -> String {
    let own = [
        "  0  done".to_owned(),
        "  1  failed".to_owned(),
        "  2  wrong command line or configuration".to_owned(),
    ];
    let others = ErrorCode::ALL.iter().map(|code| {
        let name = serde_json::to_string(code).unwrap_or_default();
        format!(" {:>2}  {}", code.exit_code(), name.trim_matches('"').replace('_', " "))
    });
    let interrupted = std::iter::once("130  interrupted".to_owned());
    let lines: Vec<String> = own.into_iter().chain(others).chain(interrupted).collect();
    format!("Exit codes:\n{}", lines.join("\n"))
}
