//! `make bench`: takes the figures, prints a table and writes `target/bench.json`.

use std::{
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
};

use bench::{Effort, Fault, Figure, GROUPS, Group, table};
use clap::Parser as _;
use e2e::interruption::Signals;

/// Samples of each figure.
const SAMPLES: usize = 20;
/// With `--quick`.
const QUICK_SAMPLES: usize = 3;

/// Measures what users wait for and what it costs, each beside its floor.
#[derive(Debug, clap::Parser)]
struct Arguments {
    /// Only this row and those taken with it; may be given again. Writes another file.
    #[arg(long, value_name = "NAME", value_parser = names())]
    only: Vec<String>,
    /// A few samples, to see whether it works. Writes another file.
    #[arg(long)]
    quick: bool,
    /// Where the JSON goes [default: target/bench.json].
    #[arg(long, value_name = "DIR", default_value = "target")]
    into: PathBuf,
}

fn names() -> clap::builder::PossibleValuesParser {
    GROUPS.iter().flat_map(|group| group.names()).collect::<Vec<_>>().into()
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // One thread for what measures: the other processor is for what is measured.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let taken = runtime.map_err(Into::into).and_then(|runtime| runtime.block_on(run(&arguments)));
    match taken {
        Ok(code) => code,
        Err(error) => {
            tell(&format!("failed: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// Takes all that was asked for; a signal ends it, and what it started with it.
async fn run(arguments: &Arguments) -> Result<ExitCode, Fault> {
    let mut signals = Signals::new()?;
    let figures = tokio::select! {
        figures = take(arguments) => figures?,
        by = signals.next() => {
            tell(&format!("interrupted by {}", by.name));
            return Ok(ExitCode::from(by.exit_code));
        }
    };
    let whole = arguments.only.is_empty() && !arguments.quick;
    let file = arguments.into.join(if whole { "bench.json" } else { "bench-quick.json" });
    write(&file, &figures)?;
    io::stdout().lock().write_all(table(&figures).as_bytes())?;
    tell(&format!("written to {}", file.display()));
    Ok(ExitCode::SUCCESS)
}

async fn take(arguments: &Arguments) -> Result<Vec<Figure>, Fault> {
    let samples = if arguments.quick { QUICK_SAMPLES } else { SAMPLES };
    let asked = |group: &Group| {
        arguments.only.is_empty()
            || group.names().iter().any(|name| arguments.only.iter().any(|only| only == name))
    };
    let mut figures = Vec::new();
    for group in GROUPS.into_iter().filter(asked) {
        tell(&format!("{}, {samples} samples", group.names().join(", ")));
        let rows = group.take(Effort { samples, part: 1 }).await;
        let rows = rows.map_err(|error| format!("{}: {error}", group.names().join(", ")))?;
        figures.extend(rows.iter().map(bench::Row::figure));
    }
    Ok(figures)
}

fn write(file: &Path, figures: &[Figure]) -> Result<(), Fault> {
    std::fs::write(file, serde_json::to_string_pretty(figures)? + "\n")
        .map_err(|error| format!("{}: {error}", file.display()).into())
}

fn tell(line: &str) {
    // Nothing is left to do if nobody reads it.
    drop(writeln!(io::stderr().lock(), "bench: {line}"));
}
