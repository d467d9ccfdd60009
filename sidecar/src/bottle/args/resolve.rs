//! From what was typed to what is meant: texts that come by stdin are read and checked here.

use std::io::{self, IsTerminal as _, Read as _};

use clap::{CommandFactory as _, error::ErrorKind};
use protocol::{
    error::{ErrorCode, RpcError},
    limits,
};

use crate::bottle::{
    args::{Args, Ask, Numbered},
    client::call::Call,
};

/// Why a command line cannot be turned into a call.
#[derive(Debug, thiserror::Error)]
pub enum Unclear {
    /// It is not complete.
    #[error("the command line is not complete")]
    Usage(#[source] clap::Error),
    /// A text on stdin that cannot be sent.
    #[error(transparent)]
    Text(RpcError),
}

/// Where a text comes from that is not on the command line.
pub trait Input {
    /// Whether a person would have to type it; nothing is read then unless it was asked for.
    fn is_terminal(&self) -> bool;

    /// Reads it to its end, but at most `max` bytes.
    ///
    /// # Errors
    /// Those of the operating system.
    fn read(&mut self, max: u64) -> io::Result<Vec<u8>>;
}

/// The process's standard input.
#[derive(Debug)]
pub struct Stdin;

impl Input for Stdin {
    fn is_terminal(&self) -> bool {
        io::stdin().is_terminal()
    }

    fn read(&mut self, max: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        io::stdin().lock().take(max).read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

impl Ask {
    /// Fills in what is to be read from `input`.
    ///
    /// # Errors
    /// When there is nothing to read, or what is there is too long or no text.
    pub fn resolve(self, input: &mut impl Input) -> Result<Call, Unclear> {
        Ok(match self {
            Self::ReadIssue(Numbered { number }) => Call::ReadIssue { number },
            Self::ReadPr(Numbered { number }) => Call::ReadPr { number },
            Self::ReadComments(Numbered { number }) => Call::ReadComments { number },
            Self::ReadReviews(Numbered { number }) => Call::ReadReviews { number },
            Self::ReadCi(Numbered { number }) => Call::ReadCi { number },
            Self::PostComment { numbered: Numbered { number }, body } => {
                Call::PostComment { number, body: text(body, input)? }
            }
            Self::UpdateDescription { numbered: Numbered { number }, body } => {
                Call::UpdateDescription { number, body: text(body, input)? }
            }
            Self::OpenPr { title_option, title, body } => Call::OpenPr {
                title: title_option.or(title).unwrap_or_default(),
                body: text(Some(body), input)?,
            },
            Self::ReportProgress { items } => Call::ReportProgress { items },
            Self::SignalDone { status, summary } => {
                Call::SignalDone { status: status.into(), summary: text(Some(summary), input)? }
            }
            Self::Context => Call::Context,
        })
    }
}

/// The text that was given, or the one on `input`.
fn text(given: Option<String>, input: &mut impl Input) -> Result<String, Unclear> {
    match given {
        Some(text) if text != "-" => return Ok(text),
        None if input.is_terminal() => {
            let missing = "give the text as an argument, or on stdin";
            let error = Args::command().error(ErrorKind::MissingRequiredArgument, missing);
            return Err(Unclear::Usage(error));
        }
        Some(_) | None => {}
    }
    let invalid = |message: String| Unclear::Text(RpcError::new(ErrorCode::Invalid, message));
    // One byte more than allowed, to tell a text at the limit from one that goes on.
    let bytes = input
        .read(limits::COMMENT_MAX_BYTES as u64 + 1)
        .map_err(|error| invalid(format!("stdin cannot be read: {error}")))?;
    if bytes.is_empty() {
        return Err(invalid("the text on stdin is empty".to_owned()));
    }
    if bytes.len() > limits::COMMENT_MAX_BYTES {
        let max_kib = limits::COMMENT_MAX_BYTES / 1024;
        return Err(invalid(format!("the text on stdin is longer than {max_kib} KiB")));
    }
    String::from_utf8(bytes).map_err(|_| invalid("the text on stdin is not UTF-8".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bottle::args::Command;
    use clap::Parser as _;

    /// Stdin that holds a text, or is a terminal.
    struct Typed(Option<Vec<u8>>);

    impl Input for Typed {
        fn is_terminal(&self) -> bool {
            self.0.is_none()
        }
        fn read(&mut self, max: u64) -> io::Result<Vec<u8>> {
            let mut bytes = self.0.take().unwrap_or_default();
            bytes.truncate(usize::try_from(max).unwrap());
            Ok(bytes)
        }
    }

    fn parse(line: &[&str]) -> Result<Args, clap::Error> {
        Args::try_parse_from(std::iter::once(&"bottle").chain(line))
    }

    fn call(line: &[&str], stdin: &str) -> Call {
        match parse(line).unwrap().command {
            Command::Ask(ask) => ask.resolve(&mut Typed(Some(stdin.into()))).unwrap(),
            other => panic!("{other:?} is no question"),
        }
    }

    #[test]
    fn every_question_has_its_command() {
        let lines: &[&[&str]] = &[
            &["read-issue", "17"],
            &["read-pr", "#18"],
            &["read-comments", "17", "--json"],
            &["read-reviews", "18"],
            &["--json", "read-ci", "18"],
            &["post-comment", "17", "hello"],
            &["post-comment", "17"],
            &["post-comment", "17", "-"],
            &["post-comment", "17", "--", "-5 degrees"],
            &["update-description", "#17", ""],
            &["open-pr", "Oil it"],
            &["open-pr", "--title", "Oil it", "--body", "-"],
            &["open-pr", "--title", "Oil it", "--body", "Closes #17"],
            &["report-progress", "[x] found it", "[ ] oil it", "[X]clean up"],
            &["report-progress", "--", "- [x] found it"],
            &["signal-done", "success", "oiled"],
            &["signal-done", "blocked", "-"],
            &["context"],
        ];
        let calls: Vec<String> = lines
            .iter()
            .map(|line| format!("{}: {:?}", line.join(" "), call(line, "from stdin")))
            .collect();
        insta::assert_snapshot!("calls", calls.join("\n"));
    }

    #[test]
    fn nobody_is_asked_to_type_a_body_unawares() {
        let Command::Ask(ask) = parse(&["post-comment", "17"]).unwrap().command else { panic!() };
        let unclear = ask.resolve(&mut Typed(None)).unwrap_err();
        assert!(matches!(unclear, Unclear::Usage(error) if error.exit_code() == 2));
    }

    #[test]
    fn texts_that_cannot_be_sent_are_refused_at_once() {
        let refused = |bytes: Vec<u8>| match text(None, &mut Typed(Some(bytes))) {
            Err(Unclear::Text(error)) => error.data.kind == ErrorCode::Invalid,
            Ok(_) | Err(Unclear::Usage(_)) => false,
        };
        assert!(refused(vec![]));
        assert!(refused(vec![0xff]));
        assert!(refused(vec![b'x'; limits::COMMENT_MAX_BYTES + 1]));
        assert!(!refused(vec![b'x'; limits::COMMENT_MAX_BYTES]));
    }
}
