//! `orchestrate`: the daemon and the commands that ask it.

use std::{io::IsTerminal as _, process::ExitCode};

use tracing::Level;
use tracing_subscriber::{
    EnvFilter, Layer as _, filter::filter_fn, layer::SubscriberExt as _,
    util::SubscriberInitExt as _,
};

/// Our own crates, as the log calls them.
const OURS: [&str; 5] = ["orchestrator", "orchestrator_core", "forge", "rpc", "protocol"];

fn main() -> ExitCode {
    forge::gitea::install_tls();
    let filter = env("RUST_LOG").unwrap_or_else(|| "info".to_owned());
    let output = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_target(false)
        .with_ansi(std::io::stderr().is_terminal())
        .with_filter(EnvFilter::new(filter))
        .with_filter(filter_fn(|metadata| is_harmless(metadata.target(), *metadata.level())));
    tracing_subscriber::registry().with(output).init();
    orchestrator::cli::main(&env)
}

/// Other crates stay at `info` whatever is asked, and whatever part of them is named: at `trace` they
/// print headers, and those hold tokens (CASES 225).
fn is_harmless(target: &str, level: Level) -> bool {
    let part = target.split("::").next().unwrap_or_default();
    level <= Level::INFO || OURS.contains(&part)
}

#[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
fn env(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    // CASES 225
    #[test]
    fn only_our_own_crates_say_more_than_info() {
        for target in
            ["hyper", "hyper_util::client::legacy", "reqwest::connect", "rustls", "orchestrator_x"]
        {
            assert!(
                is_harmless(target, Level::INFO) && is_harmless(target, Level::ERROR),
                "{target}"
            );
            assert!(
                !is_harmless(target, Level::DEBUG) && !is_harmless(target, Level::TRACE),
                "{target}"
            );
        }
        for target in ["orchestrator::daemon", "forge::gitea", "rpc", "protocol"] {
            assert!(is_harmless(target, Level::TRACE), "{target}");
        }
    }
}
