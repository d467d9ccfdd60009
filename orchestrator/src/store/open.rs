//! Opening the database: checks that refuse rather than repair, then migrations.

use std::{os::unix::fs::PermissionsExt as _, path::Path};

use rusqlite::Connection;
use rusqlite_migration::{M, Migrations};

use super::StoreError;

/// First SQLite release lines without the WAL-reset corruption bug (3.51.3; 3.53.0):
/// <https://sqlite.org/wal.html#walresetbug>
const SQLITE_MIN: i32 = 3_051_003;

const SCHEMA: &[M<'static>] = &[M::up(
    "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
     CREATE TABLE bottles (
         slug TEXT PRIMARY KEY,
         serial INTEGER NOT NULL UNIQUE,
         forge TEXT NOT NULL,
         repo TEXT NOT NULL,
         issue INTEGER,
         live INTEGER NOT NULL,
         uses_slot INTEGER NOT NULL,
         wants_slot INTEGER NOT NULL,
         deadline_ms INTEGER,
         agent_name TEXT NOT NULL,
         bottle_names TEXT NOT NULL,
         backend_name TEXT NOT NULL,
         agent_git_user TEXT NOT NULL,
         pr_number INTEGER,
         status TEXT NOT NULL,
         last_checkin_at TEXT,
         record TEXT NOT NULL
     ) STRICT;
     CREATE UNIQUE INDEX one_live_bottle_per_issue ON bottles (forge, repo, issue)
         WHERE live = 1 AND issue IS NOT NULL;
     CREATE INDEX bottles_by_issue ON bottles (repo, issue, serial);
     CREATE INDEX bottles_live ON bottles (live, serial);
     CREATE INDEX bottles_deadline ON bottles (deadline_ms) WHERE deadline_ms IS NOT NULL;
     CREATE INDEX bottles_slots ON bottles (serial) WHERE uses_slot = 1 OR wants_slot = 1;
     CREATE TABLE pulls (
         repo TEXT NOT NULL, number INTEGER NOT NULL, slug TEXT NOT NULL,
         PRIMARY KEY (repo, number, slug)
     ) STRICT, WITHOUT ROWID;
     CREATE TABLE inbox (
         id INTEGER PRIMARY KEY,
         key TEXT NOT NULL UNIQUE,
         lane TEXT,
         received_ms INTEGER NOT NULL,
         attempts INTEGER NOT NULL DEFAULT 0,
         not_before_ms INTEGER NOT NULL DEFAULT 0,
         digest TEXT
     ) STRICT;
     CREATE INDEX inbox_open ON inbox (lane, not_before_ms) WHERE lane IS NOT NULL;
     CREATE INDEX inbox_age ON inbox (received_ms);
     CREATE TABLE effects (
         -- A number is never given again: who ends an effect that was replaced ends no other.
         id INTEGER PRIMARY KEY AUTOINCREMENT, slug TEXT NOT NULL, body TEXT NOT NULL
     ) STRICT;
     CREATE INDEX effects_by_slug ON effects (slug, id);
     CREATE TABLE log (
         position INTEGER PRIMARY KEY,
         slug TEXT NOT NULL,
         at TEXT NOT NULL,
         sentence TEXT NOT NULL
     ) STRICT;
     CREATE INDEX log_by_slug ON log (slug, position);",
)];

/// Opens the database at `path`, makes it if there is none, and brings it to this version's schema.
///
/// # Errors
/// [`StoreError::Unusable`] when the file is readable by others, damaged, newer than this program,
/// or missing beside its write-ahead log. Nothing is repaired or deleted.
pub fn open(path: &Path) -> Result<Connection, StoreError> {
    let unusable =
        |why: &str| StoreError::Unusable { path: path.display().to_string(), why: why.to_owned() };
    if rusqlite::version_number() < SQLITE_MIN {
        return Err(unusable("SQLite is older than 3.51.3 and may damage write-ahead logs"));
    }
    let wal = path.with_extension("db-wal");
    if !path.exists() && wal.exists() {
        return Err(unusable(
            "the file is missing but its write-ahead log is there; restore both from a backup",
        ));
    }
    let fresh = !path.exists();
    let mut connection = Connection::open(path)?;
    if fresh {
        let private = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(path, private).map_err(|error| unusable(&error.to_string()))?;
    }
    let mode =
        std::fs::metadata(path).map_err(|error| unusable(&error.to_string()))?.permissions().mode();
    if mode & 0o077 != 0 {
        return Err(unusable("others may read it; run chmod 600 on it"));
    }
    connection.busy_timeout(std::time::Duration::from_secs(5))?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", "ON")?;
    let check: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if check != "ok" {
        return Err(unusable(&format!("it is damaged ({check}); restore it from a backup")));
    }
    let migrations = Migrations::from_slice(SCHEMA);
    match migrations.to_latest(&mut connection) {
        Err(rusqlite_migration::Error::MigrationDefinition(
            rusqlite_migration::MigrationDefinitionError::DatabaseTooFarAhead,
        )) => Err(unusable("it was written by a newer version of bot-bottle; update this one")),
        other => Ok(other.map(|()| connection)?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // CASES 206, 207, 208, 210
    #[test]
    fn a_database_that_cannot_be_trusted_is_refused_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("bot-bottle.db");

        std::fs::write(dir.path().join("bot-bottle.db-wal"), b"x").unwrap();
        assert!(open(&path).unwrap_err().to_string().contains("write-ahead log is there"));
        std::fs::remove_file(dir.path().join("bot-bottle.db-wal")).unwrap();

        let connection = open(&path).unwrap();
        connection.pragma_update(None, "user_version", 99).unwrap();
        drop(connection);
        assert!(open(&path).unwrap_err().to_string().contains("newer version"));

        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(open(&path).unwrap_err().to_string().contains("chmod 600"));

        std::fs::write(&path, vec![0x5a; 8192]).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        assert!(open(&path).is_err());
        assert_eq!(std::fs::read(&path).unwrap(), vec![0x5a; 8192]);
    }

    #[test]
    fn migrations_are_valid_and_repeatable() {
        Migrations::from_slice(SCHEMA).validate().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("bot-bottle.db");
        drop(open(&path).unwrap());
        drop(open(&path).unwrap());
    }
}
