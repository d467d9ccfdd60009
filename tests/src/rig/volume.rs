//! A file system of the test's own, small enough to be filled.

use std::{
    fs::File,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use nix::{
    fcntl::{FallocateFlags, fallocate},
    sys::statvfs::statvfs,
};

use super::Fault;

/// A file system in memory, mounted until it is dropped.
#[derive(Debug)]
pub struct Volume {
    path: PathBuf,
}

impl Volume {
    /// Mounts one of this size at a directory that is there.
    ///
    /// # Errors
    /// When it cannot be mounted, with the reason.
    pub fn mount(path: &Path, mebibytes: u32) -> Result<Self, Fault> {
        let options = format!("size={mebibytes}m,mode=0711");
        run(&["mount", "-t", "tmpfs", "-o", &options, "bot-bottle-test"], path)?;
        Ok(Self { path: path.to_owned() })
    }

    /// Bytes that are free.
    ///
    /// # Errors
    /// When it cannot be asked.
    pub fn free(&self) -> Result<u64, Fault> {
        let stat = statvfs(&self.path)?;
        Ok(stat.blocks_available().saturating_mul(stat.fragment_size()))
    }

    /// Fills it until only so many bytes are free.
    ///
    /// # Errors
    /// When it cannot be filled.
    pub fn fill(&self, leave: u64) -> Result<(), Fault> {
        let length = i64::try_from(self.free()?.saturating_sub(leave))?;
        let file = File::create(self.filler())?;
        Ok(fallocate(&file, FallocateFlags::empty(), 0, length)?)
    }

    /// Makes room again.
    ///
    /// # Errors
    /// When the filling cannot be removed.
    pub fn empty(&self) -> Result<(), Fault> {
        Ok(std::fs::remove_file(self.filler())?)
    }

    fn filler(&self) -> PathBuf {
        self.path.join("filler")
    }
}

impl Drop for Volume {
    /// At once, whoever still has files open in it.
    fn drop(&mut self) {
        // What cannot be unmounted has no reader here.
        drop(run(&["umount", "--lazy"], &self.path));
    }
}

fn run(words: &[&str], path: &Path) -> Result<(), Fault> {
    let (program, words) = words.split_first().ok_or("no program")?;
    let output = Command::new(program)
        .args(words)
        .arg(path)
        // Ctrl-C in a terminal is not for it.
        .process_group(0)
        .stdin(Stdio::null())
        .output()?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{program} {}: {}", path.display(), String::from_utf8_lossy(&output.stderr).trim())
        .into())
}
