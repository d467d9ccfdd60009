//! Writes `docs/CASES.md`: which test holds which case of the catalogue.
//!
//! Ends with 1 when something is wrong with the catalogue or a comment; the page is written anyway,
//! so that it shows what is there.

use std::{
    error::Error,
    io::Write as _,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Parser;
use e2e::cases::{PAGE, Table};

/// Writes docs/CASES.md from tests/cases.toml and the comments above the tests.
#[derive(Debug, Parser)]
struct Arguments {
    /// The project's root.
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/.."))]
    root: PathBuf,
}

fn main() -> ExitCode {
    let mut stderr = std::io::stderr().lock();
    let told = match write_page(&Arguments::parse().root) {
        Ok(mistakes) if mistakes.is_empty() => return ExitCode::SUCCESS,
        Ok(mistakes) => writeln!(stderr, "{mistakes}"),
        Err(error) => {
            let mut chain = vec![error.to_string()];
            let mut cause = error.source();
            while let Some(source) = cause {
                chain.push(source.to_string());
                cause = source.source();
            }
            writeln!(stderr, "cases: {}", chain.join(": "))
        }
    };
    // Nobody is left to hear that nobody hears.
    drop(told);
    ExitCode::FAILURE
}

/// Gives the mistakes, a line each.
fn write_page(root: &Path) -> Result<String, Box<dyn Error>> {
    let table = Table::read(root)?;
    let page = root.join(PAGE);
    if let Some(folder) = page.parent() {
        std::fs::create_dir_all(folder)?;
    }
    std::fs::write(page, table.page())?;
    let mistakes: Vec<String> = table.mistakes().iter().map(ToString::to_string).collect();
    Ok(mistakes.join("\n"))
}
