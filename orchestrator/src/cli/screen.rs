//! Where output goes: a terminal with its width and colours, or a file or pipe with neither.

use std::io::{self, IsTerminal as _, Write as _};

use serde::Serialize;

use super::failure::Failure;
use crate::config::Environment;

/// Standard output, as far as it matters how things are printed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Screen {
    /// Print JSON.
    pub json: bool,
    /// Somebody looks at it.
    pub terminal: bool,
    /// Columns, where there is a bound.
    pub columns: Option<usize>,
    /// Rows, where there is a bound.
    pub rows: Option<usize>,
    colour: bool,
}

/// What a word is coloured for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mood {
    /// The head of a table.
    Head,
    /// As it should be.
    Good,
    /// To be looked at.
    Doubtful,
    /// Not as it should be.
    Bad,
    /// Asleep or over.
    Quiet,
    /// Nothing special.
    Plain,
}

impl Screen {
    /// Standard output as it is now. <https://no-color.org>
    pub(super) fn of_stdout(json: bool, env: Environment<'_>) -> Self {
        let terminal = io::stdout().is_terminal();
        let size = terminal_size::terminal_size_of(io::stdout()).filter(|_| terminal);
        Self {
            json,
            terminal,
            columns: size.map(|(width, _)| usize::from(width.0)),
            rows: size.map(|(_, height)| usize::from(height.0)),
            colour: terminal && takes_colour(env),
        }
    }

    #[cfg(test)]
    pub(super) fn for_test(columns: Option<usize>, colour: bool) -> Self {
        Self { json: false, terminal: columns.is_some(), columns, rows: None, colour }
    }

    /// A word in the colour of its mood.
    pub(super) fn paint(self, mood: Mood, text: &str) -> String {
        let code = match mood {
            Mood::Head => "1",
            Mood::Good => "32",
            Mood::Doubtful => "33",
            Mood::Bad => "31",
            Mood::Quiet => "2",
            Mood::Plain => return text.to_owned(),
        };
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// Prints an answer, as JSON or as text.
    pub(super) fn print<T: Serialize>(
        self,
        value: &T,
        text: impl FnOnce() -> String,
    ) -> Result<(), Failure> {
        if !self.json {
            return write(&text());
        }
        let pretty = serde_json::to_string_pretty(value);
        write(&format!("{}\n", pretty.map_err(|error| Failure::Io(error.into()))?))
    }

    /// Prints one of many answers: JSON on a line of its own, or text.
    pub(super) fn print_next<T: Serialize>(
        self,
        value: &T,
        text: impl FnOnce() -> String,
    ) -> Result<(), Failure> {
        if !self.json {
            return write(&text());
        }
        let line = serde_json::to_string(value);
        write(&format!("{}\n", line.map_err(|error| Failure::Io(error.into()))?))
    }
}

/// Whether the terminal takes colours, and its user wants them.
fn takes_colour(env: Environment<'_>) -> bool {
    env("NO_COLOR").is_none_or(|value| value.is_empty())
        && env("TERM").is_some_and(|term| term != "dumb")
}

/// Writes to standard output at once: somebody may be reading along.
pub(super) fn write(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).map_err(Failure::Io)
}

/// Writes to standard error. Nobody reads our complaints: the exit code still tells.
pub(super) fn complain(text: &str) {
    drop(io::stderr().lock().write_all(text.as_bytes()));
}

#[cfg(test)]
mod tests {
    use super::*;

    // CASES 228
    #[test]
    fn colours_are_for_terminals_whose_user_wants_them() {
        let takes = |variables: &[(&str, &str)]| {
            takes_colour(&|name| {
                variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
            })
        };
        assert!(takes(&[("TERM", "xterm")]));
        assert!(takes(&[("TERM", "xterm"), ("NO_COLOR", "")]));
        for without in [&[][..], &[("TERM", "dumb")], &[("TERM", "xterm"), ("NO_COLOR", "1")]] {
            assert!(!takes(without), "{without:?}");
        }
    }
}
