//! What must survive a crash: bottles, the inbox, pending effects, the log. SQLite, one file.
//!
//! One thread owns the connection. Work is sent to it as closures over [`Books`]; closures that
//! wait together are committed together, so that many small writes share one fsync. Each has a
//! savepoint of its own: one that fails undoes only itself. A closure is answered after the commit.

mod backup;
mod books;
mod crash;
mod open;
mod place;
mod writer;

pub use backup::backup;
pub use books::{Arrival, Books, HintRow, Hinted, Listed, ListedHome, LogRow, Taken, Work};
pub use open::open;
pub use writer::Store;

/// How long another program may hold the database before a transaction is given up.
const BUSY_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(5);

/// What can go wrong in the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The file or its directory cannot be used.
    #[error("cannot use the database {path}: {why}")]
    Unusable {
        /// The file.
        path: String,
        /// Why, and what to do.
        why: String,
    },
    /// SQLite refused.
    #[error("the database failed")]
    Sqlite(#[from] rusqlite::Error),
    /// A migration failed.
    #[error("the database cannot be brought to this version's schema")]
    Migration(#[from] rusqlite_migration::Error),
    /// A row does not hold what we wrote.
    #[error("a row of {table} cannot be read")]
    Row {
        /// The table.
        table: &'static str,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// A decision that was to be stored broke off; nothing of it is stored.
    #[error("a fault in bot-bottle: deciding on {what} broke off: {why}")]
    Undecided {
        /// What it was about.
        what: String,
        /// What the panic said.
        why: String,
    },
    /// The writer thread has ended.
    #[error("the store is closed")]
    Closed,
}

impl StoreError {
    /// Whether the disk is full: no new work is taken then, but nothing is lost (CASES 204).
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Sqlite(error)
            if error.sqlite_error_code() == Some(rusqlite::ErrorCode::DiskFull))
    }
}
