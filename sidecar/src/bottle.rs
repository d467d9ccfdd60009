//! `bottle`, the one program of ours inside a bottle: a static binary, mounted read-only into
//! whatever image the user has.
//!
//! - `bottle init` is the container's PID 1 ([`init`]): it reaps, forwards signals, starts the agent
//!   program when the sidecar has a run for it, and lets plain git and HTTP tools reach the sidecar
//!   by TCP ([`init::forward`]).
//! - every other command is one question to the sidecar ([`client`]), for agents and their scripts.
//!
//! Nothing here is trusted by anybody: an agent may replace, trace or imitate this program, and
//! gains nothing, because every check is made in the sidecar. It holds no credential and decides no
//! policy. It needs no shell, no libc and no network but the loopback of its container.

pub mod args;
pub mod client;
pub mod config;
pub mod init;

use std::{error::Error, io, io::Write as _, process::ExitCode};

use clap::Parser as _;
use tracing_subscriber::filter::LevelFilter;

use crate::bottle::{
    args::{
        Args, Command,
        resolve::{Stdin, Unclear},
    },
    config::Environment,
};

/// What is said after success.
const DONE: u8 = 0;
/// What is said after any failure that is not in the table of RPC errors.
const FAILED: u8 = 1;

/// Runs the command line that the process was started with.
pub fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => return usage(&error),
    };
    let environment = Environment::read();
    let socket = args.socket.unwrap_or_else(|| environment.socket.clone());
    let code = match args.command {
        Command::Init(init) => start(init::Settings { socket, listen: init.listen, environment }),
        Command::Version => written(client::version(args.json, &mut io::stdout().lock())),
        Command::Ask(ask) => match ask.resolve(&mut Stdin) {
            Ok(call) => client::run(&call, &socket, args.json),
            Err(Unclear::Usage(error)) => return usage(&error),
            Err(Unclear::Text(error)) => client::refuse(&error, args.json),
        },
    };
    ExitCode::from(code)
}

/// Says what is wrong with the command line, or the help that was asked for.
fn usage(error: &clap::Error) -> ExitCode {
    match error.print() {
        Ok(()) => ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(FAILED)),
        Err(cause) => ExitCode::from(written(Err(cause))),
    }
}

/// The exit code of a command whose work was to write: a reader that has gone away has all that it
/// wanted.
fn written(result: io::Result<()>) -> u8 {
    match result {
        Ok(()) => DONE,
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => DONE,
        Err(_) => FAILED,
    }
}

/// Runs PID 1 to its end.
fn start(settings: init::Settings) -> u8 {
    tracing_subscriber::fmt()
        .with_max_level(LevelFilter::INFO)
        .with_writer(io::stderr)
        .with_ansi(false)
        .with_target(false)
        .without_time()
        .init();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let ended = runtime
        .map_err(init::InitError::Runtime)
        .and_then(|runtime| runtime.block_on(init::run(settings)));
    match ended {
        Ok(()) => DONE,
        Err(error) => written(writeln!(io::stderr(), "error: {}", whole_story(&error))).max(FAILED),
    }
}

/// An error with all its causes, in one line.
fn whole_story(error: &dyn Error) -> String {
    let mut story = error.to_string();
    let mut cause = error.source();
    while let Some(deeper) = cause {
        story.push_str(": ");
        story.push_str(&deeper.to_string());
        cause = deeper.source();
    }
    story
}
