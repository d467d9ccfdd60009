//! Questions and changes inside one transaction, one file for each topic.

mod bottles;
mod hints;
mod inbox;
mod log;
mod operator;
mod work;

use rusqlite::{Connection, OptionalExtension as _};

pub use self::{
    hints::{Hinted, Taken},
    inbox::{Arrival, HintRow},
    log::LogRow,
    operator::{Listed, ListedHome},
    work::Work,
};
use super::StoreError;

/// The tables, as the code that runs in a transaction sees them.
#[derive(Debug)]
pub struct Books<'a> {
    connection: &'a Connection,
}

impl<'a> Books<'a> {
    /// The setting that a backup carries: when it was taken. Forge and containers may have gone on
    /// since then, and what was done after it would be done again (CASES 158).
    pub const BACKUP_OF: &'static str = "backup_of";

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

    /// Forgets a setting of this installation.
    pub fn forget_meta(&self, key: &str) -> Result<(), StoreError> {
        self.connection.prepare_cached("DELETE FROM meta WHERE key = ?1")?.execute([key])?;
        Ok(())
    }
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
