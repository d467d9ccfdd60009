//! The thread that owns the connection and groups commits.

use std::{fs, path::PathBuf, sync::Arc, thread::JoinHandle, time::Duration};

use rusqlite::Connection;
use tokio::{
    sync::{Mutex, mpsc, oneshot},
    time::Instant,
};

use super::{
    Books, StoreError,
    crash::{self, Point},
};

/// Closures that may wait; more senders wait for room. A second of webhooks at full speed.
const QUEUE: usize = 1024;
/// Closures that share one commit; bounds how long the first of them waits.
const BATCH: usize = 128;
/// What is kept of the write-ahead log when it is empty again; SQLite empties it at 4 MB.
pub(super) const WAL_KEPT_BYTES: u32 = 16 << 20;
/// A log of this size means that somebody has been reading for long.
const WAL_ODD_BYTES: u64 = 64 << 20;
/// Between two remarks on it.
const WAL_REMARK: Duration = Duration::from_secs(60);

/// Runs inside the transaction, or hears why there is none.
type Job = Box<dyn FnOnce(Result<&Connection, StoreError>) -> Ran + Send>;

/// What is left to do of a job.
struct Ran {
    /// To be called after the commit, with its failure.
    answer: Box<dyn FnOnce(Option<StoreError>) + Send>,
    /// SQLite's failure, which may have ended the transaction.
    failure: Option<rusqlite::Error>,
}

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
        let (job, answered) = job(work);
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

/// Work as a job, and where its answer comes.
fn job<T, F>(work: F) -> (Job, oneshot::Receiver<Result<T, StoreError>>)
where
    T: Send + 'static,
    F: FnOnce(&Books<'_>) -> Result<T, StoreError> + Send + 'static,
{
    let (answer, answered) = oneshot::channel();
    let job: Job = Box::new(move |connection| {
        let result = connection.and_then(|connection| in_savepoint(connection, work));
        let failure = match &result {
            Err(StoreError::Sqlite(error)) => Some(copy(error)),
            Ok(_) | Err(_) => None,
        };
        let answer = Box::new(move |failure: Option<StoreError>| {
            // Nobody waits any more: the work is done all the same.
            drop(answer.send(failure.map_or(result, Err)));
        });
        Ran { answer, failure }
    });
    (job, answered)
}

fn in_savepoint<T>(
    connection: &Connection,
    work: impl FnOnce(&Books<'_>) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    connection.execute_batch("SAVEPOINT work")?;
    let result = work(&Books::new(connection));
    if connection.is_autocommit() {
        // SQLite has ended the whole transaction, as it does when the disk is full.
        return result;
    }
    let end = if result.is_ok() { "RELEASE work" } else { "ROLLBACK TO work; RELEASE work" };
    connection.execute_batch(end)?;
    result
}

fn write_all(connection: Connection, mut inbox: mpsc::Receiver<Job>) {
    let mut log = LogWatch::new(&connection);
    let mut batch = Vec::with_capacity(BATCH);
    while inbox.blocking_recv_many(&mut batch, BATCH) > 0 {
        let mut jobs = batch.drain(..);
        while jobs.len() > 0 {
            write_batch(&connection, &mut jobs);
        }
        drop(jobs);
        log.look();
    }
}

/// Does jobs in one transaction and answers them when it has ended. One that ends early, as on a
/// full disk, takes with it what it has done; the jobs that are left have another one.
fn write_batch(connection: &Connection, jobs: &mut impl Iterator<Item = Job>) {
    if let Err(error) = connection.execute_batch("BEGIN IMMEDIATE") {
        tracing::error!(%error, "cannot begin a transaction");
        for job in jobs {
            (job(Err(repeat(&error))).answer)(None);
        }
        return;
    }
    let before = connection.total_changes();
    let mut answers = Vec::new();
    let mut failure = None;
    for job in jobs {
        let ran = job(Ok(connection));
        answers.push(ran.answer);
        if connection.is_autocommit() {
            failure = Some(ran.failure.unwrap_or_else(ended_early));
            break;
        }
    }
    if failure.is_none() {
        failure = commit(connection, connection.total_changes() != before);
    }
    for answer in answers {
        answer(failure.as_ref().map(repeat));
    }
}

/// Commits, or rolls back and says why.
fn commit(connection: &Connection, is_write: bool) -> Option<rusqlite::Error> {
    if is_write {
        crash::at(Point::Committing);
    }
    let failure = connection.execute_batch("COMMIT").err();
    if let Some(error) = &failure {
        stop_if_unsure(error);
        drop(connection.execute_batch("ROLLBACK"));
    }
    if is_write {
        crash::at(Point::Committed);
    }
    failure
}

fn ended_early() -> rusqlite::Error {
    let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_ABORT);
    rusqlite::Error::SqliteFailure(code, Some("the transaction ended by itself".to_owned()))
}

/// Remarks on a write-ahead log that grows because somebody reads for ever (CASES 211). What can be
/// done about it is the operator's: the reader is another program.
struct LogWatch {
    file: Option<PathBuf>,
    remarked: Option<Instant>,
}

impl LogWatch {
    fn new(connection: &Connection) -> Self {
        let file = connection.path().map(|path| PathBuf::from(format!("{path}-wal")));
        Self { file, remarked: None }
    }

    /// Whether it remarked.
    fn look(&mut self) -> bool {
        let bytes =
            self.file.as_ref().and_then(|file| fs::metadata(file).ok()).map_or(0, |log| log.len());
        let said = self.remarked.is_some_and(|at| at.elapsed() < WAL_REMARK);
        if bytes < WAL_ODD_BYTES || said {
            return false;
        }
        tracing::warn!(
            bytes,
            "the database's write-ahead log cannot be emptied; end the program that has been \
             reading the database for so long"
        );
        self.remarked = Some(Instant::now());
        true
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
    StoreError::Sqlite(copy(error))
}

fn copy(error: &rusqlite::Error) -> rusqlite::Error {
    let code = rusqlite::ffi::Error::new(error.sqlite_error().map_or(1, |e| e.extended_code));
    rusqlite::Error::SqliteFailure(code, Some(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::open;

    // CASES 203: a database that another program holds is told as such, and works again afterwards.
    #[tokio::test]
    async fn a_locked_database_is_told_and_outlived() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.db");
        let connection = open(&path).unwrap();
        connection.busy_timeout(Duration::from_millis(10)).unwrap();
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

    // CASES 204: what shared a transaction with it hears of it; what waits behind goes on.
    #[tokio::test]
    async fn a_full_disk_fails_what_was_rolled_back_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let connection = open(&dir.path().join("t.db")).unwrap();
        let pages: i64 = connection.query_row("PRAGMA page_count", [], |row| row.get(0)).unwrap();
        let limit = format!("PRAGMA max_page_count = {}", pages + 2);
        connection.query_row(&limit, [], |_| Ok(())).unwrap();
        let write =
            |key: &'static str, bytes| job(move |books| books.set_meta(key, &"x".repeat(bytes)));
        let jobs = [write("small", 1), write("large", 100_000), write("late", 1)];
        let (batch, outcomes): (Vec<_>, Vec<_>) = jobs.into_iter().unzip();
        let mut batch = batch.into_iter();
        while batch.len() > 0 {
            write_batch(&connection, &mut batch);
        }
        let mut kept = Vec::new();
        for outcome in outcomes {
            let outcome = outcome.await.unwrap();
            assert!(outcome.as_ref().is_ok() || outcome.as_ref().is_err_and(StoreError::is_full));
            kept.push(outcome.is_ok());
        }
        assert_eq!(kept, [false, false, true]);
        let keys: String = connection
            .query_row("SELECT group_concat(key) FROM meta", [], |row| row.get(0))
            .unwrap();
        assert_eq!(keys, "late");
    }

    // CASES 211
    #[tokio::test]
    async fn a_log_that_a_long_reader_made_grow_is_remarked_on_and_shrinks_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.db");
        let connection = open(&path).unwrap();
        let mut watch = LogWatch::new(&connection);
        let size = || fs::metadata(dir.path().join("t.db-wal")).unwrap().len();
        let reader = Connection::open(&path).unwrap();
        reader.execute_batch("BEGIN; SELECT count(*) FROM meta").unwrap();
        reader.query_row("SELECT count(*) FROM meta", [], |_| Ok(())).unwrap();
        let write = || {
            let row = ["k".to_owned(), "x".repeat(2 << 20)];
            connection.execute("INSERT OR REPLACE INTO meta VALUES (?1, ?2)", row).unwrap();
        };
        assert!(!watch.look());
        while size() < WAL_ODD_BYTES {
            write();
        }
        assert!(watch.look());
        assert!(!watch.look(), "not at every commit");
        reader.execute_batch("COMMIT").unwrap();
        for _ in 0..3 {
            write();
        }
        assert!(size() <= u64::from(WAL_KEPT_BYTES), "{}", size());
    }
}
