//! The real program: confined, undumpable, and gone when told.

use std::{
    io::Read as _,
    os::unix::{fs::MetadataExt as _, net::UnixStream},
    path::Path,
    process::{Child, Command, Output, Stdio},
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use protocol::{agent::AgentRpcClient as _, control::ControlRpcClient as _};

use crate::{
    fake_forge::number,
    harness::{TOKEN, config, eventually, grant, refused, run, secrets},
};

struct Program {
    child: Child,
    dir: tempfile::TempDir,
}

impl Drop for Program {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn command(dir: &Path) -> Command {
    let config = config(dir);
    let mut command = Command::new(env!("CARGO_BIN_EXE_sidecar"));
    command
        .arg("--agent-dir")
        .arg(config.agent_dir)
        .arg("--control-dir")
        .arg(config.control_dir)
        .arg("--queue-dir")
        .arg(config.queue_dir)
        .env_clear()
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// What it says when it ends by itself.
async fn output_of(command: Command) -> Output {
    let mut command = tokio::process::Command::from(command);
    let output = command.kill_on_drop(true).output();
    tokio::time::timeout(Duration::from_secs(30), output).await.expect("it ends").unwrap()
}

impl Program {
    async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let child = command(dir.path()).spawn().unwrap();
        let program = Self { child, dir };
        // A socket that is bound may not be listened to yet.
        let socket = program.dir.path().join("control/control.sock");
        eventually("the control socket", || UnixStream::connect(&socket).is_ok()).await;
        program
    }

    fn proc(&self, file: &str) -> String {
        std::fs::read_to_string(format!("/proc/{}/{file}", self.child.id())).unwrap()
    }

    fn client(&self, socket: &str) -> rpc::client::UdsClient {
        rpc::client::connect(&self.dir.path().join(socket), Duration::from_secs(10)).unwrap()
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().try_into().unwrap()), signal).unwrap();
    }

    async fn exit_code(&mut self) -> i32 {
        let child = &mut self.child;
        let mut status = None;
        eventually("the end of the program", || {
            status = child.try_wait().unwrap();
            status.is_some()
        })
        .await;
        status.unwrap().code().unwrap_or(-1)
    }

    fn output(&mut self) -> String {
        let mut text = String::new();
        self.child.stdout.take().unwrap().read_to_string(&mut text).unwrap();
        self.child.stderr.take().unwrap().read_to_string(&mut text).unwrap();
        text
    }
}

// TH1
#[tokio::test]
async fn it_is_confined_and_keeps_the_token_out_of_sight() {
    let mut program = Program::start().await;
    let (control, agent) =
        (program.client("control/control.sock"), program.client("agent/agent.sock"));
    control.configure(grant("http://127.0.0.1:1/"), secrets()).await.unwrap();
    control.start_run(run(1)).await.unwrap();
    let unreachable = refused(agent.post_comment(number(17), "x".to_owned()).await);
    assert!(!unreachable.message.contains(TOKEN), "{unreachable:?}");
    let mode =
        |socket: &str| std::fs::metadata(program.dir.path().join(socket)).unwrap().mode() & 0o777;
    assert_eq!([mode("control/control.sock"), mode("agent/agent.sock")], [0o600, 0o666]);
    let status = program.proc("status");
    let line = |name: &str| {
        status
            .lines()
            .find(|line| line.starts_with(name))
            .map(|line| line.split_whitespace().nth(1).unwrap().to_owned())
    };
    assert_eq!(line("NoNewPrivs:").as_deref(), Some("1"));
    let limits = program.proc("limits");
    assert!(
        limits
            .lines()
            .any(|line| line.starts_with("Max core file size") && !line.contains("unlimited")),
        "{limits}"
    );
    for file in ["environ", "cmdline"] {
        assert!(!program.proc(file).contains(TOKEN));
    }
    control.shutdown().await.unwrap();
    assert_eq!(program.exit_code().await, 0);
    let output = program.output();
    assert!(output.contains("sidecar is listening") && !output.contains(TOKEN), "{output}");
    for line in output.lines() {
        serde_json::from_str::<serde_json::Value>(line).unwrap();
    }
}

/// An undumpable process's `/proc` files belong to root, whoever runs it. As root that says
/// nothing, so this starts it as another user where it may.
#[tokio::test]
async fn it_is_not_dumpable() {
    use std::os::unix::process::CommandExt as _;
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    // The build directory may be closed to others: a copy is not.
    let dir = tempfile::Builder::new().prefix("sidecar-test").tempdir_in("/tmp").unwrap();
    std::fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .unwrap();
    let program = dir.path().join("sidecar");
    std::fs::copy(env!("CARGO_BIN_EXE_sidecar"), &program).unwrap();
    let config = config(dir.path());
    for owned in [&config.agent_dir, &config.control_dir, &config.queue_dir] {
        std::os::unix::fs::chown(owned, Some(65534), Some(65534)).unwrap();
    }
    let real = command(dir.path());
    let mut command = Command::new(&program);
    command
        .args(real.get_args())
        .uid(65534)
        .gid(65534)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut started = Program { child: command.spawn().unwrap(), dir };
    eventually("the control socket", || config.control_dir.join("control.sock").exists()).await;
    let environ = std::fs::metadata(format!("/proc/{}/environ", started.child.id())).unwrap();
    assert_eq!(environ.uid(), 0, "its memory may be read by its own user");
    started.signal(Signal::SIGTERM);
    assert_eq!(started.exit_code().await, 0);
}

#[tokio::test]
async fn sigterm_ends_it_in_order() {
    let mut program = Program::start().await;
    program
        .client("control/control.sock")
        .configure(grant("http://127.0.0.1:1/"), secrets())
        .await
        .unwrap();
    program.signal(Signal::SIGTERM);
    assert_eq!(program.exit_code().await, 0);
    assert!(program.output().contains("sidecar has ended"));
}

#[tokio::test]
async fn a_second_one_on_the_same_sockets_does_not_start() {
    let program = Program::start().await;
    let output = output_of(command(program.dir.path())).await;
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains("another process answers on the socket"), "{said}");
}

#[tokio::test]
async fn a_wrong_command_line_is_said() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sidecar"));
    command.arg("--agent-dir");
    let output = output_of(command).await;
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("--agent-dir"));
}

const PANICKING: &str = "BOT_BOTTLE_TEST_PANICS";

/// Not a test by itself: what [`the_third_panic_of_a_minute_ends_the_process`] lets end.
#[test]
fn panics() {
    let Some(times) = std::env::var_os(PANICKING) else { return };
    let times: u32 = times.to_str().unwrap().parse().unwrap();
    tracing_subscriber::fmt().with_writer(std::io::stdout).init();
    sidecar::hardening::panics::watch();
    for _ in 0..times {
        let panicked = std::thread::spawn(|| panic!("{TOKEN}")).join();
        assert!(panicked.is_err());
    }
    println!("went on");
}

// CASES 65
#[test]
fn the_third_panic_of_a_minute_ends_the_process() {
    for (times, goes_on) in [(2, true), (3, false)] {
        let output = Command::new("timeout")
            .args([
                "--foreground",
                "--signal=KILL",
                "30",
                "sh",
                "-c",
                "ulimit -c 0; exec \"$@\"",
                "sh",
            ])
            .arg(std::env::current_exe().unwrap())
            .args(["program::panics", "--exact", "--nocapture"])
            .env(PANICKING, times.to_string())
            .output()
            .unwrap();
        let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert_eq!(output.status.success(), goes_on, "{said}");
        assert_eq!(said.contains("went on"), goes_on, "{said}");
        assert_eq!(said.contains("too many panics"), !goes_on, "{said}");
        assert!(said.contains("program.rs") && !said.contains(TOKEN), "the place alone: {said}");
    }
}

/// Landlock, tried from inside: a process under the same rules may not open other files.
#[test]
fn the_rules_leave_only_the_three_directories() {
    let dir = tempfile::tempdir().unwrap();
    let config = config(dir.path());
    std::fs::write(dir.path().join("other"), "x").unwrap();
    let tried = std::thread::scope(|scope| {
        let confined = || {
            let confinement = sidecar::hardening::harden(&config).unwrap();
            let other = std::fs::read(dir.path().join("other")).map_err(|error| error.kind());
            let queue =
                std::fs::write(config.queue_dir.join("x"), "x").map_err(|error| error.kind());
            let bind = std::net::TcpListener::bind("127.0.0.1:0").map_err(|error| error.kind());
            (confinement, other, queue, bind.map(drop))
        };
        scope.spawn(confined).join().unwrap()
    });
    let (confinement, other, queue, bind) = tried;
    if confinement == sidecar::hardening::Confinement::None {
        return;
    }
    let denied = Err(std::io::ErrorKind::PermissionDenied);
    assert_eq!((other.map(drop), queue), (denied, Ok(())));
    if confinement == sidecar::hardening::Confinement::Full {
        assert_eq!(bind, denied);
    }
}
