//! The catalogue of attacks and faults, and which test holds which of its cases.
//!
//! ```text
//! cases.toml (title or reason of each) ─┐
//! comments `CASES 12, 14-16` above tests ─┴─► Table ─► docs/CASES.md, mistakes
//! ```

pub mod book;
pub mod claims;
mod page;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
};

use self::{
    book::{Book, BookError, Reason, Section},
    claims::{Claim, Mistake},
};

/// The table's place below the project's root.
pub const PAGE: &str = "docs/CASES.md";
/// The catalogue's place below the project's root.
pub const BOOK: &str = "tests/cases.toml";
/// Folders at the root that hold no source of ours.
const NOT_SCANNED: [&str; 2] = ["target", "docs"];

/// The table could not be made.
#[derive(Debug, thiserror::Error)]
pub enum CasesError {
    /// A file or folder could not be read.
    #[error("read {path}")]
    Read {
        /// Which one.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The catalogue is not what it must be.
    #[error("understand {BOOK}")]
    Book(#[source] BookError),
}

/// All cases with what is known of each.
#[derive(Debug)]
pub struct Table {
    book: Book,
    /// The tests of each case, by file and name.
    tests: BTreeMap<u16, BTreeSet<(String, String)>>,
    mistakes: Vec<Mistake>,
}

impl Table {
    /// Reads the catalogue and all source files below `root`.
    ///
    /// # Errors
    /// When a file cannot be read, or the catalogue contradicts itself.
    pub fn read(root: &Path) -> Result<Self, CasesError> {
        let path = root.join(BOOK);
        let text = fs::read_to_string(&path).map_err(|source| CasesError::Read { path, source })?;
        let mut claims = Vec::new();
        let mut mistakes = Vec::new();
        for file in sources(root)? {
            let shown = file.strip_prefix(root).unwrap_or(&file).display().to_string();
            let text = fs::read_to_string(&file)
                .map_err(|source| CasesError::Read { path: file, source })?;
            let found = claims::scan(&shown, &text);
            claims.extend(found.claims);
            mistakes.extend(found.mistakes);
        }
        Ok(Self::new(Book::parse(&text).map_err(CasesError::Book)?, claims, mistakes))
    }

    /// Puts catalogue and claims together.
    pub fn new(book: Book, claims: Vec<Claim>, mut mistakes: Vec<Mistake>) -> Self {
        let mut tests: BTreeMap<u16, BTreeSet<_>> = BTreeMap::new();
        for claim in claims {
            if book.title(claim.case).is_some() {
                tests.entry(claim.case).or_default().insert((claim.file, claim.test));
            } else {
                let text = format!("there is no case {}", claim.case);
                mistakes.push(Mistake { file: claim.file, line: claim.line, text });
            }
        }
        let mut table = Self { book, tests, mistakes };
        table.mistakes.extend(table.gaps());
        table
    }

    /// What is wrong, each with its place; empty when all is well.
    pub fn mistakes(&self) -> &[Mistake] {
        &self.mistakes
    }

    /// The whole of `docs/CASES.md`.
    pub fn page(&self) -> String {
        page::render(&self.book, &self.tests)
    }

    /// Cases that have neither test nor reason, or both.
    fn gaps(&self) -> Vec<Mistake> {
        let checked = self.book.sections().iter().filter(|section| section.complete);
        let judged = checked.flat_map(Section::cases).filter_map(|case| {
            let text = match (self.tests.contains_key(&case), self.book.reason(case)) {
                (false, None) => format!("case {case} has neither a test nor a reason"),
                (false, Some(Reason::Partly(_))) => {
                    format!("case {case} has no test, and is called partly tested")
                }
                (true, Some(Reason::Later(_) | Reason::LeftOut(_))) => {
                    format!("case {case} has a test, and a reason for having none")
                }
                _ => return None,
            };
            Some(Mistake { file: BOOK.to_owned(), line: self.book.line(case), text })
        });
        judged.collect()
    }
}

/// All Rust files of the project, in a fixed order.
fn sources(root: &Path) -> Result<Vec<PathBuf>, CasesError> {
    let mut folders = vec![root.to_owned()];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        let failed = |source| CasesError::Read { path: folder.clone(), source };
        for entry in fs::read_dir(&folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let is_built = folder == root && NOT_SCANNED.contains(&name.as_str());
            let is_ours = !is_built && !name.starts_with('.');
            let kind = entry.file_type().map_err(failed)?;
            if kind.is_dir() && is_ours {
                folders.push(entry.path());
            } else if kind.is_file() && is_ours && name.ends_with(".rs") {
                files.push(entry.path());
            }
        }
    }
    files.sort();
    Ok(files)
}
