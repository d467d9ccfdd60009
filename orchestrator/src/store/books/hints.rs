//! Hints of where to look, merged as they come: however many there are for one place, few rows wait
//! for it, and it is looked at once.

use jiff::Timestamp;
use rusqlite::params;

use super::{Books, HintRow};
use crate::store::StoreError;

/// What became of a hint that came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hinted {
    /// It waits to be looked at.
    New,
    /// It came before.
    Known,
    /// Its place is going to be looked at already; nothing needed to be kept.
    Merged,
}

/// The hints of a lane as a look takes them on.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Taken {
    /// All that wait in the lane.
    pub hints: Vec<HintRow>,
    /// Nobody but our own poll gave one.
    pub only_polled: bool,
}

/// `not_before_ms` of a hint that a look has taken on: due, but what comes now was not seen by that
/// look and needs a hint of its own. Fresh ones have 0.
pub(super) const TAKEN: i64 = 1;

impl Books<'_> {
    /// Keys of the poll's hints begin with this. Like all of [`Self::POLL`] they are not remembered.
    pub const ROUND: &'static str = "poll:round:";

    /// Notes a hint with a unique key for a lane. It is merged into one that nobody has taken on yet,
    /// if that is due by `horizon`.
    pub fn hint(
        &self,
        key: &str,
        lane: &str,
        now: Timestamp,
        horizon: Timestamp,
    ) -> Result<Hinted, StoreError> {
        let known = "SELECT 1 FROM inbox WHERE key = ?1";
        if self.connection.prepare_cached(known)?.exists([key])? {
            return Ok(Hinted::Known);
        }
        let waiting =
            "SELECT 1 FROM inbox WHERE lane = ?1 AND not_before_ms <> ?2 AND not_before_ms <= ?3
            LIMIT 1";
        let row = params![lane, TAKEN, horizon.as_millisecond().max(0)];
        if self.connection.prepare_cached(waiting)?.exists(row)? {
            return Ok(Hinted::Merged);
        }
        self.arrive(key, Some(lane), now)?;
        Ok(Hinted::New)
    }

    /// Takes on all hints of a lane, also those that were put off: one look answers them all.
    pub fn take_hints(&self, lane: &str) -> Result<Taken, StoreError> {
        let sql =
            "SELECT id, attempts, substr(key, 1, 11) = ?2 FROM inbox WHERE lane = ?1 ORDER BY id";
        let mut statement = self.connection.prepare_cached(sql)?;
        let rows = statement.query_map(params![lane, Self::ROUND], |row| {
            Ok((HintRow { id: row.get(0)?, attempts: row.get(1)? }, row.get::<_, bool>(2)?))
        })?;
        let rows: Vec<(HintRow, bool)> = rows.collect::<Result<_, _>>()?;
        let sql = "UPDATE inbox SET not_before_ms = ?2 WHERE lane = ?1";
        self.connection.prepare_cached(sql)?.execute(params![lane, TAKEN])?;
        let only_polled = rows.iter().all(|(_, polled)| *polled);
        Ok(Taken { hints: rows.into_iter().map(|(hint, _)| hint).collect(), only_polled })
    }

    /// Puts hints off that could not be looked at. One row is enough to look again; the others stay
    /// as what has come.
    pub fn put_off(
        &self,
        hints: &[HintRow],
        attempts: u32,
        not_before: Timestamp,
    ) -> Result<(), StoreError> {
        let Some((first, others)) = hints.split_first() else { return Ok(()) };
        self.finish_hints(others)?;
        let sql =
            "UPDATE inbox SET attempts = ?2, not_before_ms = ?3 WHERE id = ?1 AND lane IS NOT NULL";
        // Never a moment that means something else.
        let due = not_before.as_millisecond().max(TAKEN + 1);
        self.connection.prepare_cached(sql)?.execute(params![first.id, attempts, due])?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Store, open};

    const LANE: &str = "team/project#7";

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    // CASES 22: ten thousand deliveries leave as many rows as looks were taken, not as deliveries.
    #[tokio::test]
    async fn what_waits_for_one_place_is_merged_but_for_what_a_look_has_not_seen() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::start(open(&dir.path().join("t.db")).unwrap()).unwrap();
        let work = |books: &Books<'_>| {
            assert_eq!(books.hint("a", LANE, at(1), at(1))?, Hinted::New);
            assert_eq!(books.hint("a", LANE, at(1), at(1))?, Hinted::Known);
            for n in 0..10_000 {
                assert_eq!(books.hint(&format!("b{n}"), LANE, at(1), at(1))?, Hinted::Merged);
            }
            let taken = books.take_hints(LANE)?;
            assert_eq!((taken.hints.len(), taken.only_polled), (1, false));
            // What comes during the look is kept for the next one, whoever finds it.
            assert!(!books.is_waiting(LANE)?);
            assert_eq!(books.hint("c", LANE, at(2), at(2))?, Hinted::New);
            assert!(books.is_waiting(LANE)?);
            assert_eq!(books.hint("d", LANE, at(2), at(2))?, Hinted::Merged);
            books.finish_hints(&taken.hints)?;
            assert_eq!(books.work(at(3))?.hints, [LANE]);
            assert_eq!(books.hint("a", LANE, at(3), at(3))?, Hinted::Known, "it is remembered");

            // Put off, it waits; what comes then is looked at at once, with all that waits.
            let taken = books.take_hints(LANE)?;
            books.put_off(&taken.hints, 1, at(100))?;
            assert_eq!(books.work(at(50))?.hints, Vec::<String>::new());
            assert!(books.is_waiting(LANE)?);
            // Unless it is known that nobody can look before.
            assert_eq!(books.hint("f", LANE, at(4), at(100))?, Hinted::Merged);
            assert_eq!(books.hint("e", LANE, at(4), at(4))?, Hinted::New);
            assert_eq!(books.work(at(50))?.hints, [LANE]);
            let taken = books.take_hints(LANE)?;
            assert_eq!(taken.hints.iter().map(|hint| hint.attempts).collect::<Vec<_>>(), [1, 0]);
            books.put_off(&taken.hints, 2, at(100))?;
            assert_eq!(books.take_hints(LANE)?.hints.len(), 1, "one row is enough");
            Ok(())
        };
        store.write(work).await.unwrap();
        store.close().await;
    }

    #[tokio::test]
    async fn hints_from_outside_come_before_those_of_the_poll_and_the_oldest_first() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::start(open(&dir.path().join("t.db")).unwrap()).unwrap();
        let work = |books: &Books<'_>| {
            books.hint("poll:round:1:a/a#1", "a/a#1", at(1), at(1))?;
            books.hint("y", "b/b#2", at(2), at(2))?;
            books.hint("z", "a/a#3", at(3), at(3))?;
            assert_eq!(books.work(at(4))?.hints, ["b/b#2", "a/a#3", "a/a#1"]);
            assert!(books.take_hints("a/a#1")?.only_polled);
            Ok(())
        };
        store.write(work).await.unwrap();
        store.close().await;
    }
}
