//! A copy of a database that is in use.
//!
//! `VACUUM INTO` is the variant of SQLite's online backup that leaves out what was deleted and
//! takes one snapshot, however much is written meanwhile
//! (<https://sqlite.org/lang_vacuum.html#vacuuminto>). Copying the file by other means would miss
//! what is in the write-ahead log (CASES 213).

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use rusqlite::{Connection, OpenFlags};

use super::{Books, StoreError, open::examine};

/// Writes all that is committed in `database` to the new file `to`, whole or not at all. The daemon
/// may be at work meanwhile; it is not held up. The copy knows that it is one: a daemon that is
/// started on it waits for a person (see [`Books::BACKUP_OF`]).
///
/// # Errors
/// [`StoreError::Unusable`] when there is no database, `to` exists, or cannot be written.
pub fn backup(database: &Path, to: &Path) -> Result<(), StoreError> {
    let unusable =
        |path: &Path, why: String| StoreError::Unusable { path: path.display().to_string(), why };
    let failed = |error: io::Error| unusable(to, error.to_string());
    if to.exists() {
        return Err(unusable(to, "it exists already; choose another name".to_owned()));
    }
    let directory = match to.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    let draft = Draft::new(directory).map_err(failed)?;
    let source = Connection::open_with_flags(
        database,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )
    .map_err(|error| unusable(database, error.to_string()))?;
    source.busy_timeout(super::BUSY_TIMEOUT)?;
    source.execute("VACUUM INTO ?1", [&draft.0.to_string_lossy()])?;
    let copy = Connection::open(&draft.0)?;
    examine(&copy, &draft.0)?;
    let now = crate::clock::now().to_string();
    copy.execute("INSERT OR REPLACE INTO meta VALUES (?1, ?2)", [Books::BACKUP_OF, &now])?;
    drop(copy);
    File::open(&draft.0).and_then(|file| file.sync_all()).map_err(failed)?;
    // Unlike a rename it does not take the place of a file that came meanwhile.
    fs::hard_link(&draft.0, to).map_err(failed)?;
    drop(draft);
    File::open(directory).and_then(|directory| directory.sync_all()).map_err(failed)
}

/// A file that only we may read, gone when it is dropped.
struct Draft(std::path::PathBuf);

impl Draft {
    fn new(directory: &Path) -> io::Result<Self> {
        let path = directory.join(format!(".backup-{:016x}", rand::random::<u64>()));
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.0) {
            tracing::warn!(path = %self.0.display(), %error, "cannot remove a draft");
        }
    }
}
