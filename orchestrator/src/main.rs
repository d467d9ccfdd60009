//! `orchestrate`: the daemon and the commands that ask it.

use std::{io::IsTerminal as _, process::ExitCode};

use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    forge::gitea::install_tls();
    let filter = env("RUST_LOG").unwrap_or_else(|| "info".to_owned());
    // Other crates stay at `info` whatever is asked: at `trace` they print headers, and those hold
    // tokens (CASES 225).
    let quiet = [
        "hyper",
        "hyper_util",
        "reqwest",
        "rustls",
        "bollard",
        "h2",
        "jsonrpsee_server",
        "jsonrpsee_core",
        "jsonrpsee_http_client",
    ];
    let filter = quiet.iter().fold(EnvFilter::new(filter), |filter, name| {
        match format!("{name}=info").parse() {
            Ok(directive) => filter.add_directive(directive),
            Err(_) => filter,
        }
    });
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_target(false)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
    orchestrator::cli::main(&env)
}

#[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
fn env(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
