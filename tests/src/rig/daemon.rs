//! The daemon's process: whoever drops it knows that it has ended.

use std::{process::ExitStatus, time::Duration};

use nix::{
    errno::Errno,
    sys::{
        signal::{Signal, kill},
        wait::{Id, WaitPidFlag, waitid},
    },
    unistd::Pid,
};
use tokio::process::{Child, Command};

use super::Fault;

/// More than the daemon's own deadline for its parts.
const END_PATIENCE: Duration = Duration::from_secs(30);

/// A daemon that does not outlive its owner.
#[derive(Debug)]
pub(super) struct Daemon(Child);

impl Daemon {
    /// Starts it.
    pub(super) fn start(command: &mut Command) -> Result<Self, Fault> {
        Ok(Self(command.spawn()?))
    }

    /// Its process, until its end is known.
    pub(super) fn pid(&self) -> Option<u32> {
        self.0.id()
    }

    /// Whether it runs; one that has ended and was not waited for does not.
    pub(super) fn lives(&self) -> bool {
        self.pid().is_some_and(|pid| {
            let status = std::fs::read_to_string(format!("/proc/{pid}/status"));
            status.is_ok_and(|status| !status.contains("\nState:\tZ"))
        })
    }

    /// Sends a signal and waits for the end.
    pub(super) async fn end(mut self, signal: Signal) -> Result<ExitStatus, Fault> {
        kill(self.process().ok_or("the daemon has ended")?, signal)?;
        Ok(tokio::time::timeout(END_PATIENCE, self.0.wait()).await??)
    }

    fn process(&self) -> Option<Pid> {
        self.pid().and_then(|pid| i32::try_from(pid).ok()).map(Pid::from_raw)
    }
}

impl Drop for Daemon {
    /// Kills it if it runs, and waits: it must make no container after others have cleaned up.
    fn drop(&mut self) {
        let Some(pid) = self.process() else { return };
        if kill(pid, Signal::SIGKILL).is_ok() {
            // Left to be reaped by the runtime, which waits for it too.
            let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT;
            while waitid(Id::Pid(pid), flags) == Err(Errno::EINTR) {}
        }
    }
}
