//! Opening the database: checks that refuse rather than repair, then migrations.

use std::{
    fs::{self, OpenOptions},
    io,
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::Path,
};

use rusqlite::{Connection, ErrorCode, MAIN_DB};
use rusqlite_migration::{M, Migrations};

use super::{BUSY_TIMEOUT, StoreError, place, writer::WAL_KEPT_BYTES};

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
/// [`StoreError::Unusable`] when its directory cannot be relied on, or the file is another user's,
/// readable by others, not writable, damaged, newer than this program, or missing beside its
/// write-ahead log. Nothing is repaired or deleted.
pub fn open(path: &Path) -> Result<Connection, StoreError> {
    open_as(path, SCHEMA)
}

fn open_as(path: &Path, schema: &[M<'static>]) -> Result<Connection, StoreError> {
    let refused = |why: String| unusable(path, why);
    if !is_sound(rusqlite::version_number()) {
        let version = rusqlite::version();
        return Err(refused(format!(
            "SQLite {version} may damage write-ahead logs; build with 3.51.3 or later"
        )));
    }
    let directory = path.parent().unwrap_or_else(|| Path::new("/"));
    place::probe(directory).map_err(refused)?;
    ensure_private_file(path)?;
    let mut connection = Connection::open(path)?;
    if connection.is_readonly(MAIN_DB)? {
        return Err(refused("it cannot be written; see its mode and its file system".to_owned()));
    }
    connection.busy_timeout(BUSY_TIMEOUT)?;
    examine(&connection, path)?;
    let mode: String =
        connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
    if mode != "wal" {
        return Err(refused(
            "its file system has no shared memory; set data_dir to a local disk".to_owned(),
        ));
    }
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", "ON")?;
    // What a long reader made grow shrinks again (CASES 211).
    connection.pragma_update(None, "journal_size_limit", WAL_KEPT_BYTES)?;
    let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    match Migrations::from_slice(schema).to_latest(&mut connection) {
        Err(rusqlite_migration::Error::MigrationDefinition(
            rusqlite_migration::MigrationDefinitionError::DatabaseTooFarAhead,
        )) => Err(refused(format!(
            "it was written by a newer version of bot-bottle: it has schema {version}, this \
             program knows {}; update it",
            schema.len()
        ))),
        other => Ok(other.map(|()| connection)?),
    }
}

/// Refuses a damaged database.
pub(super) fn examine(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    let checked = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get::<_, String>(0));
    let found = match checked {
        Ok(found) if found == "ok" => return Ok(()),
        Ok(found) => found,
        Err(rusqlite::Error::SqliteFailure(error, text))
            if matches!(error.code, ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) =>
        {
            text.unwrap_or_else(|| error.to_string())
        }
        Err(error) => return Err(error.into()),
    };
    let found = found.trim().replace('\n', "; ");
    Err(unusable(
        path,
        format!("it is damaged ({found}); keep it aside and restore it from a backup"),
    ))
}

/// Makes the file for its owner alone, or sees that it is so.
fn ensure_private_file(path: &Path) -> Result<(), StoreError> {
    let refused = |why: String| unusable(path, why);
    let failed = |error: io::Error| refused(error.to_string());
    let file = match fs::metadata(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            // SQLite would take the log for a leftover and remove it.
            if path.with_extension("db-wal").exists() {
                return Err(refused(
                    "the file is missing but its write-ahead log is there; restore both from a backup"
                        .to_owned(),
                ));
            }
            let mut new = OpenOptions::new();
            new.write(true).create_new(true).mode(0o600).open(path).map_err(failed)?;
            return Ok(());
        }
        Err(error) => return Err(failed(error)),
    };
    let us = nix::unistd::geteuid().as_raw();
    if file.uid() != us {
        return Err(refused(format!("it belongs to user {}; run chown {us} on it", file.uid())));
    }
    if file.mode() & 0o077 != 0 {
        return Err(refused("others may read it; run chmod 600 on it".to_owned()));
    }
    Ok(())
}

fn is_sound(sqlite: i32) -> bool {
    sqlite >= SQLITE_MIN
}

fn unusable(path: &Path, why: String) -> StoreError {
    StoreError::Unusable { path: path.display().to_string(), why }
}

#[cfg(test)]
mod tests {
    use std::{os::unix::fs::PermissionsExt as _, process::Command};

    use super::*;

    fn refusal(path: &Path) -> String {
        open(path).unwrap_err().to_string()
    }

    fn set_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    // CASES 206, 207, 208, 210
    #[test]
    fn a_database_that_cannot_be_trusted_is_refused_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("bot-bottle.db");

        let wal = dir.path().join("bot-bottle.db-wal");
        fs::write(&wal, b"x").unwrap();
        assert!(refusal(&path).contains("write-ahead log is there"));
        assert!(!path.exists(), "no empty one takes its place");
        assert_eq!(fs::read(&wal).unwrap(), b"x");
        fs::remove_file(wal).unwrap();

        let connection = open(&path).unwrap();
        connection.pragma_update(None, "user_version", 99).unwrap();
        drop(connection);
        let newer = refusal(&path);
        let known = format!("schema 99, this program knows {}", SCHEMA.len());
        assert!(newer.contains("newer version") && newer.contains(&known), "{newer}");

        set_mode(&path, 0o644);
        assert!(refusal(&path).contains("chmod 600"));
        set_mode(&path, 0o600);
        if nix::unistd::geteuid().is_root() {
            std::os::unix::fs::chown(&path, Some(65534), None).unwrap();
            assert!(refusal(&path).contains("belongs to user 65534; run chown 0"));
            std::os::unix::fs::chown(&path, Some(0), None).unwrap();
        }

        fs::write(&path, vec![0x5a; 8192]).unwrap();
        assert!(refusal(&path).contains("not a database"));
        assert_eq!(fs::read(&path).unwrap(), vec![0x5a; 8192]);
    }

    // CASES 208
    #[test]
    fn a_damaged_page_is_found_and_the_file_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("bot-bottle.db");
        let connection = open(&path).unwrap();
        for n in 0..2000 {
            let row = [format!("key {n}"), "x".repeat(50)];
            connection.execute("INSERT INTO meta VALUES (?1, ?2)", row).unwrap();
        }
        drop(connection);
        let mut bytes = fs::read(&path).unwrap();
        let middle = bytes.len() / 2 / 4096 * 4096;
        bytes[middle..middle + 2048].fill(0x5a);
        fs::write(&path, &bytes).unwrap();
        let error = refusal(&path);
        assert!(error.contains("damaged") && error.contains("restore it from a backup"), "{error}");
        assert_eq!(fs::read(&path).unwrap(), bytes);
    }

    // CASES 216
    #[test]
    fn a_sqlite_that_may_damage_its_log_is_refused() {
        let sound = [3_046_000, 3_050_004, 3_051_002, 3_051_003, 3_053_000].map(is_sound);
        assert_eq!(sound, [false, false, false, true, true]);
        assert!(is_sound(rusqlite::version_number()));
    }

    #[test]
    fn migrations_are_valid_and_repeatable() {
        Migrations::from_slice(SCHEMA).validate().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("bot-bottle.db");
        drop(open(&path).unwrap());
        drop(open(&path).unwrap());
    }

    const DYING: &str = "BOT_BOTTLE_TEST_MIGRATION";

    /// This version's schema and two steps more; the last one ends the process if it shall.
    fn longer_schema(dies: bool) -> Vec<M<'static>> {
        let mut schema = SCHEMA.to_vec();
        schema.push(M::up("CREATE TABLE one_more (x INTEGER) STRICT;"));
        schema.push(M::up_with_hook(
            "CREATE TABLE last (x INTEGER) STRICT; INSERT INTO last VALUES (1);",
            move |_: &rusqlite::Transaction<'_>| {
                if dies {
                    std::process::abort();
                }
                Ok(())
            },
        ));
        schema
    }

    /// Not a test by itself: what [`a_migration_that_was_killed_is_run_again`] lets die.
    #[test]
    fn dies_in_a_migration() {
        if let Some(path) = std::env::var_os(DYING) {
            drop(open_as(Path::new(&path), &longer_schema(true)));
        }
    }

    // CASES 152, 209
    #[test]
    fn a_migration_that_was_killed_is_run_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("bot-bottle.db");
        open(&path).unwrap().execute("INSERT INTO meta VALUES ('a', '1')", []).unwrap();
        let died = Command::new(std::env::current_exe().unwrap())
            .args(["store::open::tests::dies_in_a_migration", "--exact"])
            .env(DYING, &path)
            .output()
            .unwrap();
        assert!(!died.status.success(), "{died:?}");

        let connection = open_as(&path, &longer_schema(false)).unwrap();
        let count = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
        assert_eq!(count("SELECT count(*) FROM last"), 1);
        assert_eq!(count("SELECT count(*) FROM meta WHERE key = 'a'"), 1);
        assert_eq!(count("PRAGMA user_version"), i64::try_from(SCHEMA.len()).unwrap() + 2);
    }
}
