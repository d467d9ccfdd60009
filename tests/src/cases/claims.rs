//! Which test says of itself that it holds which case.
//!
//! A comment that names cases counts for the test function it stands above or in. Elsewhere it is a
//! reference for readers, unless it begins with `CASES`: then somebody meant a test.

use std::{collections::BTreeSet, fmt};

/// What comes before the numbers.
const WORD: &str = "CASES ";

/// A test and a case it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The case.
    pub case: u16,
    /// The file, below the project's root.
    pub file: String,
    /// The line of the comment, counted from 1.
    pub line: usize,
    /// The test function.
    pub test: String,
}

/// Something to put right, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// The file, below the project's root.
    pub file: String,
    /// The line, counted from 1.
    pub line: usize,
    /// What is wrong.
    pub text: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.text)
    }
}

/// A list of cases that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NumbersError {
    /// No number where one must be.
    #[error("no number of a case")]
    None,
    /// The list goes on in the next line, or ends by mistake.
    #[error("the list of cases ends with a comma")]
    Open,
    /// A number after something that is no comma.
    #[error("numbers of cases stand as 12, 14-16")]
    Joined,
    /// A range that goes down, or a number out of all measure.
    #[error("{0} is no range of cases")]
    Range(String),
}

/// What one file says.
#[derive(Debug, Default)]
pub struct Found {
    /// Tests and their cases.
    pub claims: Vec<Claim>,
    /// Comments that are meant for a test and are not understood.
    pub mistakes: Vec<Mistake>,
}

/// Reads one source file, which rustfmt has laid out.
pub fn scan(file: &str, text: &str) -> Found {
    let mut scanner = Scanner { file, ..Scanner::default() };
    for (at, line) in text.lines().enumerate() {
        scanner.line(at + 1, line);
    }
    scanner.dismiss();
    scanner.found
}

/// The numbers at the start of a text such as `12, 14-16: why`; none when it starts otherwise, or
/// names a section such as `4.8`.
///
/// # Errors
/// When it starts with a list that breaks off.
pub fn numbers(text: &str) -> Result<Vec<u16>, NumbersError> {
    let mut cases = BTreeSet::new();
    let mut rest = text;
    while let Some((first, after)) = number(rest) {
        if number(after.strip_prefix('.').unwrap_or_default()).is_some() {
            break;
        }
        let (last, after) = after.strip_prefix('-').and_then(number).unwrap_or((first, after));
        let range = || NumbersError::Range(format!("{first}-{last}"));
        let (first, last): (u16, u16) =
            (first.parse().map_err(|_| range())?, last.parse().map_err(|_| range())?);
        if first > last {
            return Err(range());
        }
        cases.extend(first..=last);
        let Some(next) = after.strip_prefix(',') else {
            let joint = after.trim_start_matches(|c: char| " –—&+/;".contains(c));
            let joint = joint.strip_prefix("and ").unwrap_or(joint);
            return match number(joint) {
                Some(_) => Err(NumbersError::Joined),
                None => Ok(cases.into_iter().collect()),
            };
        };
        rest = next.trim_start();
        if rest.is_empty() {
            return Err(NumbersError::Open);
        }
    }
    Ok(cases.into_iter().collect())
}

/// The digits a text begins with, and what follows them.
fn number(text: &str) -> Option<(&str, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text.split_at_checked(end).filter(|(digits, _)| !digits.is_empty())
}

/// A comment that waits for its function.
#[derive(Debug)]
struct Mention {
    line: usize,
    cases: Vec<u16>,
    /// It begins with `CASES`, so it must be about a test.
    is_claim: bool,
}

#[derive(Debug, Default)]
struct Scanner<'a> {
    file: &'a str,
    found: Found,
    waiting: Vec<Mention>,
    /// An attribute of a test has been seen, its function not yet.
    is_test: bool,
    /// Brackets still open of an attribute that goes over several lines.
    open: usize,
    /// The test function we are in, and how its last line reads.
    within: Option<(&'a str, String)>,
}

impl<'a> Scanner<'a> {
    fn line(&mut self, at: usize, line: &'a str) {
        let code = line.trim_start();
        if self.open > 0 || code.starts_with("#[") {
            self.attribute(code);
        } else if let Some(comment) = code.strip_prefix("//") {
            self.comment(at, comment);
        } else if let Some(name) = function(code) {
            let indent = line.len() - code.len();
            self.function(name, format!("{}}}", " ".repeat(indent)), line.ends_with('}'));
        } else if !code.is_empty() {
            self.dismiss();
            self.within.take_if(|(_, last)| line == last);
        }
    }

    fn attribute(&mut self, code: &str) {
        self.is_test |= code.starts_with("#[test]")
            || (code.starts_with("#[") && (code.contains("::test]") || code.contains("::test(")));
        let opened = code.matches('[').count() + self.open;
        self.open = opened.saturating_sub(code.matches(']').count());
    }

    fn comment(&mut self, at: usize, comment: &str) {
        let Some((before, list)) = comment.split_once(WORD) else { return };
        // Doc comments have a slash more before it: they may explain any code.
        let is_claim = before.trim().is_empty();
        match numbers(list) {
            Ok(cases) if cases.is_empty() => {}
            Ok(cases) => {
                let mention = Mention { line: at, cases, is_claim };
                match self.within.as_ref().map(|(name, _)| *name) {
                    Some(test) => self.claim(test, &mention),
                    None => self.waiting.push(mention),
                }
            }
            Err(error) => self.mistake(at, error.to_string()),
        }
    }

    fn function(&mut self, name: &'a str, last: String, is_one_line: bool) {
        if std::mem::take(&mut self.is_test) {
            for mention in std::mem::take(&mut self.waiting) {
                self.claim(name, &mention);
            }
            self.within = (!is_one_line).then_some((name, last));
        } else {
            self.dismiss();
        }
    }

    fn claim(&mut self, test: &str, mention: &Mention) {
        let claim = |case: &u16| Claim {
            case: *case,
            file: self.file.to_owned(),
            line: mention.line,
            test: test.to_owned(),
        };
        self.found.claims.extend(mention.cases.iter().map(claim));
    }

    /// What waits has met code that is no test.
    fn dismiss(&mut self) {
        self.is_test = false;
        for mention in std::mem::take(&mut self.waiting) {
            if mention.is_claim {
                self.mistake(mention.line, "no test function follows".to_owned());
            }
        }
    }

    fn mistake(&mut self, line: usize, text: String) {
        self.found.mistakes.push(Mistake { file: self.file.to_owned(), line, text });
    }
}

/// The name of the function that a line begins.
fn function(code: &str) -> Option<&str> {
    let mut rest = code;
    while let Some(after) = ["pub ", "pub(crate) ", "pub(super) ", "async ", "const ", "unsafe "]
        .iter()
        .find_map(|word| rest.strip_prefix(word))
    {
        rest = after;
    }
    let rest = rest.strip_prefix("fn ")?;
    let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_')?;
    rest.get(..end)
}
