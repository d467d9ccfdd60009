//! The `bottle` binary as a process: PID 1 on its own, and the client's commands.

use std::{
    net::SocketAddr,
    process::{ExitStatus, Output, Stdio},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, AsyncWriteExt as _, BufReader},
    process::{Child, Command},
    sync::watch,
    task::JoinSet,
    time::timeout,
};

use crate::fake::{Fake, PATIENCE};

const BOTTLE: &str = env!("CARGO_BIN_EXE_bottle");

/// `bottle init`, running.
#[derive(Debug)]
pub(crate) struct Bottle {
    child: Child,
    readers: JoinSet<()>,
    stdout: watch::Receiver<Vec<String>>,
    stderr: watch::Receiver<Vec<String>>,
}

impl Bottle {
    pub(crate) fn start(fake: &Fake) -> Self {
        let mut child = Command::new(BOTTLE)
            .args(["init", "--listen", "127.0.0.1:0", "--socket"])
            .arg(fake.socket())
            .env_clear()
            .env("HOME", fake.home())
            .env("IMAGE_HOME", "/usr/local/of-the-image")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut readers = JoinSet::new();
        let stdout = collect(&mut readers, child.stdout.take().unwrap());
        let stderr = collect(&mut readers, child.stderr.take().unwrap());
        Self { child, readers, stdout, stderr }
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().unwrap().cast_signed())
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).unwrap();
    }

    /// Waits for a line on its standard output.
    pub(crate) async fn says(&mut self, line: &str) {
        let said = self.stdout.wait_for(|lines| lines.iter().any(|said| said == line));
        if timeout(PATIENCE, said).await.is_err() {
            panic!("not said: {line}; but {:?}", self.stdout.borrow());
        }
    }

    /// What the agents have said so far.
    pub(crate) fn said(&self) -> Vec<String> {
        self.stdout.borrow().clone()
    }

    /// Where the forwarder listens.
    pub(crate) async fn forwarder(&mut self) -> SocketAddr {
        let address = |line: &str| line.split_once("forwarder=")?.1.split(' ').next()?.parse().ok();
        let mut found = None;
        let told = self.stderr.wait_for(|lines| {
            found = lines.iter().find_map(|line| address(line));
            found.is_some()
        });
        timeout(PATIENCE, told).await.unwrap().unwrap();
        found.unwrap()
    }

    /// Waits for its end.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        let status = timeout(PATIENCE, self.child.wait()).await.expect("it goes on").unwrap();
        while timeout(PATIENCE, self.readers.join_next()).await.unwrap().is_some() {}
        status
    }

    /// Tells it to end and waits for that.
    pub(crate) async fn stop(mut self) -> ExitStatus {
        self.signal(Signal::SIGTERM);
        self.ended().await
    }
}

/// Collects the lines of a stream as they come.
fn collect(
    readers: &mut JoinSet<()>,
    stream: impl AsyncRead + Unpin + Send + 'static,
) -> watch::Receiver<Vec<String>> {
    let (said, lines) = watch::channel(Vec::new());
    readers.spawn(async move {
        let mut stream = BufReader::new(stream).lines();
        while let Ok(Some(line)) = stream.next_line().await {
            said.send_modify(|lines| lines.push(line));
        }
    });
    lines
}

/// Runs one of the client's commands with something on stdin.
pub(crate) async fn bottle(fake: &Fake, arguments: &[&str], stdin: &str) -> Output {
    let mut child = Command::new(BOTTLE)
        .args(arguments)
        .env_clear()
        .env("BOT_BOTTLE_SOCKET", fake.socket())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    // A command that reads no stdin may have ended by now.
    input.write_all(stdin.as_bytes()).await.ok();
    drop(input);
    timeout(PATIENCE, child.wait_with_output()).await.unwrap().unwrap()
}
