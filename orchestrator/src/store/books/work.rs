//! What is to be done: effects, and everything else that is due.

use jiff::Timestamp;
use orchestrator_core::event::Effect;
use protocol::ids::Slug;
use rusqlite::{OptionalExtension as _, Row, params};

use super::{Books, decode, encode};
use crate::store::StoreError;

/// What is to be done now, and when there will be more.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Work {
    /// Lanes of hints, `owner/name#number`.
    pub hints: Vec<String>,
    /// Bottles with an effect to be done.
    pub effects: Vec<Slug>,
    /// Bottles whose deadline is over.
    pub due: Vec<Slug>,
    /// When the next hint or deadline is due.
    pub next: Option<Timestamp>,
}

impl Books<'_> {
    /// Replaces what was to be done for a bottle.
    pub fn replace_effects(&self, slug: &Slug, effects: &[Effect]) -> Result<(), StoreError> {
        let sql = "DELETE FROM effects WHERE slug = ?1";
        self.connection.prepare_cached(sql)?.execute([slug.as_str()])?;
        for effect in effects {
            let sql = "INSERT INTO effects (slug, body) VALUES (?1, ?2)";
            let row = params![slug.as_str(), encode(effect, "effects")?];
            self.connection.prepare_cached(sql)?.execute(row)?;
        }
        Ok(())
    }

    /// What is to be done next for a bottle.
    pub fn next_effect(&self, slug: &Slug) -> Result<Option<(i64, Effect)>, StoreError> {
        let sql = "SELECT id, body FROM effects WHERE slug = ?1 ORDER BY id LIMIT 1";
        let mut statement = self.connection.prepare_cached(sql)?;
        let read = |row: &Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?));
        let row = statement.query_row([slug.as_str()], read).optional()?;
        row.map(|(id, body)| Ok((id, decode(&body, "effects")?))).transpose()
    }

    /// An effect is done; one that was replaced meanwhile is not there any more.
    pub fn finish_effect(&self, id: i64) -> Result<(), StoreError> {
        self.connection.prepare_cached("DELETE FROM effects WHERE id = ?1")?.execute([id])?;
        Ok(())
    }

    /// Everything that is to be done now.
    pub fn work(&self, now: Timestamp) -> Result<Work, StoreError> {
        let now = now.as_millisecond();
        // Our own poll may fill hundreds of lanes: what came from outside goes first.
        let lanes = "SELECT lane FROM inbox WHERE lane IS NOT NULL AND not_before_ms <= ?1
            GROUP BY lane ORDER BY min(substr(key, 1, 11) = 'poll:round:'), min(id) LIMIT 256";
        let due = "SELECT slug FROM bottles WHERE deadline_ms <= ?1";
        let next = "SELECT min(at) FROM (
            SELECT min(deadline_ms) AS at FROM bottles WHERE deadline_ms > ?1
            UNION ALL SELECT min(not_before_ms) FROM inbox WHERE lane IS NOT NULL AND not_before_ms > ?1)";
        let next: Option<i64> =
            self.connection.prepare_cached(next)?.query_row([now], |row| row.get(0))?;
        Ok(Work {
            hints: self.texts(lanes, [now])?,
            effects: slugs(self.texts("SELECT DISTINCT slug FROM effects", [])?),
            due: slugs(self.texts(due, [now])?),
            next: next.and_then(|at| Timestamp::from_millisecond(at).ok()),
        })
    }

    pub(super) fn texts(
        &self,
        sql: &str,
        values: impl rusqlite::Params,
    ) -> Result<Vec<String>, StoreError> {
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement.query_map(values, |row| row.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }
}

pub(super) fn slugs(texts: Vec<String>) -> Vec<Slug> {
    texts.into_iter().filter_map(|text| text.parse().ok()).collect()
}
