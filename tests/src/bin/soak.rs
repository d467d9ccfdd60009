//! `make soak`: a day in the life of an installation. However it ends, by a signal too, what it
//! started ends with it.

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use clap::Parser as _;
use e2e::soak::{Ended, Plan, play};

/// Issues, faults and kills for some minutes; then everything must be at its right end.
#[derive(Debug, clap::Parser)]
struct Arguments {
    /// How long issues are opened and trouble is made.
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u64).range(1..=1440))]
    minutes: u64,
    /// What chance begins with; a run prints its own.
    #[arg(long)]
    seed: Option<u64>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let seed = arguments.seed.unwrap_or_else(rand::random);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    // Nothing is left to do if nobody reads it.
    let say = |line: &str| drop(writeln!(io::stdout().lock(), "soak: {line}"));
    say(&format!("{} minutes, --seed {seed}", arguments.minutes));
    let plan = Plan::minutes(arguments.minutes, seed);
    let played = runtime
        .map_err(Into::into)
        .and_then(|runtime| runtime.block_on(play(plan, &mut |line| say(line))));
    match played {
        Ok(Ended::Played(summary)) => {
            for line in summary.to_string().lines() {
                say(line);
            }
            if summary.wrong.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Ok(Ended::Interrupted(by)) => {
            say(&format!("interrupted by {}; everything that was started is gone", by.name));
            ExitCode::from(by.exit_code)
        }
        Err(error) => {
            drop(writeln!(io::stderr().lock(), "soak: failed: {error}"));
            ExitCode::FAILURE
        }
    }
}
