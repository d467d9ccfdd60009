//! Commands that are interrupted, or whose daemon is silent.

use std::{
    io::{Read as _, Write as _},
    os::unix::{
        net::{UnixListener, UnixStream},
        process::ExitStatusExt as _,
    },
    process::{Child, Stdio},
    sync::mpsc::sync_channel,
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::{home, orchestrate};

/// More than any of it takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// A program that does not outlive its test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

// CASES 228
#[test]
fn an_interrupted_command_ends_at_once_without_a_word() {
    let commands: &[&[&str]] = &[
        &["status"],
        &["status", "--watch"],
        &["status", "--json"],
        &["explain", "7"],
        &["logs", "a-bcdfg"],
        &["logs", "-f", "a-bcdfg"],
        &["attach", "a-bcdfg"],
        &["cancel", "7"],
        &["destroy", "a-bcdfg"],
        &["freeze", "a-bcdfg"],
        &["resume", "7", "--prompt", "x"],
        &["start", "--agent", "a", "--prompt", "x"],
        &["prune", "--older-than", "1d"],
    ];
    let home = home();
    let dir = home.path().join(".bot-bottle");
    std::fs::create_dir(&dir).unwrap();
    let silent = UnixListener::bind(dir.join("operator.sock")).unwrap();
    let (asked, told) = sync_channel(commands.len());
    // Takes what it is asked and never answers, until nobody listens to it any more.
    let daemon = std::thread::spawn(move || {
        let mut held = Vec::new();
        for stream in silent.incoming().map_while(Result::ok) {
            let mut first = [0; 1];
            let mut reader = &stream;
            if reader.read_exact(&mut first).is_ok() && asked.send(()).is_err() {
                return;
            }
            held.push(stream);
        }
    });
    for arguments in commands {
        let child = orchestrate(home.path(), arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut running = Running(child);
        told.recv_timeout(PATIENCE).expect("it asks the daemon");
        let pid = Pid::from_raw(i32::try_from(running.0.id()).unwrap());
        kill(pid, Signal::SIGINT).unwrap();
        let deadline = jiff::Timestamp::now() + jiff::SignedDuration::try_from(PATIENCE).unwrap();
        let status = loop {
            if let Some(status) = running.0.try_wait().unwrap() {
                break status;
            }
            assert!(jiff::Timestamp::now() < deadline, "{arguments:?} goes on");
            std::thread::yield_now();
        };
        assert_eq!((status.code(), status.signal()), (Some(130), None), "{arguments:?}");
        let mut words = String::new();
        running.0.stdout.take().unwrap().read_to_string(&mut words).unwrap();
        running.0.stderr.take().unwrap().read_to_string(&mut words).unwrap();
        assert_eq!(words, "", "{arguments:?}");
    }
    drop(told);
    UnixStream::connect(dir.join("operator.sock")).unwrap().write_all(b"x").unwrap();
    daemon.join().unwrap();
}
