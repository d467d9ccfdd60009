//! One queue directory, read as if an attacker had filled it.
//!
//! Directories are opened once without following links; files are opened relative to them, without
//! following links and without waiting (a FIFO would), checked on the open descriptor, and read up
//! to a limit. A name that is not one of ours is never used for anything but moving it away.

use std::{
    ffi::{CStr, CString},
    fs::File,
    io::{self, Read as _},
    os::{fd::OwnedFd, unix::fs::MetadataExt as _},
    path::Path,
};

use nix::{
    dir::Dir,
    errno::Errno,
    fcntl::{OFlag, open, openat, renameat},
    sys::stat::Mode,
    unistd::{UnlinkatFlags, unlinkat},
};
use protocol::{
    event::{QueueEvent, VERSION},
    ids::{EventId, Nonce},
    limits,
};
use sha2::{Digest as _, Sha256};

/// Names of one directory that are looked at in one scan: an honest sidecar leaves
/// [`limits::QUEUE_FILES_MAX`], and what a hostile one adds has its turn in later scans.
const NAMES_MAX: usize = 10_000;
/// Files in `bad/`. They are for people to look at: the first tell enough.
const BAD_FILES_MAX: usize = 100;

/// A file that was found.
#[derive(Debug)]
pub(super) struct Found {
    name: CString,
    /// Its event, or why it cannot be used.
    pub content: Result<QueueEvent, &'static str>,
    /// SHA-256 of its bytes in hexadecimal; empty where they were not read.
    pub digest: String,
}

impl Found {
    /// The name, safe to print.
    pub(super) fn shown(&self) -> String {
        self.name.to_string_lossy().escape_default().to_string()
    }
}

/// Device and inode of a directory.
pub(super) type Identity = (u64, u64);

/// Reads the oldest files of `<queue>/new`: those under another nonce than the current one first,
/// then by sequence, of as many as one look takes in. `owner` is the only user whose files count.
pub(super) fn read(
    queue: &Path,
    owner: u32,
    current: Option<&Nonce>,
) -> io::Result<(Identity, Vec<Found>)> {
    let new = directory(queue, c"new")?;
    let data = nix::sys::stat::fstat(&new)?;
    let mut names = names(&new, NAMES_MAX)?;
    let is_current = |name: &CString| {
        current.is_some_and(|nonce| name.to_bytes().starts_with(nonce.as_str().as_bytes()))
    };
    names.sort_by_key(|name| (is_current(name), name.clone()));
    names.truncate(limits::QUEUE_FILES_PER_SCAN);
    let examine = |name: CString| {
        let bytes = content(&new, &name, owner);
        let digest = bytes.as_ref().map(Sha256::digest).map(hex::encode).unwrap_or_default();
        let content = bytes.and_then(|bytes| event(&name, &bytes));
        Found { name, content, digest }
    };
    Ok(((data.st_dev, data.st_ino), names.into_iter().map(examine).collect()))
}

/// Unlinks what was used and moves the rest to `bad/`. One that cannot be moved keeps nothing else.
pub(super) fn clear(queue: &Path, found: &[Found]) -> io::Result<()> {
    let new = directory(queue, c"new")?;
    let clear_one = |file: &Found| {
        if file.content.is_ok() {
            gone(unlinkat(&new, file.name.as_c_str(), UnlinkatFlags::NoRemoveDir))
        } else {
            put_away(queue, &new, &file.name)
        }
    };
    let cleared: Vec<io::Result<()>> = found.iter().map(clear_one).collect();
    cleared.into_iter().collect()
}

/// Moves a file to `bad/`; where that is not possible or enough are there, removes it.
fn put_away(queue: &Path, new: &OwnedFd, name: &CStr) -> io::Result<()> {
    let bad = directory(queue, c"bad");
    let keep = || -> io::Result<()> {
        let bad = bad.as_ref().map_err(|error| io::Error::from(error.kind()))?;
        Ok(renameat(new, name, bad, name)?)
    };
    let has_room = bad
        .as_ref()
        .is_ok_and(|bad| names(bad, BAD_FILES_MAX).is_ok_and(|kept| kept.len() < BAD_FILES_MAX));
    if has_room && keep().is_ok() {
        return Ok(());
    }
    gone(unlinkat(new, name, UnlinkatFlags::NoRemoveDir))
        .or_else(|_| gone(unlinkat(new, name, UnlinkatFlags::RemoveDir)))
        // A directory that is not empty: out of the way is better than in it.
        .or_else(|_| keep())
}

fn gone(result: nix::Result<()>) -> io::Result<()> {
    match result {
        Ok(()) | Err(Errno::ENOENT) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Opens a part of the queue. What a hostile sidecar has put in its place counts as nothing there:
/// it must not keep its bottle from being removed.
fn directory(queue: &Path, part: &CStr) -> io::Result<OwnedFd> {
    let flags = OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC | OFlag::O_RDONLY;
    let queue = open(queue, flags, Mode::empty())?;
    match openat(&queue, part, flags, Mode::empty()) {
        Ok(dir) => Ok(dir),
        Err(Errno::ENOTDIR | Errno::ELOOP) => {
            tracing::warn!(?part, "a part of a queue is no directory any more");
            Err(io::ErrorKind::NotFound.into())
        }
        Err(error) => Err(error.into()),
    }
}

/// Some names of a directory, at most `max`.
fn names(dir: &OwnedFd, max: usize) -> io::Result<Vec<CString>> {
    // `Dir` takes the descriptor for itself and moves its position.
    let own =
        openat(dir, c".", OFlag::O_DIRECTORY | OFlag::O_CLOEXEC | OFlag::O_RDONLY, Mode::empty())?;
    let mut names = Vec::new();
    for entry in Dir::from_fd(own)?.iter() {
        let name = entry?.file_name().to_owned();
        if names.len() == max {
            break;
        }
        if !matches!(name.to_bytes(), b"." | b"..") {
            names.push(name);
        }
    }
    Ok(names)
}

fn id(name: &CStr) -> Result<EventId, &'static str> {
    let id = name.to_str().ok().and_then(|name| name.strip_suffix(".json"));
    id.and_then(|id| id.parse().ok()).ok_or("its name is not an event's")
}

fn event(name: &CStr, bytes: &[u8]) -> Result<QueueEvent, &'static str> {
    let id = id(name)?;
    // Looked at before the whole, so that a newer writer is told apart from a broken one.
    #[derive(serde::Deserialize)]
    struct Versioned {
        version: u32,
    }
    let Versioned { version } = serde_json::from_slice(bytes).map_err(|_| "it is not an event")?;
    if version != VERSION {
        return Err("it has a version that is not known here");
    }
    let event: QueueEvent = serde_json::from_slice(bytes).map_err(|_| "it is not an event")?;
    if event.id != id {
        return Err("its name is another event's");
    }
    Ok(event)
}

/// The bytes of a plain file that its owner wrote and nobody else links to.
fn content(dir: &OwnedFd, name: &CStr, owner: u32) -> Result<Vec<u8>, &'static str> {
    id(name)?;
    let flags = OFlag::O_RDONLY
        | OFlag::O_NOFOLLOW
        | OFlag::O_NONBLOCK
        | OFlag::O_CLOEXEC
        | OFlag::O_NOCTTY;
    let file =
        File::from(openat(dir, name, flags, Mode::empty()).map_err(|_| "it cannot be opened")?);
    let data = file.metadata().map_err(|_| "it cannot be examined")?;
    if !data.is_file() {
        return Err("it is not a plain file");
    }
    if data.nlink() != 1 {
        return Err("it has another name elsewhere");
    }
    if data.uid() != owner {
        return Err("it belongs to somebody else");
    }
    if data.mode() & 0o7000 != 0 {
        return Err("it has special rights");
    }
    let limit = limits::QUEUE_FILE_MAX_BYTES as u64;
    if data.len() > limit {
        return Err("it is too large");
    }
    let mut bytes = Vec::new();
    // It may grow while it is read: what is over the limit is not read.
    file.take(limit + 1).read_to_end(&mut bytes).map_err(|_| "it cannot be read")?;
    if bytes.len() as u64 > limit { Err("it is too large") } else { Ok(bytes) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_into_a_directory_takes_in_so_many_names_and_no_more() {
        let queue = tempfile::tempdir().unwrap();
        std::fs::create_dir(queue.path().join("new")).unwrap();
        for n in 0..NAMES_MAX + 50 {
            std::fs::write(queue.path().join(format!("new/{n}")), b"").unwrap();
        }
        let new = directory(queue.path(), c"new").unwrap();
        assert_eq!(names(&new, 3).unwrap().len(), 3);
        assert_eq!(names(&new, NAMES_MAX).unwrap().len(), NAMES_MAX);
        assert_eq!(names(&new, usize::MAX).unwrap().len(), NAMES_MAX + 50);
    }
}
