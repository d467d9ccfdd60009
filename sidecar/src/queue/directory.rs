//! The queue's directory: `tmp/` and `new/`, on one mount. Blocking; used by one thread.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use nix::errno::Errno;
use protocol::{
    event::QueueEvent,
    ids::EventId,
    limits::{QUEUE_FILE_MAX_BYTES, QUEUE_TMP_AGE},
};

/// Why the directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It cannot be read or written.
    #[error("cannot use the queue directory {}", path.display())]
    Io {
        /// Which part of it.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// `rename` cannot go from one to the other (CASES 125).
    #[error("tmp/ and new/ of the queue directory {} are not on one mount", path.display())]
    TwoMounts {
        /// The queue directory.
        path: PathBuf,
    },
}

/// Why an event could not be made durable.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// Larger than a reader takes.
    #[error("the event has {bytes} bytes, at most {QUEUE_FILE_MAX_BYTES} are allowed")]
    TooLarge {
        /// Its size as JSON.
        bytes: usize,
    },
    /// It cannot be said in JSON.
    #[error("the event cannot be written as JSON")]
    Json(#[from] serde_json::Error),
    /// The disk is full, or worse.
    #[error("cannot {step}")]
    Io {
        /// What was being done.
        step: &'static str,
        /// The cause.
        source: io::Error,
    },
}

/// What waits in `new/`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Waiting {
    pub(super) files: usize,
    pub(super) bytes: u64,
}

#[derive(Debug)]
pub(super) struct Directory {
    tmp: PathBuf,
    new: PathBuf,
}

impl Directory {
    /// Makes the two directories if they are missing, sees that events can go from one to the other,
    /// and removes what a crash left in `tmp/` long ago (CASES 117).
    pub(super) fn open(root: &Path) -> Result<Self, OpenError> {
        let (tmp, new) = (root.join("tmp"), root.join("new"));
        for dir in [&tmp, &new] {
            let io = |source| OpenError::Io { path: dir.clone(), source };
            DirBuilder::new().recursive(true).mode(0o755).create(dir).map_err(io)?;
            writable(dir).map_err(io)?;
        }
        // The kernel compares the mounts before it looks for the file, so that nothing need be
        // shown to the reader: a missing file is the good answer.
        match fs::rename(tmp.join("probe"), new.join("probe")) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
                return Err(OpenError::TwoMounts { path: root.to_owned() });
            }
            Err(source) => return Err(OpenError::Io { path: new, source }),
            Ok(()) => {}
        }
        sweep(&tmp);
        Ok(Self { tmp, new })
    }

    /// Writes an event so that it is there whole, or not at all, after any crash (CASES 126).
    pub(super) fn write(&self, event: &QueueEvent) -> Result<(), WriteError> {
        let json = serde_json::to_vec(event)?;
        if json.len() > QUEUE_FILE_MAX_BYTES {
            return Err(WriteError::TooLarge { bytes: json.len() });
        }
        let name = file_name(&event.id);
        let tmp = self.tmp.join(&name);
        let written = write_synced(&tmp, &json).and_then(|()| {
            fs::rename(&tmp, self.new.join(&name)).map_err(failed("publish the event"))
        });
        if written.is_err() {
            // It may never have been there; a leftover is swept after a day.
            fs::remove_file(&tmp).ok();
        }
        written?;
        sync(&File::open(&self.new).map_err(failed("open new/"))?)
    }

    pub(super) fn waiting(&self) -> io::Result<Waiting> {
        let mut waiting = Waiting::default();
        for entry in fs::read_dir(&self.new)? {
            // The reader may take a file away between the two calls.
            let bytes = entry?.metadata().map(|data| data.len()).unwrap_or(0);
            waiting = Waiting { files: waiting.files + 1, bytes: waiting.bytes + bytes };
        }
        Ok(waiting)
    }

    pub(super) fn holds(&self, id: &EventId) -> bool {
        self.new.join(file_name(id)).exists()
    }

    /// All events, oldest first.
    pub(super) fn list(&self) -> io::Result<Vec<EventId>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.new)? {
            let name = entry?.file_name();
            let id = name.to_str().and_then(|name| name.strip_suffix(".json")).map(str::parse);
            if let Some(Ok(id)) = id {
                found.push(id);
            }
        }
        found.sort_by_key(sequence);
        Ok(found)
    }

    pub(super) fn read(&self, id: &EventId) -> io::Result<QueueEvent> {
        let bytes = fs::read(self.new.join(file_name(id)))?;
        serde_json::from_slice(&bytes).map_err(io::Error::other)
    }

    pub(super) fn remove(&self, id: &EventId) -> io::Result<()> {
        match fs::remove_file(self.new.join(file_name(id))) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => Ok(()),
        }
    }
}

/// The number in an event's id, which gives the order.
pub(super) fn sequence(id: &EventId) -> u32 {
    id.as_str().rsplit_once('-').and_then(|(_, digits)| digits.parse().ok()).unwrap_or(0)
}

fn file_name(id: &EventId) -> String {
    format!("{id}.json")
}

fn write_synced(path: &Path, json: &[u8]) -> Result<(), WriteError> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o644)
        .open(path)
        .map_err(failed("create the event"))?;
    file.write_all(json).map_err(failed("write the event"))?;
    sync(&file)
}

/// After a failed sync nobody knows what is on the disk, and the next sync would succeed without
/// it being there. Going on would mean to lie to an agent (CASES 132).
fn sync(file: &File) -> Result<(), WriteError> {
    file.sync_all().map_err(|source| {
        if source.raw_os_error() == Some(Errno::EIO as i32) {
            tracing::error!("the disk of the queue fails, this process ends");
            std::process::abort();
        }
        WriteError::Io { step: "sync the event", source }
    })
}

fn failed(step: &'static str) -> impl FnOnce(io::Error) -> WriteError {
    move |source| WriteError::Io { step, source }
}

fn writable(dir: &Path) -> io::Result<()> {
    nix::unistd::access(dir, nix::unistd::AccessFlags::W_OK | nix::unistd::AccessFlags::X_OK)
        .map_err(io::Error::from)
}

fn sweep(tmp: &Path) {
    let Ok(entries) = fs::read_dir(tmp) else { return };
    for entry in entries.flatten() {
        let age = entry
            .metadata()
            .and_then(|data| data.modified())
            .ok()
            .and_then(|time| time.elapsed().ok());
        if age.is_some_and(|age| age > QUEUE_TMP_AGE) {
            fs::remove_file(entry.path()).ok();
        }
    }
}
