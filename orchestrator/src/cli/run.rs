//! From arguments to an exit code.

use std::{
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use clap::Parser as _;
use protocol::{
    error::{ErrorCode, RpcError},
    operator::{OperatorRpcClient as _, StartRequest},
};
use serde::Serialize;

use super::{
    args::{Arguments, Command, Start},
    init, show,
};
use crate::{
    clock,
    config::{self, Environment, Mistakes},
    daemon,
    engine::EngineError,
};

/// For one answer of the daemon; `start` asks the forge.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
/// Wrong command line or configuration.
const EXIT_USAGE: u8 = 2;

/// Why a command failed.
#[derive(Debug)]
enum Failure {
    Config(Mistakes),
    Rpc(RpcError),
    Usage(String, String),
    Serve(daemon::ServeError),
    Io(io::Error),
}

/// Runs the command line of this process.
pub fn main(env: Environment<'_>) -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            drop(error.print());
            return ExitCode::from(if error.use_stderr() { EXIT_USAGE } else { 0 });
        }
    };
    let json = arguments.json;
    match run(arguments, env) {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever read our output has enough: `status | head`.
        Err(Failure::Io(error)) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(failure) => complain(&failure, json),
    }
}

fn run(arguments: Arguments, env: Environment<'_>) -> Result<(), Failure> {
    let path = arguments.config.unwrap_or_else(|| config::default_dir(env).join("config.toml"));
    let path = std::path::absolute(path).map_err(Failure::Io)?;
    if let Command::Init = arguments.command {
        return start_out(&path, arguments.json);
    }
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(Failure::Io)?;
    if let Command::Serve = arguments.command {
        let config = config::load(&path, env).map_err(Failure::Config)?;
        return runtime.block_on(daemon::serve(config)).map_err(Failure::Serve);
    }
    let socket = config::operator_socket(&config::data_dir(&path, env));
    runtime.block_on(ask(&socket, arguments.command, arguments.json, env))
}

async fn ask(
    socket: &Path,
    command: Command,
    json: bool,
    env: Environment<'_>,
) -> Result<(), Failure> {
    let rpc = |error| Failure::Rpc(unreachable(socket, rpc::client::error(error)));
    let client = rpc::client::connect(socket, ANSWER_TIMEOUT).map_err(rpc)?;
    match command {
        Command::Serve | Command::Init => Ok(()),
        Command::Status => {
            let status = client.status().await.map_err(rpc)?;
            print(json, &status, || show::status(&status, clock::now()))
        }
        Command::Start(start) => {
            let slug = client.start(request(start, env)?).await.map_err(rpc)?;
            print(json, &slug, || format!("{slug}\n"))
        }
        Command::Resume(resume) => {
            client.resume(resume.slug.clone(), resume.prompt).await.map_err(rpc)?;
            print(json, &resume.slug, || format!("{} will be told\n", resume.slug))
        }
        Command::Freeze(freeze) => {
            client.freeze(freeze.slug.clone(), freeze.cold).await.map_err(rpc)?;
            print(json, &freeze.slug, || format!("{} goes to sleep\n", freeze.slug))
        }
        Command::Destroy(named) => {
            client.destroy(named.slug.clone()).await.map_err(rpc)?;
            print(json, &named.slug, || format!("{} is being destroyed\n", named.slug))
        }
        Command::Logs(wanted) => {
            let mut logs = client.logs(wanted.slug.clone(), 0, wanted.output).await.map_err(rpc)?;
            let mut page = logs.lines.len();
            while let (false, true, Some(last)) = (wanted.output, page > 0, logs.lines.last()) {
                let more =
                    client.logs(wanted.slug.clone(), last.position, false).await.map_err(rpc)?;
                page = more.lines.len();
                logs.lines.extend(more.lines);
            }
            print(json, &logs, || {
                if wanted.output {
                    show::harmless(&logs.output, true)
                } else {
                    show::lines(&logs.lines)
                }
            })
        }
    }
}

/// Flags, and where they are missing the variables of the first version.
fn request(start: Start, env: Environment<'_>) -> Result<StartRequest, Failure> {
    let bad = |name: &str, error: protocol::ids::BadName| {
        Failure::Usage(format!("variable {name}: {error}"), "unset it or give the flag".to_owned())
    };
    let repo = match (start.repo, env("FORGE_OWNER"), env("FORGE_REPO")) {
        (None, Some(owner), Some(name)) => Some(
            format!("{owner}/{name}")
                .parse()
                .map_err(|error| bad("FORGE_OWNER/FORGE_REPO", error))?,
        ),
        (given, _, _) => given,
    };
    let issue = match (start.issue, env("FORGE_ISSUE_NUMBER").filter(|text| !text.is_empty())) {
        (None, Some(text)) => Some(text.parse().map_err(|error| bad("FORGE_ISSUE_NUMBER", error))?),
        (given, _) => given,
    };
    let Start { agent, bottles, prompt, label, backend, .. } = start;
    Ok(StartRequest { agent, bottles, prompt, label, backend, repo, issue })
}

fn start_out(path: &Path, json: bool) -> Result<(), Failure> {
    let written = init::init(path).map_err(Failure::Io)?;
    print(json, &written, || {
        let line =
            |word: &'static str| move |path: &PathBuf| format!("{word}  {}\n", path.display());
        let mut text: String = written.written.iter().map(line("wrote")).collect();
        text.extend(written.kept.iter().map(line("kept ")));
        text.push_str("\nNext: fill in config.toml, put the tokens into secrets/ (chmod 600),\n");
        text.push_str("add the webhook to your repository (secrets/webhook.secret), then: orchestrate serve\n");
        text
    })
}

fn print<T: Serialize>(
    json: bool,
    value: &T,
    text: impl FnOnce() -> String,
) -> Result<(), Failure> {
    let shown = if json {
        let pretty = serde_json::to_string_pretty(value);
        format!("{}\n", pretty.map_err(|error| Failure::Io(error.into()))?)
    } else {
        text()
    };
    io::stdout().lock().write_all(shown.as_bytes()).map_err(Failure::Io)
}

/// A missing daemon is told with what to do about it.
fn unreachable(socket: &Path, error: RpcError) -> RpcError {
    if error.data.kind != ErrorCode::NotReady {
        return error;
    }
    let message = format!("the daemon does not answer at {}", socket.display());
    RpcError::new(ErrorCode::NotReady, message)
        .hint("is `orchestrate serve` running, with the same --config, and are you its user?")
}

fn complain(failure: &Failure, json: bool) -> ExitCode {
    let complaint = |message: String, hint: &str| Complaint {
        // Names of files and words of others may carry terminal commands.
        message: show::harmless(&message, false),
        hint: Some(show::harmless(hint, false)).filter(|hint| !hint.is_empty()),
    };
    let (errors, exit_code) = match failure {
        Failure::Config(Mistakes(mistakes)) => {
            let all = mistakes.iter().map(|mistake| complaint(mistake.to_string(), &mistake.hint));
            (all.collect(), EXIT_USAGE)
        }
        Failure::Rpc(error) => {
            let hint = error.data.hint.as_deref().unwrap_or_default();
            (vec![complaint(error.message.clone(), hint)], error.data.kind.exit_code())
        }
        Failure::Usage(what, hint) => (vec![complaint(what.clone(), hint)], EXIT_USAGE),
        Failure::Serve(error) => {
            (vec![complaint(chain(error), serve_hint(error).unwrap_or_default())], 1)
        }
        Failure::Io(error) => (vec![complaint(error.to_string(), "")], 1),
    };
    let text = if json {
        format!("{}\n", serde_json::json!({ "errors": errors, "exit_code": exit_code }))
    } else {
        errors.iter().map(Complaint::text).collect()
    };
    // Nobody reads our complaints: the exit code still tells.
    drop(io::stderr().lock().write_all(text.as_bytes()));
    ExitCode::from(exit_code)
}

/// One thing that is wrong, and what to do about it.
#[derive(Debug, Serialize)]
struct Complaint {
    message: String,
    hint: Option<String>,
}

impl Complaint {
    fn text(&self) -> String {
        let hint = self.hint.as_ref().map(|hint| format!("  hint: {hint}\n")).unwrap_or_default();
        format!("error: {}\n{hint}", self.message)
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

fn serve_hint(error: &daemon::ServeError) -> Option<&'static str> {
    match error {
        daemon::ServeError::Forge(forge::ForgeError::BadToken { .. }) => {
            Some("make a new token for the daemon's account and put it into forge.token_file")
        }
        daemon::ServeError::Forge(_) | daemon::ServeError::ForgeSetup(_) => {
            Some("check forge.url and forge.ca_file")
        }
        daemon::ServeError::Engine(EngineError::OpenNetwork { .. }) => {
            Some("docker network rm, then start the daemon again: it makes a network of its own")
        }
        daemon::ServeError::Engine(_) => Some(
            "is Docker running, may you use its socket, and are the programs in engine.programs?",
        ),
        daemon::ServeError::Lock(_) => Some("stop it first, or use another data_dir"),
        daemon::ServeError::Listen { at, .. } if at.starts_with('/') => Some(
            "the operator's socket lies in data_dir: move away what is there, or use another data_dir",
        ),
        daemon::ServeError::Listen { .. } => {
            Some("choose another address with server.listen, or stop who has it")
        }
        daemon::ServeError::Broken => {
            Some("start it again; please report what the log says of the panic")
        }
        daemon::ServeError::Files { .. }
        | daemon::ServeError::Store(_)
        | daemon::ServeError::Signals(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_listener_has_its_own_hint() {
        let hint = |at: &str| {
            let source = io::ErrorKind::AddrInUse.into();
            serve_hint(&daemon::ServeError::Listen { at: at.to_owned(), source }).unwrap()
        };
        assert!(hint("127.0.0.1:8700").contains("server.listen"));
        assert!(hint("[::1]:8700").contains("server.listen"));
        let socket = hint("/var/lib/bot-bottle/operator.sock");
        assert!(socket.contains("data_dir") && !socket.contains("server.listen"), "{socket}");
    }

    #[test]
    fn a_network_that_connects_sidecars_is_told_with_what_to_do() {
        let error = EngineError::OpenNetwork { name: "bot-bottle".to_owned() };
        let hint = serve_hint(&daemon::ServeError::Engine(error)).unwrap();
        assert!(hint.contains("docker network rm"), "{hint}");
    }
}
