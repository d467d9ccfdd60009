//! Questions and changes inside one transaction.

use std::num::NonZeroU32;

use jiff::Timestamp;
use orchestrator_core::{bottle::Bottle, event::Effect};
use protocol::ids::{IssueNumber, RepoName, Slug};
use rusqlite::{Connection, OptionalExtension as _, Row, named_params, params};

use super::StoreError;

/// The tables, as the code that runs in a transaction sees them.
#[derive(Debug)]
pub struct Books<'a> {
    connection: &'a Connection,
}

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

impl<'a> Books<'a> {
    /// Keys of hints that we gave ourselves begin with this.
    pub const POLL: &'static str = "poll:";

    pub(super) fn new(connection: &'a Connection) -> Self {
        Self { connection }
    }

    /// A setting of this installation.
    pub fn meta(&self, key: &str) -> Result<Option<String>, StoreError> {
        let mut statement =
            self.connection.prepare_cached("SELECT value FROM meta WHERE key = ?1")?;
        Ok(statement.query_row([key], |row| row.get(0)).optional()?)
    }

    /// Keeps a setting of this installation.
    pub fn set_meta(&self, key: &str, value: &str) -> Result<(), StoreError> {
        let sql = "INSERT INTO meta VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = ?2";
        self.connection.prepare_cached(sql)?.execute([key, value])?;
        Ok(())
    }

    // Bottles.

    /// One bottle.
    pub fn bottle(&self, slug: &Slug) -> Result<Option<Bottle>, StoreError> {
        Ok(self.bottles("WHERE slug = ?1", [slug.as_str()])?.pop())
    }

    /// Every bottle that is not destroyed, oldest first.
    pub fn live_bottles(&self) -> Result<Vec<Bottle>, StoreError> {
        self.bottles("WHERE live = 1 ORDER BY serial", [])
    }

    /// Live bottles and the last `limit` destroyed ones, newest first.
    pub fn recent_bottles(&self, limit: u32) -> Result<Vec<Bottle>, StoreError> {
        let sql = "WHERE live = 1 OR serial IN
            (SELECT serial FROM bottles WHERE live = 0 ORDER BY serial DESC LIMIT ?1) ORDER BY serial DESC";
        self.bottles(sql, [limit])
    }

    /// Destroyed bottles of which something may be left outside.
    pub fn unclean_bottles(&self) -> Result<Vec<Bottle>, StoreError> {
        let all = self.bottles(
            "WHERE live = 0 AND (deadline_ms IS NOT NULL OR slug IN (SELECT slug FROM effects))",
            [],
        )?;
        Ok(all)
    }

    /// The live bottle that an issue or pull request belongs to, or the last one that it had.
    pub fn bottle_about(
        &self,
        repo: &RepoName,
        number: IssueNumber,
    ) -> Result<Option<Bottle>, StoreError> {
        let sql = "WHERE slug IN (SELECT slug FROM pulls WHERE repo = ?1 AND number = ?2)
            OR (repo = ?1 AND issue = ?2) ORDER BY live DESC, coalesce(issue = ?2, 0) DESC, serial DESC LIMIT 1";
        Ok(self.bottles(sql, params![repo.to_string(), to_sql(number.get())])?.pop())
    }

    /// Bottles that have a slot or wait for one.
    pub fn slot_bottles(&self) -> Result<Vec<Bottle>, StoreError> {
        self.bottles("WHERE uses_slot = 1 OR wants_slot = 1", [])
    }

    /// The number for a new bottle.
    pub fn next_serial(&self) -> Result<u32, StoreError> {
        let sql = "SELECT coalesce(max(serial), 0) + 1 FROM bottles";
        Ok(self.connection.query_row(sql, [], |row| row.get(0))?)
    }

    /// Keeps a bottle's record; `deadline` is when time alone will change it.
    ///
    /// # Errors
    /// A constraint error when another live bottle has the same issue.
    pub fn save(&self, bottle: &Bottle, deadline: Option<Timestamp>) -> Result<(), StoreError> {
        let names: Vec<&str> =
            bottle.profiles.iter().map(protocol::ids::ProfileName::as_str).collect();
        let record = encode(bottle, "bottles")?;
        let sql = "INSERT INTO bottles VALUES (:slug, :serial, :forge, :repo, :issue, :live, :uses_slot,
                :wants_slot, :deadline, :agent, :names, :backend, :login, :pr, :status, :checkin, :record)
            ON CONFLICT (slug) DO UPDATE SET live = :live, uses_slot = :uses_slot,
                wants_slot = :wants_slot, deadline_ms = :deadline, pr_number = :pr, status = :status,
                last_checkin_at = :checkin, record = :record";
        self.connection.prepare_cached(sql)?.execute(named_params! {
            ":slug": bottle.slug.as_str(),
            ":serial": bottle.serial,
            ":forge": bottle.home.forge.as_str(),
            ":repo": bottle.home.repo.to_string(),
            ":issue": bottle.home.issue.map(|number| to_sql(number.get())),
            ":live": bottle.is_live(),
            ":uses_slot": bottle.uses_slot(),
            ":wants_slot": bottle.wants_slot_since().is_some(),
            ":deadline": deadline.map(Timestamp::as_millisecond),
            ":agent": bottle.agent.as_str(),
            ":names": names.join(","),
            ":backend": bottle.backend,
            ":login": bottle.login.as_str(),
            ":pr": bottle.pull_requests.last().map(|number| to_sql(number.get())),
            ":status": bottle.state.word(),
            ":checkin": bottle.last_checkin.map(|at| at.to_string()),
            ":record": record,
        })?;
        for number in &bottle.pull_requests {
            let sql = "INSERT OR IGNORE INTO pulls VALUES (?1, ?2, ?3)";
            let row =
                params![bottle.home.repo.to_string(), to_sql(number.get()), bottle.slug.as_str()];
            self.connection.prepare_cached(sql)?.execute(row)?;
        }
        Ok(())
    }

    fn bottles(
        &self,
        rest: &str,
        values: impl rusqlite::Params,
    ) -> Result<Vec<Bottle>, StoreError> {
        let mut statement =
            self.connection.prepare_cached(&format!("SELECT record FROM bottles {rest}"))?;
        let texts = statement.query_map(values, |row| row.get::<_, String>(0))?;
        texts.map(|text| decode(&text?, "bottles")).collect()
    }

    // Inbox.

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

    /// Whether something waits in a lane already.
    pub fn is_waiting(&self, lane: &str) -> Result<bool, StoreError> {
        let sql = "SELECT 1 FROM inbox WHERE lane = ?1 LIMIT 1";
        Ok(self.connection.prepare_cached(sql)?.exists([lane])?)
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

    // Effects.

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
        let lanes =
            "SELECT DISTINCT lane FROM inbox WHERE lane IS NOT NULL AND not_before_ms <= ?1";
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

    fn texts(&self, sql: &str, values: impl rusqlite::Params) -> Result<Vec<String>, StoreError> {
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement.query_map(values, |row| row.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    // Log.

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

fn slugs(texts: Vec<String>) -> Vec<Slug> {
    texts.into_iter().filter_map(|text| text.parse().ok()).collect()
}

/// SQLite's integers are signed; our numbers stay below 2^53.
fn to_sql(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn encode<T: serde::Serialize>(value: &T, table: &'static str) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|source| StoreError::Row { table, source })
}

fn decode<T: serde::de::DeserializeOwned>(
    text: &str,
    table: &'static str,
) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|source| StoreError::Row { table, source })
}
