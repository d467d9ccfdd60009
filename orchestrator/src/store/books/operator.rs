//! What operators ask of records: pages of bottles, and forgetting old ones.

use std::num::NonZeroU32;

use jiff::Timestamp;
use orchestrator_core::bottle::{Bottle, State};
use protocol::ids::{AgentName, IssueNumber, Login, ProfileName, RepoName, Slug};
use rusqlite::params;
use serde::{Deserialize, Deserializer, de::IgnoredAny};

use super::{Books, decode, work::slugs};
use crate::store::StoreError;

/// Gone for good before `?1`, with nothing left outside.
const GONE: &str = "b.live = 0 AND b.deadline_ms IS NULL
    AND json_extract(b.record, '$.state.at') < ?1
    AND NOT EXISTS (SELECT 1 FROM effects WHERE effects.slug = b.slug)";

/// What decides nothing any more: no other issue's, nor the last word on one that still asks. The
/// newest record stays, because numbers are counted on from it.
const SPENT: &str = "b.serial < (SELECT max(serial) FROM bottles) AND (
    b.issue IS NULL
    OR json_extract(b.record, '$.state.released') = 1
    OR EXISTS (SELECT 1 FROM bottles n WHERE n.forge = b.forge AND n.repo = b.repo
        AND n.issue = b.issue AND n.serial > b.serial))";

/// A page of what lists show. Both halves come from their index in this order and are merged: an `OR`
/// would have every page read and sort all that is left, records and all.
const PAGE: &str = "SELECT record, serial FROM bottles WHERE live = 1 AND serial < ?1
    UNION ALL
    SELECT record, serial FROM bottles WHERE live = 0 AND serial < ?1 AND serial >=
        (SELECT min(serial) FROM
            (SELECT serial FROM bottles WHERE live = 0 ORDER BY serial DESC LIMIT ?2))
    ORDER BY serial DESC LIMIT ?3";

/// What of a bottle's record lists show. The rest, its prompts above all, is skipped unread: a list
/// of thousands is made in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Listed {
    /// Its name.
    pub slug: Slug,
    /// Its number.
    pub serial: u32,
    /// What it works on.
    pub home: ListedHome,
    /// Who works in it.
    pub agent: AgentName,
    /// With which account.
    pub login: Login,
    /// What it is made of.
    pub profiles: Vec<ProfileName>,
    /// The engine.
    pub backend: String,
    /// A word of the operator's.
    pub label: Option<String>,
    /// Pull requests that it opened.
    pub pull_requests: Vec<IssueNumber>,
    /// Runs given so far.
    pub runs: u32,
    /// When the sidecar was last heard of.
    pub last_checkin: Option<Timestamp>,
    /// When a program was first killed for lack of memory.
    pub starved_at: Option<Timestamp>,
    /// Made at.
    pub created_at: Timestamp,
    /// Where it stands.
    pub state: State,
    /// How much waits to be told.
    #[serde(default, deserialize_with = "count")]
    pub waiting: usize,
}

/// Prompts may be long: they are counted, not read.
fn count<'de, D: Deserializer<'de>>(prompts: D) -> Result<usize, D::Error> {
    Vec::<IgnoredAny>::deserialize(prompts).map(|prompts| prompts.len())
}

/// What a listed bottle works on.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ListedHome {
    /// The repository.
    pub repo: RepoName,
    /// The issue.
    pub issue: Option<IssueNumber>,
}

impl From<&Bottle> for Listed {
    fn from(bottle: &Bottle) -> Self {
        let bottle = bottle.clone();
        Self {
            slug: bottle.slug,
            serial: bottle.serial,
            home: ListedHome { repo: bottle.home.repo, issue: bottle.home.issue },
            agent: bottle.agent,
            login: bottle.login,
            profiles: bottle.profiles,
            backend: bottle.backend,
            label: bottle.label,
            pull_requests: bottle.pull_requests,
            runs: bottle.runs,
            last_checkin: bottle.last_checkin,
            starved_at: bottle.starved_at,
            created_at: bottle.created_at,
            state: bottle.state,
            waiting: bottle.waiting.len(),
        }
    }
}

impl Listed {
    /// Whether it waits for a slot; see [`Bottle::wants_slot_since`].
    pub fn wants_slot(&self) -> bool {
        match &self.state {
            State::Queued { .. } => true,
            State::Frozen { held, .. } => !held && self.waiting > 0,
            State::Failed { retry, .. } => *retry,
            State::Starting(_)
            | State::Running { .. }
            | State::Freezing { .. }
            | State::Rehydrating(_)
            | State::Destroyed { .. } => false,
        }
    }
}

impl Books<'_> {
    /// Live bottles and the last `recent` destroyed ones, newest first, at most `limit` of those
    /// with a serial below `before`.
    pub fn page(
        &self,
        before: Option<u32>,
        recent: u32,
        limit: NonZeroU32,
    ) -> Result<Vec<Listed>, StoreError> {
        let values = params![before.unwrap_or(u32::MAX), recent, limit.get()];
        let mut statement = self.connection.prepare_cached(PAGE)?;
        let mut rows = statement.query(values)?;
        let mut listed = Vec::new();
        while let Some(row) = rows.next()? {
            listed.push(decode(row.get_ref(0)?.as_str().unwrap_or_default(), "bottles")?);
        }
        Ok(listed)
    }

    /// Bottles destroyed before `before` whose records decide nothing any more.
    pub fn spent(&self, before: Timestamp) -> Result<Vec<Slug>, StoreError> {
        let sql =
            format!("SELECT b.slug FROM bottles b WHERE {GONE} AND {SPENT} ORDER BY b.serial");
        Ok(slugs(self.texts(&sql, [before.to_string()])?))
    }

    /// Bottles destroyed before `before` whose records must stay, but not their logs.
    pub fn outlived_logs(&self, before: Timestamp) -> Result<Vec<Slug>, StoreError> {
        let sql = format!(
            "SELECT b.slug FROM bottles b WHERE {GONE} AND NOT ({SPENT})
                AND EXISTS (SELECT 1 FROM log WHERE log.slug = b.slug) ORDER BY b.serial"
        );
        Ok(slugs(self.texts(&sql, [before.to_string()])?))
    }

    /// Forgets a bottle's log.
    pub fn forget_log(&self, slug: &Slug) -> Result<(), StoreError> {
        self.connection
            .prepare_cached("DELETE FROM log WHERE slug = ?1")?
            .execute([slug.as_str()])?;
        Ok(())
    }

    /// Forgets a bottle altogether.
    pub fn forget_bottle(&self, slug: &Slug) -> Result<(), StoreError> {
        self.forget_log(slug)?;
        for sql in ["DELETE FROM pulls WHERE slug = ?1", "DELETE FROM bottles WHERE slug = ?1"] {
            self.connection.prepare_cached(sql)?.execute([slug.as_str()])?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_read_in_its_order_and_never_sorted() {
        let dir = tempfile::tempdir().unwrap();
        let connection = crate::store::open(&dir.path().join("a.db")).unwrap();
        let mut plan = connection.prepare(&format!("EXPLAIN QUERY PLAN {PAGE}")).unwrap();
        let steps = plan.query_map([1, 1, 1], |row| row.get::<_, String>(3)).unwrap();
        let steps: Vec<String> = steps.collect::<Result<_, _>>().unwrap();
        assert!(steps.iter().any(|step| step.contains("bottles_live")), "{steps:?}");
        assert!(!steps.iter().any(|step| step.contains("TEMP B-TREE")), "{steps:?}");
    }
}
