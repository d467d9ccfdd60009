//! Each bottle's log.

use std::num::NonZeroU32;

use jiff::Timestamp;
use protocol::ids::Slug;
use rusqlite::params;

use super::{Books, to_sql};
use crate::store::StoreError;

/// One line of a bottle's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogRow {
    /// Its position.
    pub position: u64,
    /// When.
    pub at: Timestamp,
    /// What.
    pub sentence: String,
}

impl Books<'_> {
    /// Adds a line to a bottle's log.
    pub fn log(&self, slug: &Slug, at: Timestamp, sentence: &str) -> Result<(), StoreError> {
        let sql = "INSERT INTO log (slug, at, sentence) VALUES (?1, ?2, ?3)";
        self.connection.prepare_cached(sql)?.execute([slug.as_str(), &at.to_string(), sentence])?;
        Ok(())
    }

    /// A bottle's log after a position, oldest first, at most `limit` lines.
    pub fn log_after(
        &self,
        slug: &Slug,
        after: u64,
        limit: NonZeroU32,
    ) -> Result<Vec<LogRow>, StoreError> {
        let sql = "SELECT position, at, sentence FROM log WHERE slug = ?1 AND position > ?2
            ORDER BY position LIMIT ?3";
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement
            .query_map(params![slug.as_str(), to_sql(after), limit.get()], |row| {
                Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?, row.get::<_, String>(2)?))
            })?;
        let read = |row: (i64, String, String)| LogRow {
            position: u64::try_from(row.0).unwrap_or(0),
            at: row.1.parse().unwrap_or(Timestamp::UNIX_EPOCH),
            sentence: row.2,
        };
        rows.map(|row| Ok(read(row?))).collect()
    }
}
