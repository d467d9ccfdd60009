//! All processes below PID 1: the agent's, and the orphans of whatever it starts.
//!
//! One place waits for children, so that nobody takes another's exit status: [`Children::reap`].

use std::{
    collections::HashMap,
    io,
    process::Command,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use nix::{
    sys::{
        signal::{Signal, kill, killpg},
        wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid},
    },
    unistd::Pid,
};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::oneshot,
};

/// Between two looks at what is left of a run. The reaper needs a moment to take the dead away.
const SWEEP_PAUSE: Duration = Duration::from_millis(5);
/// A process that forks as fast as it is killed is given up on after so many looks; what remains
/// is bounded by the container's own limit of processes.
const SWEEPS_MAX: u32 = 200;

/// The children that somebody waits for, by process id.
type Waiting = HashMap<Pid, oneshot::Sender<i32>>;

/// Starts and reaps processes. Clones are the same one.
#[derive(Debug, Clone, Default)]
pub struct Children {
    /// Held while a process is started or reaped, so that none is reaped before it is known here.
    waiting: Arc<Mutex<Waiting>>,
}

impl Children {
    /// Starts a program that leads its own process group; what comes back is told its exit code, or
    /// 128 + the signal that ended it.
    ///
    /// # Errors
    /// Those of the operating system, `NotFound` when there is no such program.
    pub fn start_agent(&self, command: &mut Command) -> io::Result<oneshot::Receiver<i32>> {
        let mut waiting = self.lock();
        let child = command.spawn()?;
        let (ended, end) = oneshot::channel();
        waiting.insert(pid(child.id()), ended);
        Ok(end)
    }

    /// Sends a signal to the agent's process group; `false` when no agent is running.
    pub fn signal_agent(&self, signal: Signal) -> bool {
        let waiting = self.lock();
        for leader in waiting.keys() {
            // It may have ended in this moment, with the reaper still to come.
            killpg(*leader, signal).ok();
        }
        !waiting.is_empty()
    }

    /// Kills what a run has left behind: descendants that have left their process group are children
    /// of ours by now, or become so when their parents are killed.
    pub async fn sweep(&self) {
        for _ in 0..SWEEPS_MAX {
            let left = living_children();
            if left.is_empty() {
                return;
            }
            for child in left {
                // It may have ended in this moment.
                kill(child, Signal::SIGKILL).ok();
            }
            tokio::time::sleep(SWEEP_PAUSE).await;
        }
        tracing::warn!("some processes of the run would not end");
    }

    /// Reaps children as they end, for ever.
    ///
    /// # Errors
    /// When SIGCHLD cannot be listened to.
    pub fn reap(self) -> io::Result<impl Future<Output = ()> + Send> {
        let mut ended = signal(SignalKind::child())?;
        Ok(async move {
            loop {
                self.reap_all();
                // Several children may have ended by one signal.
                if ended.recv().await.is_none() {
                    return;
                }
            }
        })
    }

    fn reap_all(&self) {
        let look = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        let mut waiting = self.lock();
        while let Some(child) = waitid(Id::All, look).ok().and_then(|status| status.pid()) {
            let waited_for = waiting.remove(&child);
            if waited_for.is_some() {
                // Before the leader is reaped: until then its number cannot be another group's.
                killpg(child, Signal::SIGKILL).ok();
            }
            let Ok(status) = waitpid(child, Some(WaitPidFlag::WNOHANG)) else { return };
            if let Some(ended) = waited_for {
                // Nobody is left to hear it when the bottle is being stopped.
                ended.send(exit_code(status)).ok();
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// As shells report it.
fn exit_code(status: WaitStatus) -> i32 {
    match status {
        WaitStatus::Exited(_, code) => code,
        WaitStatus::Signaled(_, signal, _) => 128 + signal as i32,
        WaitStatus::Stopped(..)
        | WaitStatus::PtraceEvent(..)
        | WaitStatus::PtraceSyscall(_)
        | WaitStatus::Continued(_)
        | WaitStatus::StillAlive => UNKNOWN,
    }
}

/// A child that is said to have ended, and has not: no kernel does that.
const UNKNOWN: i32 = 255;

fn pid(id: u32) -> Pid {
    Pid::from_raw(id.cast_signed())
}

/// Children of this process that have not ended yet.
fn living_children() -> Vec<Pid> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    let ids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let me = std::process::id();
    ids.filter(|id| is_living_child(*id, me)).map(pid).collect()
}

fn is_living_child(id: u32, parent: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    parent_and_state(&stat).is_some_and(|(of, state)| of == parent && !matches!(state, "Z" | "X"))
}

/// Reads `pid (name) state ppid ...` (proc_pid_stat(5)); the name may hold anything, `)` too.
fn parent_and_state(stat: &str) -> Option<(u32, &str)> {
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut fields = fields.split(' ');
    let state = fields.next()?;
    Some((fields.next()?.parse().ok()?, state))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_with_an_odd_name_has_a_parent() {
        assert_eq!(parent_and_state("7 (sh) S 1 7 7 0"), Some((1, "S")));
        assert_eq!(parent_and_state("7 (a) Z 9 (b) c) Z 1 7"), Some((1, "Z")));
        assert_eq!(parent_and_state(""), None);
        assert_eq!(parent_and_state("7 (sh) S"), None);
    }

    #[test]
    fn exit_codes_are_those_of_a_shell() {
        let pid = Pid::from_raw(7);
        assert_eq!(exit_code(WaitStatus::Exited(pid, 3)), 3);
        assert_eq!(exit_code(WaitStatus::Signaled(pid, Signal::SIGKILL, false)), 137);
    }
}
