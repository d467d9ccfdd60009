//! Whether a path can be trusted: who else may change what it leads to, and what it lies on.

use std::{
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use nix::sys::statfs::{self, FsType};

/// Sticky: only a file's owner may rename or remove it.
const STICKY: u32 = 0o1000;

/// The first directory on the way to `path` that somebody else may change, so that they could put
/// something else in its place (CASES 224). The way of the path itself and of what its links lead to.
pub(super) fn exposed(path: &Path) -> Option<(PathBuf, Exposure)> {
    let resolved = path.ancestors().find_map(|part| part.canonicalize().ok());
    path.ancestors()
        .skip(1)
        .map(Path::to_owned)
        .chain(resolved.iter().flat_map(|path| path.ancestors().skip(1).map(Path::to_owned)))
        .find_map(|dir| Some((dir.clone(), changeable(&dir)?)))
}

/// Who else may change a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Exposure {
    /// Whoever has an account.
    Everybody,
    /// Its owner, who is neither us nor root.
    OtherUser,
}

fn changeable(dir: &Path) -> Option<Exposure> {
    let data = std::fs::metadata(dir).ok()?;
    let us = nix::unistd::geteuid().as_raw();
    if data.mode() & 0o002 != 0 && data.mode() & STICKY == 0 {
        Some(Exposure::Everybody)
    } else if data.uid() != us && data.uid() != 0 {
        Some(Exposure::OtherUser)
    } else {
        None
    }
}

/// What a path lies on, where that matters to a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileSystem {
    /// A disk, or what behaves like one.
    Disk,
    /// Memory: gone after a restart.
    Memory,
    /// Another host's, or another system's: locks and shared memory cannot be relied on.
    Shared(&'static str),
    /// A container's layer: gone with the container.
    Layer,
    /// It cannot be told.
    Unknown,
}

/// What `path`, or the nearest directory above it that is there, lies on.
pub fn file_system(path: &Path) -> FileSystem {
    let there = path.ancestors().find(|path| path.exists()).unwrap_or_else(|| Path::new("/"));
    let Ok(found) = statfs::statfs(there) else { return FileSystem::Unknown };
    // Where `nix` has no name: <https://man7.org/linux/man-pages/man2/statfs.2.html>
    const SMB2: FsType = FsType(0xfe53_4d42);
    const CIFS: FsType = FsType(0xff53_4d42);
    const NINE_P: FsType = FsType(0x0102_1997);
    const FUSE: FsType = FsType(0x6573_5546);
    match found.filesystem_type() {
        statfs::TMPFS_MAGIC => FileSystem::Memory,
        statfs::OVERLAYFS_SUPER_MAGIC => FileSystem::Layer,
        statfs::NFS_SUPER_MAGIC => FileSystem::Shared("NFS"),
        SMB2 | CIFS => FileSystem::Shared("SMB"),
        NINE_P => FileSystem::Shared("9p"),
        FUSE => FileSystem::Shared("FUSE"),
        _ => FileSystem::Disk,
    }
}

/// The work tree that a path lies in, if it does: data there may be committed by mistake.
pub(super) fn work_tree(path: &Path) -> Option<&Path> {
    path.ancestors().find(|dir| dir.join(".git").exists())
}
