//! What the data directory's file system must be able to do, tried before anything is trusted to it.
//!
//! The lock, the database and the queues need names that are told apart by case, links, renames,
//! and a file system of this host's own: SQLite's shared memory and locks do not work between hosts
//! (<https://sqlite.org/wal.html>).

use std::{
    fs::{self, DirBuilder, File},
    io,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

use nix::sys::statfs::{
    AFS_SUPER_MAGIC, CODA_SUPER_MAGIC, FUSE_SUPER_MAGIC, FsType, NCP_SUPER_MAGIC, NFS_SUPER_MAGIC,
    OVERLAYFS_SUPER_MAGIC, SMB_SUPER_MAGIC, TMPFS_MAGIC, statfs,
};

/// File systems of other hosts. The numbers that `nix` has no name for are those of
/// <https://git.kernel.org/pub/scm/linux/kernel/git/torvalds/linux.git/tree/include/uapi/linux/magic.h>.
const REMOTE: [(FsType, &str); 9] = [
    (NFS_SUPER_MAGIC, "NFS"),
    (SMB_SUPER_MAGIC, "SMB"),
    (FsType(0xff53_4d42), "CIFS"),
    (FsType(0xfe53_4d42), "SMB"),
    (FsType(0x0102_1997), "9p"),
    (FsType(0x00c3_6400), "Ceph"),
    (AFS_SUPER_MAGIC, "AFS"),
    (CODA_SUPER_MAGIC, "Coda"),
    (NCP_SUPER_MAGIC, "NCP"),
];

/// What is thought of a kind of file system.
#[derive(Debug, PartialEq, Eq)]
enum Kind {
    Local,
    /// It works, and has a drawback.
    Doubtful(&'static str),
    Remote(&'static str),
}

fn kind(found: FsType) -> Kind {
    if let Some((_, name)) = REMOTE.iter().find(|(remote, _)| *remote == found) {
        return Kind::Remote(name);
    }
    match found {
        TMPFS_MAGIC => Kind::Doubtful("it is in memory, all is lost when the host stops"),
        OVERLAYFS_SUPER_MAGIC => Kind::Doubtful("it is a container's own, it goes with it"),
        FUSE_SUPER_MAGIC => Kind::Doubtful("whether its locks hold is its server's affair"),
        _ => Kind::Local,
    }
}

/// Tries a directory (CASES 134, 212).
///
/// # Errors
/// In one sentence: why it cannot be used, and what to do.
pub(super) fn probe(dir: &Path) -> Result<(), String> {
    let found = statfs(dir).map_err(|error| format!("its directory: {error}"))?;
    match kind(found.filesystem_type()) {
        Kind::Local => {}
        Kind::Doubtful(why) => {
            tracing::warn!(dir = %dir.display(), why, "an unusual file system");
        }
        Kind::Remote(name) => {
            return Err(format!(
                "its file system is {name}, which has no locks and no shared memory to rely on; \
                 set data_dir to a local disk"
            ));
        }
    }
    let scratch = Scratch::new(dir)
        .map_err(|error| format!("nothing can be written beside it ({error}); see data_dir"))?;
    try_names(&scratch.0).map_err(|why| format!("{why}; set data_dir to another file system"))
}

/// A directory that goes when it is dropped.
struct Scratch(PathBuf);

impl Scratch {
    fn new(dir: &Path) -> io::Result<Self> {
        let path = dir.join(format!(".probe-{:016x}", rand::random::<u64>()));
        DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            tracing::warn!(path = %self.0.display(), %error, "cannot remove a trial");
        }
    }
}

fn try_names(dir: &Path) -> Result<(), &'static str> {
    let [first, other_case, second, third] =
        ["name", "NAME", "second", "third"].map(|name| dir.join(name));
    File::create(&first).map_err(|_| "its file system takes no files")?;
    if other_case.exists() {
        return Err("its file system does not tell upper from lower case");
    }
    fs::hard_link(&first, &second).map_err(|_| "its file system has no hard links")?;
    fs::rename(&second, &third).map_err(|_| "its file system cannot rename")?;
    let moved = third.exists() && !second.exists();
    if moved { Ok(()) } else { Err("its file system does not rename as it says") }
}

#[cfg(test)]
mod tests {
    use super::*;

    // CASES 212: other hosts' file systems cannot be made in a test; their numbers can.
    #[test]
    fn file_systems_of_other_hosts_are_told_from_local_ones() {
        assert_eq!(kind(NFS_SUPER_MAGIC), Kind::Remote("NFS"));
        assert_eq!(kind(FsType(0x0102_1997)), Kind::Remote("9p"));
        assert_eq!(kind(FsType(0xef53)), Kind::Local, "ext4");
        assert!(matches!(kind(OVERLAYFS_SUPER_MAGIC), Kind::Doubtful(_)));
        assert!(matches!(kind(TMPFS_MAGIC), Kind::Doubtful(_)));
    }

    // CASES 134
    #[test]
    fn a_directory_that_does_not_tell_case_apart_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        probe(dir.path()).unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "nothing is left of the trial");

        // As it would look on a file system that ignores case.
        std::os::unix::fs::symlink("name", dir.path().join("NAME")).unwrap();
        assert!(try_names(dir.path()).unwrap_err().contains("case"));
    }

    // CASES 210, 212
    #[test]
    fn a_directory_that_takes_no_files_is_refused() {
        let error = probe(Path::new("/proc/self")).unwrap_err();
        assert!(error.contains("nothing can be written beside it"), "{error}");
        assert!(probe(Path::new("/nonexistent")).is_err());
    }
}
