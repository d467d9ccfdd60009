//! The catalogue: each case's title, and why it has no test where it has none.

use std::{collections::BTreeMap, ops::RangeInclusive};

use serde::Deserialize;

use super::claims::{NumbersError, numbers};

/// The catalogue is not what it must be.
#[derive(Debug, thiserror::Error)]
pub enum BookError {
    /// It is not the TOML that is expected.
    #[error("parse the catalogue")]
    Syntax(#[source] toml::de::Error),
    /// A key is no list of cases.
    #[error("key {key:?}")]
    Key {
        /// The key.
        key: String,
        /// What is wrong with it.
        source: NumbersError,
    },
    /// A case of a section has no title, or a title is in no section.
    #[error("case {0} must stand in one section and have one title")]
    Title(u16),
    /// A case has two reasons, or a reason stands for a case that is not there.
    #[error("case {0} is not there, or has two reasons")]
    Reason(u16),
}

/// A part of the catalogue.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Section {
    /// Its heading.
    pub name: String,
    first: u16,
    last: u16,
    /// Whether each of its cases needs a test or a reason, and not both.
    pub complete: bool,
}

impl Section {
    /// The numbers of its cases.
    pub fn cases(&self) -> RangeInclusive<u16> {
        self.first..=self.last
    }
}

/// Why a case has no test, or not all it needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// What it is about is not built yet: the part that brings it.
    Later(String),
    /// It will have none, and why.
    LeftOut(String),
    /// What its tests do not hold yet.
    Partly(String),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    section: Vec<Section>,
    title: BTreeMap<String, String>,
    later: BTreeMap<String, String>,
    left_out: BTreeMap<String, String>,
    partly: BTreeMap<String, String>,
}

/// The catalogue, checked.
#[derive(Debug)]
pub struct Book {
    sections: Vec<Section>,
    titles: BTreeMap<u16, String>,
    reasons: BTreeMap<u16, Reason>,
    lines: BTreeMap<u16, usize>,
}

impl Book {
    /// Reads a catalogue.
    ///
    /// # Errors
    /// `BookError`, when it is no such TOML or contradicts itself.
    pub fn parse(text: &str) -> Result<Self, BookError> {
        let file: File = toml::from_str(text).map_err(BookError::Syntax)?;
        let mut titles = BTreeMap::new();
        for (key, title) in &file.title {
            for case in cases_of(key)? {
                if titles.insert(case, title.clone()).is_some() {
                    return Err(BookError::Title(case));
                }
            }
        }
        let listed: Vec<u16> = file.section.iter().flat_map(Section::cases).collect();
        let alone = |case: &&u16| listed.iter().filter(|other| other == case).count() != 1;
        let untitled = listed.iter().find(|case| !titles.contains_key(case));
        if let Some(case) = untitled.or_else(|| titles.keys().find(alone)) {
            return Err(BookError::Title(*case));
        }
        let later = file.later.iter().map(|(key, what)| (key, Reason::Later(what.clone())));
        let left_out = file.left_out.iter().map(|(key, why)| (key, Reason::LeftOut(why.clone())));
        let mut reasons = BTreeMap::new();
        let partly = file.partly.iter().map(|(key, what)| (key, Reason::Partly(what.clone())));
        for (key, reason) in later.chain(left_out).chain(partly) {
            for case in cases_of(key)? {
                let before = reasons.insert(case, reason.clone());
                if before.is_some() || !titles.contains_key(&case) {
                    return Err(BookError::Reason(case));
                }
            }
        }
        let line =
            |(at, line): (usize, &str)| Some((line.split_once(" =")?.0.parse().ok()?, at + 1));
        let mut lines = BTreeMap::new();
        // The title stands before the reason.
        for (case, at) in text.lines().enumerate().filter_map(line) {
            lines.entry(case).or_insert(at);
        }
        Ok(Self { sections: file.section, titles, reasons, lines })
    }

    /// The parts, in order.
    pub fn sections(&self) -> &[Section] {
        &self.sections
    }

    /// The title of a case; `None` when there is no such case.
    pub fn title(&self, case: u16) -> Option<&str> {
        self.titles.get(&case).map(String::as_str)
    }

    /// Why it has no test.
    pub fn reason(&self, case: u16) -> Option<&Reason> {
        self.reasons.get(&case)
    }

    /// The line its title stands on.
    pub fn line(&self, case: u16) -> usize {
        self.lines.get(&case).copied().unwrap_or_default()
    }
}

fn cases_of(key: &str) -> Result<Vec<u16>, BookError> {
    let failed = |source| BookError::Key { key: key.to_owned(), source };
    let cases = numbers(key).map_err(failed)?;
    if cases.is_empty() { Err(failed(NumbersError::None)) } else { Ok(cases) }
}
