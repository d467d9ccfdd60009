//! The client: one call, one result on stdout or one error on stderr, one exit code.

pub mod call;
pub mod escape;
pub mod failure;
pub mod readable;

use std::{
    io::{self, Write},
    path::Path,
    time::Duration,
};

use protocol::{
    error::{ErrorCode, RpcError},
    limits,
};

use crate::bottle::{
    client::{
        call::{Answer, Call},
        failure::Failure,
        readable::Readable,
    },
    written,
};

/// A call takes at most as long as the sidecar gives itself, and the way there and back.
const TIMEOUT: Duration = limits::RPC_TIMEOUT.saturating_add(Duration::from_secs(10));

/// Makes a call and prints its outcome; the exit code.
pub fn run(call: &Call, socket: &Path, json: bool) -> u8 {
    match ask(call, socket) {
        Ok(answer) => written(print(&answer, json, &mut io::stdout().lock())),
        Err(error) => refuse(&error, json),
    }
}

/// Prints an error; its exit code.
pub fn refuse(error: &RpcError, json: bool) -> u8 {
    let failure = Failure(error);
    let mut stderr = io::stderr().lock();
    // An error that cannot be printed still has its exit code.
    drop(if json { writeln!(stderr, "{}", failure.json()) } else { writeln!(stderr, "{failure}") });
    error.data.kind.exit_code()
}

/// Prints the version.
///
/// # Errors
/// Those of writing.
pub fn version(json: bool, out: &mut impl Write) -> io::Result<()> {
    let version = env!("CARGO_PKG_VERSION");
    if json {
        writeln!(out, "{}", serde_json::json!({ "version": version }))
    } else {
        writeln!(out, "bottle {version}")
    }
}

fn ask(call: &Call, socket: &Path) -> Result<Answer, RpcError> {
    let internal = |error: &dyn std::error::Error| {
        RpcError::new(ErrorCode::Internal, format!("the call cannot be prepared: {error}"))
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| internal(&error))?;
    runtime.block_on(async {
        let client = rpc::client::connect(socket, TIMEOUT).map_err(|error| internal(&error))?;
        call.make(&client).await.map_err(rpc::client::error)
    })
}

fn print(answer: &Answer, json: bool, out: &mut impl Write) -> io::Result<()> {
    if json {
        serde_json::to_writer(&mut *out, answer)?;
        writeln!(out)?;
    } else {
        write!(out, "{}", Readable(answer))?;
    }
    out.flush()
}

/// The table of exit codes at the end of the help.
pub fn exit_codes() -> String {
    let own = ["   0  done", "   1  any other failure", "   2  wrong command line"];
    let line = |code: ErrorCode| format!("  {:2}  {}", code.exit_code(), meaning(code));
    let lines = own.into_iter().map(str::to_owned).chain(ErrorCode::ALL.map(line));
    std::iter::once("Exit codes:".to_owned()).chain(lines).collect::<Vec<_>>().join("\n")
}

/// What an error code says to whoever reads the help.
fn meaning(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::OutOfScope => "out_of_scope: this bottle may not write there",
        ErrorCode::Invalid => "invalid: a value breaks a rule",
        ErrorCode::NotFound => "not_found: it is not there, or may not be seen",
        ErrorCode::Conflict => "conflict: it is there already, or was changed meanwhile",
        ErrorCode::LimitReached => "limit_reached: a budget is used up",
        ErrorCode::ForgeRefused => "forge_refused: the forge refuses the credential",
        ErrorCode::ForgeUnavailable => {
            "forge_unavailable: no good answer from the forge, try later"
        }
        ErrorCode::NotReady => "not_ready: the sidecar is starting, asleep or gone, try later",
        ErrorCode::QueueFull => "queue_full: the orchestrator does not take events, try later",
        ErrorCode::Internal => "internal: a fault of bot-bottle's",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_exit_codes_uses_the_words_on_the_wire() {
        for code in ErrorCode::ALL {
            let word = serde_json::to_value(code).unwrap();
            let line = format!("{:2}  {}: ", code.exit_code(), word.as_str().unwrap());
            assert!(exit_codes().contains(&line), "{line}");
        }
    }

    /// A reader that has gone away.
    struct Gone;

    impl Write for Gone {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_reader_that_goes_away_is_no_failure() {
        let answer = Answer::Comments(Vec::new());
        assert_eq!(written(print(&answer, false, &mut Gone)), 0);
        assert_eq!(written(print(&answer, true, &mut Gone)), 0);
        assert_eq!(written(version(false, &mut Gone)), 0);
        assert_eq!(written(Err(io::ErrorKind::StorageFull.into())), 1);
    }
}
