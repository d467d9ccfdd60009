//! The thread that owns the queue's directory, and the bounds of the queue.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use jiff::Timestamp;
use protocol::{
    event::{Happening, QueueEvent, VERSION},
    ids::EventId,
    limits::{QUEUE_FILE_MAX_BYTES, QUEUE_FILES_MAX, QUEUE_FILES_RESERVED, QUEUE_MAX_BYTES},
};
use tokio::sync::{mpsc, oneshot};

use super::{
    Place, Pushed, QueueError, Stamp,
    directory::{Directory, OpenError, Waiting, sequence},
};

/// Events given out at a time; the whole queue.
const EVENTS_MAX: usize = 64;

type Reply<T> = oneshot::Sender<Result<T, QueueError>>;

#[derive(Debug)]
pub(super) enum Job {
    Reserve { reply: Reply<()> },
    Push { stamp: Stamp, what: Box<Happening>, place: Option<Place>, reply: Reply<Pushed> },
    Events { after: Option<EventId>, reply: Reply<Vec<QueueEvent>> },
    Ack { up_to: EventId, reply: Reply<()> },
    Len { reply: Reply<usize> },
}

/// How much must be left for an event to be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    /// The op log and signs of life.
    Ordinary,
    /// What changes a bottle's life; for it a part is kept free.
    Vital,
}

fn class(what: &Happening) -> Class {
    match what {
        Happening::CheckIn { .. } | Happening::Operation { .. } => Class::Ordinary,
        Happening::RunStarted {}
        | Happening::PrOpened { .. }
        | Happening::Done { .. }
        | Happening::Exited { .. } => Class::Vital,
    }
}

#[derive(Debug)]
pub(super) struct Worker {
    directory: Directory,
    next: u32,
    last_check_in: Option<EventId>,
    reserved: Arc<AtomicUsize>,
}

impl Worker {
    /// Numbers go on after the highest that waits, so that the order survives a restart.
    pub(super) fn open(root: &Path, reserved: Arc<AtomicUsize>) -> Result<Self, OpenError> {
        let directory = Directory::open(root)?;
        let waiting =
            directory.list().map_err(|source| OpenError::Io { path: root.to_owned(), source })?;
        let next = waiting.iter().map(sequence).max().unwrap_or(0) + 1;
        Ok(Self { directory, next, last_check_in: None, reserved })
    }

    /// Works until the last sender is gone. A reply that nobody waits for any more is dropped; what
    /// was stored stays stored.
    pub(super) fn run(mut self, mut jobs: mpsc::Receiver<Job>) {
        while let Some(job) = jobs.blocking_recv() {
            match job {
                Job::Reserve { reply } => reply.send(self.reserve()).unwrap_or(()),
                Job::Push { stamp, what, place, reply } => {
                    let pushed = self.push(stamp, *what, place.as_ref());
                    drop(place);
                    reply.send(pushed).unwrap_or(());
                }
                Job::Events { after, reply } => drop(reply.send(self.events(after.as_ref()))),
                Job::Ack { up_to, reply } => drop(reply.send(self.ack(&up_to))),
                Job::Len { reply } => drop(reply.send(self.waiting().map(|waiting| waiting.files))),
            }
        }
    }

    fn reserve(&self) -> Result<(), QueueError> {
        self.check_room(Class::Ordinary)?;
        self.reserved.fetch_add(1, Ordering::AcqRel);
        Ok(())
    }

    fn push(
        &mut self,
        stamp: Stamp,
        what: Happening,
        place: Option<&Place>,
    ) -> Result<Pushed, QueueError> {
        let is_check_in = matches!(what, Happening::CheckIn { .. });
        if is_check_in && self.last_check_in.as_ref().is_some_and(|id| self.directory.holds(id)) {
            return Ok(Pushed::NotNeeded);
        }
        if place.is_none() {
            self.check_room(class(&what))?;
        }
        let id = EventId::new(&stamp.nonce, self.next);
        let Stamp { slug, run, nonce: _ } = stamp;
        let event =
            QueueEvent { version: VERSION, id: id.clone(), slug, run, at: Timestamp::now(), what };
        // A number is not used again, even when its file may have been published or not.
        self.next += 1;
        self.directory.write(&event)?;
        if is_check_in {
            self.last_check_in = Some(id.clone());
        }
        Ok(Pushed::Stored(id))
    }

    /// Places kept for others count as taken, for files and for bytes.
    fn check_room(&self, class: Class) -> Result<(), QueueError> {
        let Waiting { files, bytes } = self.waiting()?;
        let kept = self.reserved.load(Ordering::Acquire);
        let free_for_vital = if class == Class::Ordinary { QUEUE_FILES_RESERVED } else { 0 };
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        let enough_files = files + kept + free_for_vital < QUEUE_FILES_MAX;
        // An operation has far less than the largest event; the part kept free takes the rest.
        let vital_bytes = if class == Class::Ordinary { 2 * QUEUE_FILE_MAX_BYTES } else { 0 };
        let enough_bytes = bytes.saturating_add(vital_bytes) < QUEUE_MAX_BYTES;
        if enough_files && enough_bytes { Ok(()) } else { Err(QueueError::Full { files }) }
    }

    fn events(&self, after: Option<&EventId>) -> Result<Vec<QueueEvent>, QueueError> {
        let listed = self.directory.list().map_err(QueueError::Read)?;
        let from =
            after.and_then(|after| listed.iter().position(|id| id == after)).map_or(0, |at| at + 1);
        let wanted = listed.into_iter().skip(from).take(EVENTS_MAX);
        // A file that was taken away meanwhile is no event any more.
        Ok(wanted.filter_map(|id| self.directory.read(&id).ok()).collect())
    }

    fn ack(&self, up_to: &EventId) -> Result<(), QueueError> {
        let listed = self.directory.list().map_err(QueueError::Read)?;
        let Some(last) = listed.iter().position(|id| id == up_to) else { return Ok(()) };
        for id in listed.iter().take(last + 1) {
            self.directory.remove(id).map_err(QueueError::Read)?;
        }
        Ok(())
    }

    fn waiting(&self) -> Result<Waiting, QueueError> {
        self.directory.waiting().map_err(QueueError::Read)
    }
}
