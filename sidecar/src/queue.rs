//! The queue to the orchestrator: a maildir whose only writer is the thread started here.
//!
//! An event is durable when [`Queue::push`] returns. The queue is bounded, a part of it kept for
//! what must not be lost, so that a chatty agent with an absent orchestrator is refused before its
//! next write and not after. Who reads the files removes them; they are counted anew each time.

mod directory;
mod worker;

use std::{
    io,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread::JoinHandle,
};

use protocol::{
    error::{ErrorCode, RpcError},
    event::{Happening, QueueEvent},
    ids::{EventId, Nonce, RunId, Slug},
};
use tokio::sync::{mpsc, oneshot};

pub use directory::{OpenError, WriteError};
use worker::{Job, Worker};

/// Jobs that may wait for the thread; above it their senders wait. As many as calls and pushes can
/// be in flight.
const JOBS_MAX: usize = 32;

/// Who speaks in an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    /// The bottle.
    pub slug: Slug,
    /// The sidecar's nonce.
    pub nonce: Nonce,
    /// The run that goes on.
    pub run: Option<RunId>,
}

/// Why an event is not in the queue.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// The bound is reached: the orchestrator does not read.
    #[error("{files} events wait for the orchestrator, the queue is full")]
    Full {
        /// How many.
        files: usize,
    },
    /// The disk does not take it.
    #[error("the event could not be stored")]
    Write(#[from] WriteError),
    /// The directory cannot be read.
    #[error("the queue cannot be read")]
    Read(#[source] io::Error),
    /// The thread is gone.
    #[error("the queue is closed")]
    Closed,
}

impl From<QueueError> for RpcError {
    fn from(error: QueueError) -> Self {
        if !matches!(error, QueueError::Full { .. }) {
            tracing::error!(error = &error as &dyn std::error::Error, "the queue failed");
        }
        Self::new(ErrorCode::QueueFull, error.to_string())
            .hint("nothing was done that is not recorded; try again later")
    }
}

/// What became of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pushed {
    /// It is durable under this id.
    Stored(EventId),
    /// A sign of life, and the last one waits still: one is enough.
    NotNeeded,
}

/// The way to the queue; cheap to clone.
#[derive(Debug, Clone)]
pub struct Queue {
    jobs: mpsc::Sender<Job>,
    reserved: Arc<AtomicUsize>,
}

/// A place kept for an event to come; given back when dropped.
#[derive(Debug)]
pub struct Place(Arc<AtomicUsize>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Queue {
    /// Opens the directory and starts the thread, which ends with the last [`Queue`].
    ///
    /// # Errors
    /// When the directory cannot be used as a queue, or no thread can be started.
    pub fn open(root: &Path) -> Result<(Self, JoinHandle<()>), OpenError> {
        let reserved = Arc::new(AtomicUsize::new(0));
        let worker = Worker::open(root, Arc::clone(&reserved))?;
        let (jobs, taken) = mpsc::channel(JOBS_MAX);
        let thread = std::thread::Builder::new()
            .name("queue".to_owned())
            .spawn(move || worker.run(taken))
            .map_err(|source| OpenError::Io { path: root.to_owned(), source })?;
        Ok((Self { jobs, reserved }, thread))
    }

    /// Keeps a place for an ordinary event, before the deed that it is to tell of.
    ///
    /// # Errors
    /// [`QueueError::Full`] when there is none.
    pub async fn reserve(&self) -> Result<Place, QueueError> {
        self.ask(|reply| Job::Reserve { reply }).await??;
        Ok(Place(Arc::clone(&self.reserved)))
    }

    /// Stores an event. `place` is the one kept for it, if any.
    ///
    /// # Errors
    /// When the queue is full or the disk does not take it; then it is not stored.
    pub async fn push(
        &self,
        stamp: Stamp,
        what: Happening,
        place: Option<Place>,
    ) -> Result<Pushed, QueueError> {
        self.ask(|reply| Job::Push { stamp, what: Box::new(what), place, reply }).await?
    }

    /// Events after the given one, oldest first, at most 64. An id that is not in the queue any
    /// more gives all: the reader knows what it has by the ids.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub async fn events(&self, after: Option<EventId>) -> Result<Vec<QueueEvent>, QueueError> {
        self.ask(|reply| Job::Events { after, reply }).await?
    }

    /// Forgets an event and those before it. One that is not there has been forgotten already.
    ///
    /// # Errors
    /// When a file cannot be removed.
    pub async fn ack(&self, up_to: EventId) -> Result<(), QueueError> {
        self.ask(|reply| Job::Ack { up_to, reply }).await?
    }

    /// How many events wait.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub async fn waiting(&self) -> Result<usize, QueueError> {
        self.ask(|reply| Job::Len { reply }).await?
    }

    async fn ask<T>(&self, job: impl FnOnce(oneshot::Sender<T>) -> Job) -> Result<T, QueueError> {
        let (reply, answer) = oneshot::channel();
        self.jobs.send(job(reply)).await.map_err(|_| QueueError::Closed)?;
        answer.await.map_err(|_| QueueError::Closed)
    }
}
