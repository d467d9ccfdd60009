//! Why a command failed: what, where, why, what to do, and the exit code.

use std::{
    fs::File,
    io::{self, Read as _},
    path::Path,
    process::ExitCode,
};

use nix::fcntl::{Flock, FlockArg};
use protocol::error::{ErrorCode, RpcError};
use serde::Serialize;

use super::{screen, text::harmless};
use crate::{
    config::{Mistake, Mistakes, Place},
    daemon::{self, LockError},
    engine::EngineError,
};

/// Wrong command line or configuration.
pub(super) const EXIT_USAGE: u8 = 2;
/// Ended by an operator, as shells tell it: 128 and the number of SIGINT.
const EXIT_INTERRUPTED: u8 = 130;

/// Where a daemon tells more.
const LOG: &str = "see its log, e.g. journalctl -u bot-bottle";

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

/// A hint's commands find the same daemon only by the configuration that was named.
pub(super) fn with_config(hint: &str, named: Option<&Path>) -> String {
    let Some(path) = named else { return hint.to_owned() };
    let option = format!("--config {} ", path.display());
    let mut parts = hint.split("orchestrate ");
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        text.push_str("orchestrate ");
        if part.starts_with(|c: char| c.is_ascii_lowercase()) {
            text.push_str(&option);
        }
        text.push_str(part);
    }
    text
}

/// Tells a failure on standard error; how the program ends. `named` is the configuration, if it is
/// not the one that is found by itself.
pub(super) fn end(failure: &Failure, json: bool, named: Option<&Path>) -> ExitCode {
    let (mut errors, exit_code): (Vec<Complaint>, u8) = match failure {
        Failure::Config(Mistakes(mistakes)) => {
            (mistakes.iter().map(Complaint::from).collect(), EXIT_USAGE)
        }
        Failure::Rpc(error) => {
            let hint = error.data.hint.as_deref().unwrap_or_default();
            (vec![Complaint::new(&error.message, hint)], error.data.kind.exit_code())
        }
        Failure::Usage(what, hint) => (vec![Complaint::new(what, hint)], EXIT_USAGE),
        Failure::Serve(error) => {
            (vec![Complaint::new(&chain(error), &serve_hint(error).unwrap_or_default())], 1)
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
    for error in &mut errors {
        let hint = error.hint.take().map(|hint| with_config(&hint, named));
        error.hint = hint.map(|hint| harmless(&hint, false));
    }
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
        return end(&Failure::Usage(what, "orchestrate --help".to_owned()), json, None);
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
    let away = met(nix::errno::Errno::ENOENT) || met(nix::errno::Errno::ECONNREFUSED);
    if away && let Some(pid) = holder(socket) {
        let message = format!(
            "process {pid} runs but does not take calls yet: it waits for its forge or engine"
        );
        return RpcError::new(ErrorCode::NotReady, message).hint(LOG);
    }
    if away && let Some((message, hint)) = misled(config) {
        return RpcError::new(ErrorCode::NotReady, message).hint(hint);
    }
    let (why, hint) = if met(nix::errno::Errno::ENOENT) {
        ("there is no socket", format!("start it: {serve}, or: systemctl start bot-bottle"))
    } else if met(nix::errno::Errno::ECONNREFUSED) {
        ("it has ended", format!("start it again: {serve}, or: systemctl start bot-bottle"))
    } else if met(nix::errno::Errno::EACCES) {
        ("only its own user may ask it", "run this as the daemon's user, or by sudo".to_owned())
    } else {
        ("it is silent", LOG.to_owned())
    };
    let message = format!("the daemon does not answer at {}: {why}", socket.display());
    RpcError::new(ErrorCode::NotReady, message).hint(hint)
}

/// The process that holds the data directory of this socket. It takes calls only once its forge and
/// engine have answered.
fn holder(socket: &Path) -> Option<String> {
    let file = File::open(socket.with_file_name("lock")).ok()?;
    let (mut file, _) = Flock::lock(file, FlockArg::LockSharedNonblock).err()?;
    let mut pid = String::new();
    file.read_to_string(&mut pid).ok()?;
    Some(pid.trim().to_owned())
}

/// What is wrong with the configuration that led to the socket, and what to do about it.
fn misled(config: &Path) -> Option<(String, &'static str)> {
    let at = config.display();
    match config.try_exists() {
        Ok(true) => None,
        Ok(false) => Some((
            format!("the daemon does not answer, and there is no configuration {at}"),
            "is --config (or BOT_BOTTLE_CONFIG) right? `orchestrate init` writes a new one",
        )),
        Err(error) => Some((
            format!("the daemon does not answer, and {at} cannot be read: {error}"),
            "not yours: run this as root",
        )),
    }
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

fn serve_hint(error: &daemon::ServeError) -> Option<String> {
    if let daemon::ServeError::Lock(LockError::Held { pid, .. }) = error {
        return Some(format!(
            "it is already running: `orchestrate status`; stop process {pid} to replace it"
        ));
    }
    let hint = match error {
        daemon::ServeError::Forge { source: forge::ForgeError::BadToken { .. }, .. } => {
            Some("make a new token for the daemon's account and put it into forge.token_file")
        }
        daemon::ServeError::Forge { source: forge::ForgeError::NoPermission { .. }, .. } => {
            Some("give the daemon's account and its token the rights that docs and doctor name")
        }
        // What rustls says of an answer that is no TLS.
        daemon::ServeError::Forge { source, .. }
            if source.to_string().contains("InvalidContentType") =>
        {
            Some("http:// or https://? check forge.url")
        }
        daemon::ServeError::Forge { .. } | daemon::ServeError::ForgeSetup(_) => {
            Some("check forge.url and forge.ca_file")
        }
        daemon::ServeError::Programs(_) => Some("make install, or set engine.programs"),
        daemon::ServeError::Engine(EngineError::OpenNetwork { .. }) => {
            Some("docker network rm, then start the daemon again: it makes a network of its own")
        }
        // What is to be done stands in the message.
        daemon::ServeError::Engine(EngineError::Lacks { .. })
        | daemon::ServeError::Account { .. }
        | daemon::ServeError::AgentToken { .. }
        | daemon::ServeError::OtherForge { .. } => None,
        daemon::ServeError::Engine(_) => Some("is Docker running, and may you use its socket?"),
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
        | daemon::ServeError::Lock(_)
        | daemon::ServeError::Store(_)
        | daemon::ServeError::Signals(_) => None,
    };
    hint.map(str::to_owned)
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
    fn a_hint_names_the_configuration_that_was_named() {
        let hint = "see `orchestrate status`, or: orchestrate --config b serve";
        assert_eq!(with_config(hint, None), hint);
        assert_eq!(
            with_config(hint, Some(Path::new("/a.toml"))),
            "see `orchestrate --config /a.toml status`, or: orchestrate --config b serve"
        );
    }

    #[test]
    fn what_keeps_a_daemon_from_its_forge_is_told_with_what_to_do() {
        let told = |source| {
            let url = "https://git.example.org/".to_owned();
            let error = daemon::ServeError::Forge { url, source };
            (chain(&error), serve_hint(&error).unwrap())
        };
        let what = "ask who we are".to_owned();
        let (text, hint) = told(forge::ForgeError::BadToken { what: what.clone() });
        assert!(text.contains("does not accept us") && hint.contains("token_file"), "{text}");
        let message = "received corrupt message of type InvalidContentType".to_owned();
        let (text, hint) = told(forge::ForgeError::Unreachable { what, message });
        assert!(text.contains("https://git.example.org/"), "{text}");
        assert!(!text.contains("does not accept us") && text.contains("corrupt"), "{text}");
        assert_eq!(hint, "http:// or https://? check forge.url");
    }

    #[test]
    fn a_network_that_connects_sidecars_is_told_with_what_to_do() {
        let error = EngineError::OpenNetwork { name: "bot-bottle".to_owned() };
        let hint = serve_hint(&daemon::ServeError::Engine(error)).unwrap();
        assert!(hint.contains("docker network rm"), "{hint}");
    }
}
