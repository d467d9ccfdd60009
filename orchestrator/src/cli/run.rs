//! From arguments to an exit code.

use std::{ffi::OsString, process::ExitCode};

use clap::Parser as _;
use tokio::signal::unix::{SignalKind, signal};

use super::{
    args::{Arguments, Command},
    ask::{self, Asker},
    config as config_command, doctor, failure,
    failure::Failure,
    local,
    screen::Screen,
};
use crate::{
    config::{self, Environment},
    daemon,
};

/// Runs the command line of this process.
pub fn main(env: Environment<'_>) -> ExitCode {
    let words: Vec<OsString> = std::env::args_os().collect();
    let arguments = match Arguments::try_parse_from(&words) {
        Ok(arguments) => arguments,
        Err(error) => return failure::usage(&error, words.iter().any(|word| word == "--json")),
    };
    let json = arguments.json;
    let named = arguments.config.clone().filter(|path| *path != config::config_file(None, env));
    let named = named.map(|path| std::path::absolute(&path).unwrap_or(path));
    match run(arguments, env) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure::end(&failure, json, named.as_deref()),
    }
}

fn run(arguments: Arguments, env: Environment<'_>) -> Result<(), Failure> {
    let screen = Screen::of_stdout(arguments.json, env);
    let path = config::config_file(arguments.config, env);
    let path = std::path::absolute(path).map_err(Failure::Io)?;
    match arguments.command {
        Command::Init => local::init(screen, &path),
        Command::Config(command) => config_command::run(screen, command, &path, env),
        Command::Completions(wanted) => local::completions(&wanted),
        Command::Backup(wanted) => {
            local::backup(screen, &config::data_dir(&path, env), &wanted.file)
        }
        Command::Serve => {
            let checked = config::check(&path, env);
            let config = checked.config.map_err(Failure::Config)?;
            for warning in checked.warnings {
                tracing::warn!(at = %warning.place, hint = warning.hint, "{}", warning.what);
            }
            let runtime = runtime()?;
            let served = runtime.block_on(daemon::serve(config)).map_err(Failure::Serve);
            runtime.shutdown_timeout(THREADS_TIMEOUT);
            served
        }
        Command::Doctor => interruptible(doctor::run(screen, &path, env)),
        command @ (Command::Status(_)
        | Command::Explain(_)
        | Command::Start(_)
        | Command::Resume(_)
        | Command::Freeze(_)
        | Command::Cancel(_)
        | Command::Destroy(_)
        | Command::Logs(_)
        | Command::Attach(_)
        | Command::Prune(_)) => {
            let socket = config::operator_socket(&config::data_dir(&path, env));
            let asker = Asker::new(screen, &socket, &path);
            interruptible(async { ask::run(&asker?, command, env).await })
        }
    }
}

/// Until its end or until somebody interrupts it: it has no more to say then, and nothing to undo.
fn interruptible(work: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    runtime()?.block_on(async {
        // Before the work begins, so that there is no moment in which a signal would just kill it.
        let mut interrupt = signal(SignalKind::interrupt()).map_err(Failure::Io)?;
        tokio::select! {
            done = work => done,
            _ = interrupt.recv() => Err(Failure::Interrupted),
        }
    })
}

/// For what threads of a daemon that has ended still do; one may hang with a file system.
const THREADS_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(5);

fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Failure::Io)
}
