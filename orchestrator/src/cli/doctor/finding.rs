//! One thing that was looked at.

use serde::Serialize;

/// What was found, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    /// What was looked at, by a name that stays as it is.
    pub part: &'static str,
    pub grade: Grade,
    /// What was found; may hold words of others.
    pub what: String,
    pub fix: Option<String>,
}

/// How it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Grade {
    /// As it should be.
    Ok,
    /// It works, but somebody should know.
    Warn,
    /// It does not work.
    Fail,
    /// It could not be looked at.
    Skip,
}

impl Finding {
    fn new(part: &'static str, grade: Grade, what: impl ToString, fix: &str) -> Self {
        let fix = Some(fix.to_owned()).filter(|fix| !fix.is_empty());
        Self { part, grade, what: what.to_string(), fix }
    }

    pub(super) fn ok(part: &'static str, what: impl ToString) -> Self {
        Self::new(part, Grade::Ok, what, "")
    }

    pub(super) fn warn(part: &'static str, what: impl ToString, fix: &str) -> Self {
        Self::new(part, Grade::Warn, what, fix)
    }

    pub(super) fn fail(part: &'static str, what: impl ToString, fix: &str) -> Self {
        Self::new(part, Grade::Fail, what, fix)
    }

    pub(super) fn skip(part: &'static str, what: impl ToString) -> Self {
        Self::new(part, Grade::Skip, what, "")
    }
}
