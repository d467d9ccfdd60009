//! The command line as it is typed.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use protocol::{
    error::ErrorCode,
    ids::{AgentName, IssueNumber, ProfileName, RepoName, Slug},
};

/// Turns issues on a forge into pull requests, made by coding agents in sandboxes.
#[derive(Debug, Parser)]
#[command(name = "orchestrate", version, after_help = exit_codes(), subcommand_required = true, arg_required_else_help = true)]
pub struct Arguments {
    /// The configuration file [default: ~/.bot-bottle/config.toml].
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Print JSON instead of text.
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
    /// Write a commented configuration and generate a webhook secret.
    Init,
    /// Show every bottle.
    Status,
    /// Start a bottle by hand.
    Start(Start),
    /// Wake a frozen bottle with a prompt; a running one gets it when its run has ended.
    Resume(Resume),
    /// Put a bottle to sleep now; what its agent is doing is stopped.
    Freeze(Freeze),
    /// End a bottle and remove its containers and files; its record stays.
    Destroy(Named),
    /// Show what a bottle did: its op log, or its agent's output.
    Logs(Logs),
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
    /// The bottle, as `status` shows it.
    #[arg(long)]
    pub slug: Slug,
    /// What the agent is told.
    #[arg(long)]
    pub prompt: String,
}

/// `freeze`
#[derive(Debug, Args)]
pub struct Freeze {
    /// The bottle, as `status` shows it.
    #[arg(value_name = "SLUG")]
    pub slug: Slug,
    /// Stop the containers of a bottle that sleeps in memory.
    #[arg(long)]
    pub cold: bool,
}

/// `destroy`
#[derive(Debug, Args)]
pub struct Named {
    /// The bottle, as `status` shows it.
    #[arg(value_name = "SLUG")]
    pub slug: Slug,
}

/// `logs`
#[derive(Debug, Args)]
pub struct Logs {
    /// The bottle, as `status` shows it.
    #[arg(value_name = "SLUG")]
    pub slug: Slug,
    /// Show the agent's output instead.
    #[arg(long)]
    pub output: bool,
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
    let lines: Vec<String> = own.into_iter().chain(others).collect();
    format!("Exit codes:\n{}", lines.join("\n"))
}
