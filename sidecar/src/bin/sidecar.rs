//! The `sidecar` process of one bottle. All it does is in the library; here is the order in which
//! a process that will hold a credential is set up.

use std::{alloc::System, process::ExitCode};

use anyhow::Context as _;
use clap::Parser as _;
use sidecar::{
    config::Config,
    hardening::{self, Confinement},
    process,
};
use tracing_subscriber::{Layer as _, filter::Targets, fmt, prelude::*};
use zeroizing_alloc::ZeroAlloc;

/// Wipes memory when it is given back: copies of a token that libraries make (headers, buffers) do
/// not outlive a drain.
#[global_allocator]
static ALLOCATOR: ZeroAlloc<System> = ZeroAlloc(System);

/// Our own crates.
const OURS: [&str; 3] = ["sidecar", "rpc", "forge"];
/// A wrong command line, as for most programs.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    let config = match Config::try_parse() {
        Ok(config) => config,
        Err(error) => {
            error.print().ok();
            return if error.use_stderr() { ExitCode::from(USAGE) } else { ExitCode::SUCCESS };
        }
    };
    start_log(&config);
    match run(&config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "sidecar cannot run");
            ExitCode::FAILURE
        }
    }
}

fn run(config: &Config) -> anyhow::Result<()> {
    forge::gitea::install_tls();
    let confinement = hardening::harden(config)?;
    match confinement {
        Confinement::Full => tracing::info!(?confinement, "confined"),
        Confinement::Partial | Confinement::None => {
            tracing::warn!(?confinement, "not fully confined");
        }
    }
    // One thread: a bottle has one agent, and each thread costs memory in every sidecar.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(4)
        .build()
        .context("cannot start the runtime")?;
    runtime.block_on(process::run(config))?;
    Ok(())
}

/// JSON lines on standard output, from our own crates only: libraries log what they handle.
fn start_log(config: &Config) {
    let ours = Targets::new().with_targets(OURS.map(|name| (name, config.log)));
    tracing_subscriber::registry().with(fmt::layer().json().with_filter(ours)).init();
    hardening::panics::watch();
}
