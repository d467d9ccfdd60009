//! The sidecar's command line. It reads no environment and no file: what it may do comes over the
//! control socket.

use std::path::PathBuf;

use clap::Parser;
use tracing_subscriber::filter::LevelFilter;

/// Owns the credentials of one bottle and answers its socket.
#[derive(Debug, Clone, PartialEq, Eq, Parser)]
#[command(name = "sidecar", version)]
pub struct Config {
    /// Directory of `agent.sock`, which the bottle sees.
    #[arg(long, value_name = "DIR")]
    pub agent_dir: PathBuf,
    /// Directory of `control.sock`, which only the orchestrator sees.
    #[arg(long, value_name = "DIR")]
    pub control_dir: PathBuf,
    /// Directory of events for the orchestrator.
    #[arg(long, value_name = "DIR")]
    pub queue_dir: PathBuf,
    /// Start although the kernel cannot confine this process.
    #[arg(long)]
    pub allow_no_landlock: bool,
    /// What is logged: error, warn, info or debug.
    #[arg(long, value_name = "LEVEL", default_value = "info")]
    pub log: LevelFilter,
}
