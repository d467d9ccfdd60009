//! Why a command failed: what, where, why, what to do, and the exit code.

use std::{io, path::Path, process::ExitCode};

use protocol::error::{ErrorCode, RpcError};
use serde::Serialize;

use super::{screen, text::harmless};
use crate::{
    config::{Mistake, Mistakes, Place},
    daemon,
    engine::EngineError,
};

/// Wrong command line or configuration.
pub(super) const EXIT_USAGE: u8 = 2;
/// Ended by an operator, as shells tell it: 128 and the number of SIGINT.
const EXIT_INTERRUPTED: u8 = 130;

/// Why a command failed.
#[derive(Debug)]
pub(super) enum Failure {
    Config(Mistakes),
    Rpc(RpcError),
    Usage(String, String),
    Serve(daemon::ServeError),
    Io(io::Error),
    /// What is wrong, and what to do about it.
    Other(String, String),
    /// It has been told already, as data: only the exit code is missing.
    Told(u8),
    Interrupted,
}

/// One thing that is wrong, and what to do about it.
#[derive(Debug, Serialize)]
struct Complaint {
    message: String,
    hint: Option<String>,
    #[serde(flatten)]
    place: Option<Place>,
}

impl Complaint {
    fn new(message: &str, hint: &str) -> Self {
        Self {
            // Names of files and words of others may carry terminal commands.
            message: harmless(message, false),
            hint: Some(harmless(hint, false)).filter(|hint| !hint.is_empty()),
            place: None,
        }
    }

    fn text(&self, kind: &str) -> String {
        let hint = self.hint.as_ref().map(|hint| format!("  hint: {hint}\n")).unwrap_or_default();
        format!("{kind}: {}\n{hint}", self.message)
    }
}

impl From<&Mistake> for Complaint {
    fn from(mistake: &Mistake) -> Self {
        let complaint = Self::new(&mistake.to_string(), &mistake.hint);
        Self { place: Some(mistake.place.clone()), ..complaint }
    }
}

/// Mistakes as text, each with its hint.
pub(super) fn mistakes(kind: &str, mistakes: &[Mistake]) -> String {
    mistakes.iter().map(|mistake| Complaint::from(mistake).text(kind)).collect()
}

/// Mistakes for programs.
pub(super) fn mistakes_json(mistakes: &[Mistake]) -> serde_json::Value {
    let all: Vec<Complaint> = mistakes.iter().map(Complaint::from).collect();
    serde_json::to_value(all).unwrap_or_default()
}

/// Tells a failure on standard error; how the program ends.
pub(super) fn end(failure: &Failure, json: bool) -> ExitCode {
    let (errors, exit_code) = match failure {
        Failure::Config(Mistakes(mistakes)) => {
            (mistakes.iter().map(Complaint::from).collect(), EXIT_USAGE)
        }
        Failure::Rpc(error) => {
            let hint = error.data.hint.as_deref().unwrap_or_default();
            (vec![Complaint::new(&error.message, hint)], error.data.kind.exit_code())
        }
        Failure::Usage(what, hint) => (vec![Complaint::new(what, hint)], EXIT_USAGE),
        Failure::Serve(error) => {
            (vec![Complaint::new(&chain(error), serve_hint(error).unwrap_or_default())], 1)
        }
        // Whoever read our output has enough: `status | head`.
        Failure::Io(error) if error.kind() == io::ErrorKind::BrokenPipe => {
            return ExitCode::SUCCESS;
        }
        Failure::Io(error) => (vec![Complaint::new(&error.to_string(), "")], 1),
        Failure::Other(what, hint) => (vec![Complaint::new(what, hint)], 1),
        Failure::Told(exit_code) => return ExitCode::from(*exit_code),
        Failure::Interrupted => return ExitCode::from(EXIT_INTERRUPTED),
    };
    let text = if json {
        format!("{}\n", serde_json::json!({ "errors": errors, "exit_code": exit_code }))
    } else {
        errors.iter().map(|error| error.text("error")).collect()
    };
    screen::complain(&text);
    ExitCode::from(exit_code)
}

/// A command line that clap refuses, told as the operator wants to read it.
pub(super) fn usage(error: &clap::Error, json: bool) -> ExitCode {
    if !error.use_stderr() {
        // Help was asked for. Who does not read it has enough.
        drop(error.print());
        return ExitCode::SUCCESS;
    }
    if json {
        let text = error.render().to_string();
        let what = text.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned();
        return end(&Failure::Usage(what, "orchestrate --help".to_owned()), json);
    }
    drop(error.print());
    ExitCode::from(EXIT_USAGE)
}

/// A missing daemon is told with where it should be and what to do about it.
pub(super) fn unreachable(socket: &Path, config: &Path, error: RpcError) -> RpcError {
    if error.data.kind != ErrorCode::NotReady {
        return error;
    }
    let serve = format!("orchestrate --config {} serve", config.display());
    let met =
        |errno: nix::errno::Errno| error.message.contains(&format!("(os error {})", errno as i32));
    let (why, hint) = if met(nix::errno::Errno::ENOENT) {
        ("there is no socket", format!("start it: {serve}, or: systemctl start bot-bottle"))
    } else if met(nix::errno::Errno::ECONNREFUSED) {
        ("it has ended", format!("start it again: {serve}, or: systemctl start bot-bottle"))
    } else if met(nix::errno::Errno::EACCES) {
        ("only its own user may ask it", "run this as the daemon's user, or by sudo".to_owned())
    } else {
        ("it is silent", "look at its log, e.g. journalctl -u bot-bottle".to_owned())
    };
    let message = format!("the daemon does not answer at {}: {why}", socket.display());
    RpcError::new(ErrorCode::NotReady, message).hint(hint)
}

/// An error with all its causes.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
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
        // What is to be done stands in the message.
        daemon::ServeError::Engine(EngineError::Lacks { .. })
        | daemon::ServeError::Account { .. }
        | daemon::ServeError::OtherForge { .. } => None,
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
