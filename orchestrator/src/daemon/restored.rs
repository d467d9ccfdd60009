//! A database that was restored from a backup.

use std::{fs::OpenOptions, io::Write as _, os::unix::fs::OpenOptionsExt as _};

use super::ServeError;
use crate::{
    config::Config,
    store::{Books, Store},
};

/// Sets the kill switch when the records are older than what was done: forge and containers know
/// of comments and runs that the records do not, and only a person can tell which. Nothing is woken
/// or launched until that person removes the file.
pub(super) async fn hold_if_restored(config: &Config, store: &Store) -> Result<(), ServeError> {
    let Some(taken) = store.write(|books| books.meta(Books::BACKUP_OF)).await? else {
        return Ok(());
    };
    let path = config.kill_switch_file();
    tracing::warn!(
        taken,
        kill_switch = %path.display(),
        "the database was restored from a backup; look at `orchestrate status`, end what has been \
         done since, then remove the kill switch"
    );
    let text = format!(
        "The database was restored from a backup of {taken}. What was done since is not in it and \
         might be done again.\n"
    );
    let written = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&path)
        .and_then(|mut file| file.write_all(text.as_bytes()).and_then(|()| file.sync_all()));
    written.map_err(|source| ServeError::Files { path, source })?;
    // Last, so that a crash before it holds again.
    Ok(store.write(|books| books.forget_meta(Books::BACKUP_OF)).await?)
}
