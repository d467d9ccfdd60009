//! The thread that owns the connection and groups commits.

use std::{sync::Arc, thread::JoinHandle};

use rusqlite::Connection;
use tokio::sync::{Mutex, mpsc, oneshot};

use super::{Books, StoreError};

/// Closures that may wait; more senders wait for room. A second of webhooks at full speed.
const QUEUE: usize = 1024;
/// Closures that share one commit; bounds how long the first of them waits.
const BATCH: usize = 128;

/// Runs inside the transaction, or hears why there is none; gives back what is to be called after
/// the commit.
type Job = Box<dyn FnOnce(Result<&Connection, StoreError>) -> AfterCommit + Send>;
type AfterCommit = Box<dyn FnOnce(Option<StoreError>) + Send>;

/// A handle to the store; clones share the one writer.
#[derive(Clone)]
pub struct Store {
    jobs: mpsc::Sender<Job>,
    thread: Arc<Mutex<Option<JoinHandle<()>>>>,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").finish_non_exhaustive()
    }
}

impl Store {
    /// Starts the writer over an open connection.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn start(connection: Connection) -> Result<Self, StoreError> {
        let (jobs, inbox) = mpsc::channel(QUEUE);
        let thread = std::thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || write_all(connection, inbox))
            .map_err(|_| StoreError::Closed)?;
        Ok(Self { jobs, thread: Arc::new(Mutex::new(Some(thread))) })
    }

    /// Runs `work` in a transaction and answers when it is on disk. If `work` fails, nothing of it
    /// is kept.
    ///
    /// # Errors
    /// Those of `work`, of the commit, or [`StoreError::Closed`].
    pub async fn write<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Books<'_>) -> Result<T, StoreError> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move |connection| {
            let result = connection.and_then(|connection| in_savepoint(connection, work));
            Box::new(move |failure| {
                // Nobody waits any more: the work is done all the same.
                drop(answer.send(failure.map_or(result, Err)));
            })
        });
        self.jobs.send(job).await.map_err(|_| StoreError::Closed)?;
        answered.await.map_err(|_| StoreError::Closed)?
    }

    /// Waits for the writer to end, which it does by itself only when it broke.
    pub async fn closed(&self) {
        self.jobs.closed().await;
    }

    /// Waits until everything sent before is on disk and the file is closed.
    pub async fn close(self) {
        let Self { jobs, thread } = self;
        drop(jobs);
        let Some(thread) = thread.lock().await.take() else { return };
        // The thread ends when the last clone of the sender is gone.
        drop(tokio::task::spawn_blocking(move || thread.join()).await);
    }
}

fn in_savepoint<T>(
    connection: &Connection,
    work: impl FnOnce(&Books<'_>) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    connection.execute_batch("SAVEPOINT work")?;
    let result = work(&Books::new(connection));
    let end = if result.is_ok() { "RELEASE work" } else { "ROLLBACK TO work; RELEASE work" };
    connection.execute_batch(end)?;
    result
}

fn write_all(connection: Connection, mut inbox: mpsc::Receiver<Job>) {
    let mut batch = Vec::with_capacity(BATCH);
    while inbox.blocking_recv_many(&mut batch, BATCH) > 0 {
        if let Err(error) = connection.execute_batch("BEGIN IMMEDIATE") {
            tracing::error!(%error, "cannot begin a transaction");
            for job in batch.drain(..) {
                job(Err(repeat(&error)))(None);
            }
            continue;
        }
        let after: Vec<AfterCommit> = batch.drain(..).map(|job| job(Ok(&connection))).collect();
        let committed = connection.execute_batch("COMMIT");
        if let Err(error) = &committed {
            stop_if_unsure(error);
            drop(connection.execute_batch("ROLLBACK"));
        }
        for answer in after {
            answer(committed.as_ref().err().map(repeat));
        }
    }
}

/// After a failed fsync nobody knows what is on disk, and trying again may report success over lost
/// data (CASES 205): the process must end, and start from what the disk really has.
fn stop_if_unsure(error: &rusqlite::Error) {
    if error.sqlite_error_code() == Some(rusqlite::ErrorCode::SystemIoFailure) {
        tracing::error!(%error, "the disk failed at a commit; stopping, nothing unsure is acknowledged");
        std::process::abort();
    }
}

/// The same failure for each of those who wait.
fn repeat(error: &rusqlite::Error) -> StoreError {
    let code = rusqlite::ffi::Error::new(error.sqlite_error().map_or(1, |e| e.extended_code));
    StoreError::Sqlite(rusqlite::Error::SqliteFailure(code, Some(error.to_string())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::open;

    // A database that another program holds is told as such, and works again afterwards.
    #[tokio::test]
    async fn a_locked_database_is_told_and_outlived() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.db");
        let connection = open(&path).unwrap();
        connection.busy_timeout(std::time::Duration::from_millis(10)).unwrap();
        let store = Store::start(connection).unwrap();
        let other = Connection::open(&path).unwrap();
        other.execute_batch("BEGIN EXCLUSIVE").unwrap();
        let error = store.write(|books| books.set_meta("a", "1")).await.unwrap_err();
        assert!(matches!(error, StoreError::Sqlite(_)), "{error:?}");
        other.execute_batch("ROLLBACK").unwrap();
        store.write(|books| books.set_meta("a", "1")).await.unwrap();
        store.close().await;
    }

    #[tokio::test]
    async fn a_failing_write_undoes_only_itself() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::start(open(&dir.path().join("t.db")).unwrap()).unwrap();
        let (good, bad) = tokio::join!(
            store.write(|books| books.set_meta("a", "1")),
            store.write(|books| {
                books.set_meta("b", "2")?;
                Err::<(), _>(StoreError::Closed)
            }),
        );
        good.unwrap();
        bad.unwrap_err();
        let kept = store.write(|books| Ok((books.meta("a")?, books.meta("b")?))).await.unwrap();
        assert_eq!(kept, (Some("1".to_owned()), None));
        store.close().await;
    }
}
