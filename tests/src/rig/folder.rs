//! The installation's directory: gone at the end, whatever an agent has made in it.

use std::{os::unix::process::CommandExt as _, path::Path};

use tempfile::TempDir;

use super::Fault;

/// A directory that is removed with all that is in it.
#[derive(Debug)]
pub(super) struct Folder(TempDir);

impl Folder {
    /// Makes it.
    pub(super) fn new() -> Result<Self, Fault> {
        Ok(Self(tempfile::Builder::new().prefix("bot-bottle-").tempdir()?))
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        self.0.path()
    }

    /// Removes it now.
    pub(super) fn remove(&self) -> Result<(), Fault> {
        // The standard library holds a descriptor for each level and stops at some hundreds; `rm`
        // goes as deep as an agent can.
        let mut command = std::process::Command::new("rm");
        // Ctrl-C in a terminal is not for it.
        let command = command.args(["-rf", "--"]).arg(self.path()).process_group(0);
        let removed = command.output()?;
        if removed.status.success() {
            return Ok(());
        }
        Err(String::from_utf8_lossy(&removed.stderr).trim().into())
    }
}

impl Drop for Folder {
    /// A test that failed cleans up too.
    fn drop(&mut self) {
        // What cannot be removed has no reader here.
        drop(self.remove());
    }
}
