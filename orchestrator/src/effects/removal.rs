//! Removing a tree that an agent made: as deep, wide and twisted as it liked.
//!
//! Nothing recurses, and four descriptors are open at most, whatever the depth: a directory that is
//! not empty is moved up to the root of the tree and has its turn there. Every step names one entry
//! of an open directory and follows no link, so that nothing outside of the tree is touched.

use std::{
    ffi::{CStr, CString},
    io,
    os::fd::OwnedFd,
    path::Path,
};

use nix::{
    dir::Dir,
    errno::Errno,
    fcntl::{OFlag, open, openat, renameat},
    sys::stat::Mode,
    unistd::{UnlinkatFlags, unlinkat},
};

const DIRECTORY: OFlag =
    OFlag::O_RDONLY.union(OFlag::O_DIRECTORY).union(OFlag::O_NOFOLLOW).union(OFlag::O_CLOEXEC);

/// Removes what is at `path`, whatever it is; success when nothing is there. May be repeated: what
/// an earlier try left is found again. Blocks; asks `go_on` at each entry and ends with
/// [`io::ErrorKind::Interrupted`] when that says no.
///
/// # Errors
/// Those of the file system; the rest of the tree is still there then.
pub(super) fn remove_tree(path: &Path, go_on: &dyn Fn() -> bool) -> io::Result<()> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let name = CString::new(name.as_encoded_bytes())?;
    let parent = match open(parent, DIRECTORY, Mode::empty()) {
        Ok(parent) => parent,
        Err(Errno::ENOENT) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    // More than once only if somebody still writes to it.
    while !take(&parent, &name)? {
        let root = openat(&parent, name.as_c_str(), DIRECTORY, Mode::empty())?;
        Removal { root, moved: 0, go_on }.empty_root()?;
    }
    Ok(())
}

struct Removal<'a> {
    root: OwnedFd,
    /// How many directories were moved up; they are called by their numbers.
    moved: u64,
    go_on: &'a dyn Fn() -> bool,
}

impl Removal<'_> {
    fn empty_root(&mut self) -> io::Result<()> {
        for name in entries(&self.root)? {
            self.remove(&name?)?;
        }
        // Each may move up further ones. A name that was found taken is removed all the same.
        let mut done = 0;
        while done < self.moved {
            self.remove(&moved_name(done)?)?;
            done += 1;
        }
        Ok(())
    }

    /// Removes an entry of the root.
    fn remove(&mut self, name: &CStr) -> io::Result<()> {
        self.check()?;
        while !take(&self.root, name)? {
            let dir = openat(&self.root, name, DIRECTORY, Mode::empty())?;
            for entry in entries(&dir)? {
                self.check()?;
                let entry = entry?;
                if !take(&dir, &entry)? {
                    self.move_up(&dir, &entry)?;
                }
            }
        }
        Ok(())
    }

    fn move_up(&mut self, dir: &OwnedFd, entry: &CStr) -> io::Result<()> {
        loop {
            self.check()?;
            let name = moved_name(self.moved)?;
            self.moved += 1;
            match renameat(dir, entry, &self.root, name.as_c_str()) {
                Ok(()) | Err(Errno::ENOENT) => return Ok(()),
                // An earlier try left that name.
                Err(Errno::ENOTEMPTY | Errno::EEXIST | Errno::ENOTDIR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn check(&self) -> io::Result<()> {
        if (self.go_on)() { Ok(()) } else { Err(io::ErrorKind::Interrupted.into()) }
    }
}

fn moved_name(number: u64) -> io::Result<CString> {
    Ok(CString::new(format!(".removed-{number}"))?)
}

/// Removes one entry; says no if it is a directory that is not empty.
fn take(dir: &OwnedFd, name: &CStr) -> nix::Result<bool> {
    match unlinkat(dir, name, UnlinkatFlags::NoRemoveDir) {
        Ok(()) | Err(Errno::ENOENT) => return Ok(true),
        // Linux says this of a directory, and removes none.
        Err(Errno::EISDIR) => {}
        Err(error) => return Err(error),
    }
    match unlinkat(dir, name, UnlinkatFlags::RemoveDir) {
        Ok(()) | Err(Errno::ENOENT) => Ok(true),
        Err(Errno::ENOTEMPTY | Errno::EEXIST) => Ok(false),
        Err(error) => Err(error),
    }
}

/// The names in a directory, read as they are asked for: there may be millions.
fn entries(dir: &OwnedFd) -> io::Result<impl Iterator<Item = nix::Result<CString>> + use<>> {
    // `Dir` takes a descriptor for itself and moves its position.
    let own = openat(dir, c".", DIRECTORY, Mode::empty())?;
    let names = Dir::from_fd(own)?.into_iter().map(|entry| Ok(entry?.file_name().to_owned()));
    Ok(names
        .filter(|name| !name.as_ref().is_ok_and(|name| matches!(name.to_bytes(), b"." | b".."))))
}

#[cfg(test)]
mod tests {
    use std::{
        fs::{self, Permissions},
        os::unix::fs::{PermissionsExt as _, symlink},
        path::PathBuf,
    };

    use nix::sys::stat::mkdirat;

    use super::*;

    fn always() -> bool {
        true
    }

    /// A tree to be removed, beside a file that must stay.
    fn tree() -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("outside")).unwrap();
        fs::write(dir.path().join("outside/file"), b"mine").unwrap();
        let tree = dir.path().join("tree");
        fs::create_dir_all(tree.join("home")).unwrap();
        (dir, tree)
    }

    fn chain(from: &Path, levels: u32) {
        let mut at = open(from, DIRECTORY, Mode::empty()).unwrap();
        for _ in 0..levels {
            mkdirat(&at, "d", Mode::S_IRWXU).unwrap();
            at = openat(&at, "d", DIRECTORY, Mode::empty()).unwrap();
        }
    }

    // On a stack and with a number of descriptors that any recursion would exhaust.
    #[test]
    fn twenty_thousand_levels_need_neither_stack_nor_descriptors() {
        let (_dir, tree) = tree();
        chain(&tree.join("home"), 20_000);
        let open_now = || fs::read_dir("/proc/thread-self/fd").unwrap().count();
        let most = std::cell::Cell::new(0);
        let before = open_now();
        let look = || {
            most.set(most.get().max(open_now()));
            true
        };
        remove_tree(&tree, &look).unwrap();
        assert!(!tree.exists());
        // Four of ours; some room for tests that run at the same time.
        assert!(most.get() < before + 100, "{} descriptors, {before} before", most.get());
    }

    #[test]
    fn links_are_removed_and_not_followed() {
        let (dir, tree) = tree();
        let home = tree.join("home");
        symlink(dir.path().join("outside"), home.join("out")).unwrap();
        symlink("..", home.join("up")).unwrap();
        symlink("loop", home.join("loop")).unwrap();
        fs::create_dir(home.join("sub")).unwrap();
        symlink("../sub", home.join("sub/self")).unwrap();
        symlink(dir.path().join("outside"), home.join("sub/out")).unwrap();
        fs::hard_link(dir.path().join("outside/file"), home.join("second")).unwrap();
        remove_tree(&tree, &always).unwrap();
        assert!(!tree.exists());
        assert_eq!(fs::read(dir.path().join("outside/file")).unwrap(), b"mine");

        let link = dir.path().join("link");
        symlink(dir.path().join("outside"), &link).unwrap();
        remove_tree(&link, &always).unwrap();
        assert!(fs::symlink_metadata(&link).is_err());
        assert!(dir.path().join("outside/file").exists());
    }

    #[test]
    fn closed_directories_and_odd_names_are_removed() {
        let (_dir, tree) = tree();
        let home = tree.join("home");
        for name in ["a/b", "a/.removed-0", "-rf", "a b\nc", ".removed-0/x"] {
            fs::create_dir_all(home.join(name)).unwrap();
            fs::write(home.join(name).join("file"), b"").unwrap();
        }
        nix::unistd::mkfifo(&home.join("a/fifo"), Mode::S_IRWXU).unwrap();
        for name in ["a/b", "a"] {
            fs::set_permissions(home.join(name), Permissions::from_mode(0o000)).unwrap();
        }
        remove_tree(&tree, &always).unwrap();
        assert!(!tree.exists());
        remove_tree(&tree, &always).unwrap();
        remove_tree(&tree.join("nothing/here"), &always).unwrap();
    }

    #[test]
    fn many_files_and_wide_trees_are_removed() {
        let (_dir, tree) = tree();
        for n in 0..20_000 {
            fs::write(tree.join("home").join(n.to_string()), b"").unwrap();
        }
        for n in 0..1000 {
            fs::create_dir_all(tree.join(format!("wide/{n}/a/b"))).unwrap();
        }
        remove_tree(&tree, &always).unwrap();
        assert!(!tree.exists());
    }

    #[test]
    fn a_removal_that_was_cut_off_is_finished_by_the_next() {
        for cut in [0, 1, 5, 20, 50] {
            let (_dir, tree) = tree();
            for n in 0..10 {
                fs::create_dir_all(tree.join(format!("home/{n}/a/b/c"))).unwrap();
            }
            let left = std::cell::Cell::new(cut);
            let some = || left.replace(left.get() - 1) > 0;
            let error = remove_tree(&tree, &some).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::Interrupted);
            assert!(tree.exists());
            remove_tree(&tree, &always).unwrap();
            assert!(!tree.exists(), "cut at {cut}");
        }
    }
}
