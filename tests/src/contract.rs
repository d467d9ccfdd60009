//! What bot-bottle needs of a forge, as tests that can be pointed at any Gitea or Forgejo.
//!
//! ```text
//! Server (address, admin's token) ─► Ground (accounts, repository, work tree, webhook receiver)
//!                                      └► probes, one after another ─► Report (table, exit code)
//! ```
//!
//! The forge double is held to the same, so that what passes against it passes against a real
//! server as far as this table says so. Speaks HTTP and git by itself: neither our client nor the
//! double has a part in it.

mod ground;
mod http;
mod inbox;
mod probes;
mod tree;

use std::{collections::BTreeSet, fmt, time::Duration};

use tokio::time::timeout;

use self::probes::PROBES;
pub use self::{
    ground::{Ground, SetupError},
    http::{Broken, Server},
};

/// What one probe may take; the slowest makes several commits and waits for a webhook.
const PROBE_TIMEOUT: Duration = Duration::from_secs(60);
/// How many undescribed things of one server are shown.
const SHOWN_MAX: usize = 3;

/// How much depends on a capability.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// bot-bottle does not work without it.
    Needed,
    /// Without it something is slower, later or told in other words.
    Useful,
}

/// What a server does about a capability.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// It has it.
    Has,
    /// It has something else.
    Differs(String),
    /// It does not know it.
    Lacks(String),
    /// It could not be found out.
    Untried(String),
}

impl Finding {
    fn word(&self) -> &'static str {
        match self {
            Self::Has => "has",
            Self::Differs(_) => "differs",
            Self::Lacks(_) => "lacks",
            Self::Untried(_) => "untried",
        }
    }

    fn why(&self) -> &str {
        match self {
            Self::Has => "",
            Self::Differs(why) | Self::Lacks(why) | Self::Untried(why) => why,
        }
    }
}

/// One line of the table.
#[derive(Debug, Clone)]
pub struct Row {
    /// The capability.
    pub what: &'static str,
    /// How much depends on it.
    pub need: Need,
    /// What the server does.
    pub finding: Finding,
}

/// What was found out about a server.
#[derive(Debug, Default)]
pub struct Report {
    /// One for each capability.
    pub rows: Vec<Row>,
}

impl Report {
    /// Whether the server has all that is needed.
    pub fn is_fit(&self) -> bool {
        let needed = self.rows.iter().filter(|row| row.need == Need::Needed);
        !self.rows.is_empty() && needed.clone().all(|row| row.finding == Finding::Has)
    }

    fn count(&self, word: &str) -> usize {
        self.rows.iter().filter(|row| row.finding.word() == word).count()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Row { what, need, finding } in &self.rows {
            let need = if *need == Need::Needed { "needed" } else { "useful" };
            writeln!(f, "{:<8} {need}  {what}", finding.word())?;
            if !finding.why().is_empty() {
                writeln!(f, "                 {}", finding.why())?;
            }
        }
        let [has, differs, lacks, untried] =
            ["has", "differs", "lacks", "untried"].map(|word| self.count(word));
        let verdict = if self.is_fit() { "fit for bot-bottle" } else { "NOT fit for bot-bottle" };
        write!(f, "{has} has, {differs} differs, {lacks} lacks, {untried} untried: {verdict}")
    }
}

/// Tries everything; each probe's line is given to `tell` as it is found.
pub async fn try_all(ground: &Ground, mut tell: impl FnMut(&Row)) -> Report {
    let mut report = Report::default();
    for probe in PROBES {
        let tried = timeout(PROBE_TIMEOUT, (probe.run)(ground)).await;
        let finding = match tried {
            Ok(Ok(())) => Finding::Has,
            Ok(Err(finding)) => finding,
            Err(_) => Finding::Differs(format!("no end within {} s", PROBE_TIMEOUT.as_secs())),
        };
        let row = Row { what: probe.what, need: probe.need, finding };
        tell(&row);
        report.rows.push(row);
    }
    let row = Row {
        what: "answers fit the published description of Gitea's API",
        need: Need::Useful,
        finding: described(&ground.undescribed()),
    };
    tell(&row);
    report.rows.push(row);
    report
}

fn described(wrong: &BTreeSet<String>) -> Finding {
    if wrong.is_empty() {
        return Finding::Has;
    }
    let shown: Vec<&str> = wrong.iter().take(SHOWN_MAX).map(String::as_str).collect();
    Finding::Differs(format!("{} times, such as {}", wrong.len(), shown.join("; ")))
}
