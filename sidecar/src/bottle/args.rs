//! The command line as it is typed. What is meant by it is found by [`Ask::resolve`].

pub mod resolve;

use std::{net::SocketAddr, path::PathBuf};

use clap::{Parser, Subcommand, ValueEnum};
use protocol::{
    agent::{DoneStatus, ProgressItem},
    ids::IssueNumber,
};

use crate::bottle::client::exit_codes;

/// What an agent can do to the world: one command per question to its sidecar.
#[derive(Debug, Parser)]
#[command(name = "bottle", version, after_help = exit_codes(), disable_help_subcommand = true)]
pub struct Args {
    /// The sidecar's socket [default: $BOT_BOTTLE_SOCKET or /run/bot-bottle/agent/agent.sock]
    #[arg(long, global = true, value_name = "PATH")]
    pub socket: Option<PathBuf>,
    /// Print the result as one line of JSON on stdout, an error as one on stderr
    #[arg(long, global = true)]
    pub json: bool,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Everything that `bottle` does.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Questions to the sidecar.
    #[command(flatten)]
    Ask(Ask),
    /// Run the bottle: the container's first process
    Init(InitArgs),
    /// Print the version
    Version,
}

/// How the bottle is run.
#[derive(Debug, clap::Args)]
pub struct InitArgs {
    /// Where tools that want TCP reach the sidecar
    #[arg(long, default_value = "127.0.0.1:3128", value_name = "ADDRESS")]
    pub listen: SocketAddr,
}

/// A question as it is typed.
#[derive(Debug, Subcommand)]
pub enum Ask {
    /// Show an issue
    ReadIssue(Numbered),
    /// Show a pull request and its merge state
    ReadPr(Numbered),
    /// Show the comments of an issue or pull request, oldest first
    ReadComments(Numbered),
    /// Show the reviews of a pull request with their remarks on lines
    ReadReviews(Numbered),
    /// Show what continuous integration says of a pull request
    ReadCi(Numbered),
    /// Comment on the assigned issue or an own pull request
    PostComment {
        #[command(flatten)]
        numbered: Numbered,
        /// Markdown; `-`, or nothing, to read it from stdin
        body: Option<String>,
    },
    /// Replace the description of the assigned issue or an own pull request
    UpdateDescription {
        #[command(flatten)]
        numbered: Numbered,
        /// Markdown; `-`, or nothing, to read it from stdin
        body: Option<String>,
    },
    /// Open a pull request from this bottle's branch; a second call shows the first one
    OpenPr {
        /// Its title, in one line
        #[arg(long = "title", value_name = "TITLE", required_unless_present = "title")]
        title_option: Option<String>,
        /// The same without the option's name
        #[arg(value_name = "TITLE", conflicts_with = "title_option")]
        title: Option<String>,
        /// Markdown; `-` to read it from stdin
        #[arg(long, default_value = "", hide_default_value = true)]
        body: String,
    },
    /// Show how far the work is, e.g. `[x] find it` `[ ] fix it`
    ReportProgress {
        /// `[x]` before what is done, `[ ]` before what is to do
        #[arg(required = true, value_parser = progress_item)]
        items: Vec<ProgressItem>,
    },
    /// Say that the work of this run has ended; the first word of a run counts
    SignalDone {
        /// As asked; not possible; or waiting for somebody
        status: Status,
        /// What was done, or why not; `-` to read it from stdin
        summary: String,
    },
    /// Show what this bottle is and may do
    Context,
}

/// A command about one issue or pull request.
#[derive(Debug, clap::Args)]
pub struct Numbered {
    /// The number, as 17 or #17
    number: IssueNumber,
}

/// [`DoneStatus`] on a command line.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Status {
    /// The work was done as asked
    Success,
    /// It could not be done
    Failed,
    /// Somebody must decide or give something first
    Blocked,
}

impl From<Status> for DoneStatus {
    fn from(status: Status) -> Self {
        match status {
            Status::Success => Self::Success,
            Status::Failed => Self::Failed,
            Status::Blocked => Self::Blocked,
        }
    }
}

fn progress_item(text: &str) -> Result<ProgressItem, &'static str> {
    let text = text.strip_prefix("- ").unwrap_or(text);
    let (done, text) = match (text.get(..3), text.get(3..)) {
        (Some("[x]" | "[X]"), Some(text)) => (true, text),
        (Some("[ ]"), Some(text)) => (false, text),
        _ => return Err("begin it with '[x]' if it is done, with '[ ]' if not"),
    };
    match text.trim() {
        "" => Err("say what it is after the box"),
        text => Ok(ProgressItem { text: text.to_owned(), done }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_put_together_well() {
        Args::command().debug_assert();
    }

    #[test]
    fn help_is_as_recorded() {
        let help = Args::command().term_width(100).render_help();
        insta::assert_snapshot!("help", help);
    }

    #[test]
    fn unclear_command_lines_are_usage_errors() {
        let lines: &[&[&str]] = &[
            &[],
            &["read-issue"],
            &["read-issue", "0"],
            &["read-issue", "17x"],
            &["read-issue", "17", "18"],
            &["open-pr"],
            &["open-pr", "A", "--title", "B"],
            &["report-progress"],
            &["report-progress", "no box"],
            &["report-progress", "[x]  "],
            &["signal-done", "great", "x"],
            &["signal-done", "success"],
            &["destroy"],
        ];
        for line in lines {
            assert_eq!(
                Args::try_parse_from(std::iter::once(&"bottle").chain(*line))
                    .unwrap_err()
                    .exit_code(),
                2,
                "{line:?}"
            );
        }
    }
}
