//! All processes below PID 1: the agent's, and the orphans of whatever it starts.
//!
//! One place waits for children, so that nobody takes another's exit status: [`Children::reap`].

use std::{
    collections::HashMap,
    io,
    os::unix::process::ExitStatusExt as _,
    process::{Child, Command, ExitStatus},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use nix::{
    errno::Errno,
    sys::{
        signal::{Signal, kill, killpg},
        wait::{Id, WaitPidFlag, waitid, waitpid},
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
type Waiting = HashMap<Pid, Agent>;

/// A program that leads its own process group, and who is to hear of its end.
#[derive(Debug)]
struct Agent {
    child: Child,
    ended: oneshot::Sender<i32>,
}

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
        waiting.insert(pid(child.id()), Agent { child, ended });
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
            // A look takes its time: a process that it has passed may become ours while it goes on
            // to the parent that dies. The second look finds that one.
            if children().is_empty() && children().is_empty() {
                return;
            }
            for (child, life) in children() {
                if life == Life::Living {
                    // It may have ended in this moment.
                    kill(child, Signal::SIGKILL).ok();
                }
            }
            // The dead are the reaper's.
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
        let mut waiting = self.lock();
        while let Some(child) = dead_child() {
            if let Some(agent) = waiting.remove(&child) {
                // Before the leader is reaped: until then its number cannot be another group's.
                killpg(child, Signal::SIGKILL).ok();
                agent.reap();
            } else if waitpid(child, Some(WaitPidFlag::WNOHANG)) == Err(Errno::ECHILD) {
                // Somebody else has reaped it; looking again would find it no more.
                return;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Agent {
    /// Takes the exit status of a program that is known to have ended.
    fn reap(mut self) {
        let code = self.child.try_wait().ok().flatten().map_or(UNKNOWN, exit_code);
        // Nobody is left to hear it when the bottle is being stopped.
        self.ended.send(code).ok();
    }
}

/// As shells report it.
fn exit_code(status: ExitStatus) -> i32 {
    let by_signal = || status.signal().map(|signal| 128 + signal);
    status.code().or_else(by_signal).unwrap_or(UNKNOWN)
}

/// The end of a program that ended in no known way: no kernel does that.
const UNKNOWN: i32 = 255;

fn pid(id: u32) -> Pid {
    Pid::from_raw(id.cast_signed())
}

/// A child that has ended and is still to be reaped.
fn dead_child() -> Option<Pid> {
    let look = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    match waitid(Id::All, look) {
        Ok(status) => status.pid(),
        // Ended by a real-time signal, for which nix has no name: it withholds the process then.
        Err(Errno::EINVAL) => {
            children().into_iter().find(|(_, life)| *life == Life::Ended).map(|(child, _)| child)
        }
        Err(_) => None,
    }
}

/// Whether a process still runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Life {
    Living,
    Ended,
}

/// Children of this process that are not reaped yet.
fn children() -> Vec<(Pid, Life)> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    let ids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let me = std::process::id();
    ids.filter_map(|id: u32| {
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
        let (parent, life) = parent_and_life(&stat)?;
        (parent == me).then(|| (pid(id), life))
    })
    .collect()
}

/// Reads `pid (name) state ppid ...` (proc_pid_stat(5)); the name may hold anything, `)` too.
fn parent_and_life(stat: &str) -> Option<(u32, Life)> {
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut fields = fields.split(' ');
    let life = match fields.next()? {
        "Z" | "X" => Life::Ended,
        _ => Life::Living,
    };
    Some((fields.next()?.parse().ok()?, life))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_with_an_odd_name_has_a_parent() {
        assert_eq!(parent_and_life("7 (sh) S 1 7 7 0"), Some((1, Life::Living)));
        assert_eq!(parent_and_life("7 (a) Z 9 (b) c) Z 1 7"), Some((1, Life::Ended)));
        assert_eq!(parent_and_life(""), None);
        assert_eq!(parent_and_life("7 (sh) S"), None);
    }

    #[test]
    fn exit_codes_are_those_of_a_shell() {
        // As wait(2) packs them: the code in the second byte, a signal in the first.
        assert_eq!(exit_code(ExitStatus::from_raw(3 << 8)), 3);
        assert_eq!(exit_code(ExitStatus::from_raw(9)), 137);
        assert_eq!(exit_code(ExitStatus::from_raw(34)), 162);
    }
}
