//! What arrived: hints that wait to be looked at, and keys that are known.

use jiff::{SignedDuration, Timestamp};
use rusqlite::params;

use super::{Books, hints::TAKEN};
use crate::store::StoreError;

/// A hint that waits to be looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HintRow {
    /// Its row.
    pub id: i64,
    /// How often looking failed.
    pub attempts: u32,
}

/// What a key's content is to what came under it before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrival {
    /// The key was not known.
    New,
    /// The same content came before.
    Known,
    /// Another content came before.
    Other,
}

impl Books<'_> {
    /// Keys of hints that we gave ourselves begin with this.
    pub const POLL: &'static str = "poll:";

    /// Notes that something with this unique key arrived; `false` when it had arrived before. With
    /// a lane it waits there to be looked at, without one it is dealt with in this transaction.
    pub fn arrive(
        &self,
        key: &str,
        lane: Option<&str>,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let sql = "INSERT OR IGNORE INTO inbox (key, lane, received_ms) VALUES (?1, ?2, ?3)";
        let row = params![key, lane, now.as_millisecond()];
        Ok(self.connection.prepare_cached(sql)?.execute(row)? == 1)
    }

    /// Notes that something with this unique key and content arrived, to be dealt with in this
    /// transaction.
    pub fn arrive_once(
        &self,
        key: &str,
        digest: &str,
        now: Timestamp,
    ) -> Result<Arrival, StoreError> {
        if self.arrive(key, None, now)? {
            let sql = "UPDATE inbox SET digest = ?2 WHERE key = ?1";
            self.connection.prepare_cached(sql)?.execute([key, digest])?;
            return Ok(Arrival::New);
        }
        // Rows from before digests were kept have none: their repeats are taken as such.
        let sql = "SELECT 1 FROM inbox WHERE key = ?1 AND coalesce(digest, ?2) = ?2";
        let same = self.connection.prepare_cached(sql)?.exists([key, digest])?;
        Ok(if same { Arrival::Known } else { Arrival::Other })
    }

    /// Whether something waits in a lane already that no look has taken on.
    pub fn is_waiting(&self, lane: &str) -> Result<bool, StoreError> {
        let sql = "SELECT 1 FROM inbox WHERE lane = ?1 AND not_before_ms <> ?2 LIMIT 1";
        Ok(self.connection.prepare_cached(sql)?.exists(params![lane, TAKEN])?)
    }

    /// The hints that wait in a lane and are due, oldest first.
    pub fn hints(&self, lane: &str, now: Timestamp) -> Result<Vec<HintRow>, StoreError> {
        let sql =
            "SELECT id, attempts FROM inbox WHERE lane = ?1 AND not_before_ms <= ?2 ORDER BY id";
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement.query_map(params![lane, now.as_millisecond()], |row| {
            Ok(HintRow { id: row.get(0)?, attempts: row.get(1)? })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Hints are dealt with. The row stays for a while, so that a repeat is known.
    pub fn finish_hints(&self, hints: &[HintRow]) -> Result<(), StoreError> {
        for hint in hints {
            // Nobody repeats our own.
            let sql = "DELETE FROM inbox WHERE id = ?1 AND substr(key, 1, 5) = ?2";
            if self.connection.prepare_cached(sql)?.execute(params![hint.id, Self::POLL])? == 0 {
                let sql = "UPDATE inbox SET lane = NULL WHERE id = ?1";
                self.connection.prepare_cached(sql)?.execute([hint.id])?;
            }
        }
        Ok(())
    }

    /// The wall clock has jumped: hints that were put off move with it, no further than `latest`.
    pub fn shift_hints(&self, by: SignedDuration, latest: Timestamp) -> Result<(), StoreError> {
        let sql = "UPDATE inbox SET not_before_ms = max(0, min(not_before_ms + ?1, ?2))
            WHERE lane IS NOT NULL AND not_before_ms > 1";
        let by = i64::try_from(by.as_millis()).unwrap_or(0);
        self.connection.prepare_cached(sql)?.execute([by, latest.as_millisecond()])?;
        Ok(())
    }

    /// Hints could not be looked at and are due again at `not_before`.
    pub fn defer_hints(&self, hints: &[HintRow], not_before: Timestamp) -> Result<(), StoreError> {
        for hint in hints {
            let sql = "UPDATE inbox SET attempts = attempts + 1, not_before_ms = ?2 WHERE id = ?1";
            self.connection
                .prepare_cached(sql)?
                .execute(params![hint.id, not_before.as_millisecond()])?;
        }
        Ok(())
    }

    /// Forgets what arrived and was dealt with before `before`.
    pub fn forget_arrivals(&self, before: Timestamp) -> Result<usize, StoreError> {
        let sql = "DELETE FROM inbox WHERE lane IS NULL AND received_ms < ?1";
        Ok(self.connection.execute(sql, [before.as_millisecond()])?)
    }
}
