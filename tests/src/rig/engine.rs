//! A container engine of the test's own, which may be stopped, killed and "rebooted".
//!
//! It lives with all its containers in a process namespace: when its first process is killed, the
//! kernel kills everything in it, whatever state it is in, as a power failure would. Nothing that it
//! does reaches the machine's own engine; only its bridges are in the machine's network, where the
//! test's forge listens.

use std::{
    fs::{self, File, OpenOptions},
    net::Ipv4Addr,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::{Fault, Volume, folder::Folder, wait_until_for};

/// For the engine to start, on a machine that builds at the same time.
const START_PATIENCE: Duration = Duration::from_secs(30);
/// For it to stop its containers; more than a container's grace time.
const STOP_PATIENCE: Duration = Duration::from_secs(60);
/// For killed processes to be gone.
const DEATH_PATIENCE: Duration = Duration::from_secs(10);
/// Between two looks.
const LOOK_AGAIN: Duration = Duration::from_millis(10);
/// The first process of the namespace: reaps what is left to it, and waits.
const INIT: &str = "trap '' TERM INT HUP; while :; do sleep 3600 & wait $!; done";

/// Where a rig finds an engine, and what its network may be.
#[derive(Debug, Clone)]
pub struct EnginePlace {
    /// Its socket.
    pub socket: PathBuf,
    /// For a network that nobody else has.
    pub subnet: String,
    /// The host's address in it.
    pub gateway: Ipv4Addr,
    /// The name of its bridge.
    pub bridge: String,
}

/// An engine that does not outlive its owner.
#[derive(Debug)]
pub struct PrivateEngine {
    cage: Cage,
    engine: Option<Child>,
    mark: String,
    place: EnginePlace,
    volume: Option<Volume>,
    dir: Folder,
}

impl PrivateEngine {
    /// Starts one whose store is a file system of so many MiB, or the machine's.
    ///
    /// # Errors
    /// When it does not start, with its log.
    pub async fn start(mebibytes: Option<u32>) -> Result<Self, Fault> {
        let dir = Folder::new()?;
        let mark = format!("{:08x}", rand::random::<u32>());
        let store = dir.path().join("store");
        fs::create_dir(&store)?;
        // Before the namespace is made, so that the daemon under test sees it too.
        let volume = mebibytes.map(|size| Volume::mount(&store, size)).transpose()?;
        let [a, b] = rand::random::<[u8; 2]>();
        let place = EnginePlace {
            socket: dir.path().join("docker.sock"),
            subnet: format!("10.{}.{b}.0/24", 128 + a % 64),
            gateway: Ipv4Addr::new(10, 128 + a % 64, b, 1),
            bridge: format!("bbt{mark}"),
        };
        let cage = Cage::start()?;
        let mut engine = Self { cage, engine: None, mark, place, volume, dir };
        engine.run().await?;
        Ok(engine)
    }

    /// Where it is.
    pub fn place(&self) -> EnginePlace {
        self.place.clone()
    }

    /// Its file system, if it has one of its own.
    pub fn volume(&self) -> Option<&Volume> {
        self.volume.as_ref()
    }

    /// Starts it when it does not run, and waits until it answers.
    ///
    /// # Errors
    /// When it does not, with its log.
    pub async fn run(&mut self) -> Result<(), Fault> {
        let path = |name: &str| self.dir.path().join(name).display().to_string();
        let log = OpenOptions::new().create(true).append(true).open(self.log_file())?;
        let child = self
            .cage
            .enter()
            .arg("dockerd")
            .args(["--data-root", &path("store"), "--exec-root", &path("run")])
            .args(["--pidfile", &path("pid"), "--host", &format!("unix://{}", path("docker.sock"))])
            // No network but those that are made; nothing of the machine's is touched.
            .args(["--bridge", "none", "--iptables=false", "--ip6tables=false"])
            .args(["--cgroup-parent", &format!("/bbt{}", self.mark), "--log-level", "warn"])
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        self.engine = Some(child);
        let answers = async || self.docker(&["version"]).is_ok();
        wait_until_for(START_PATIENCE, "the private engine answers", answers)
            .await
            .map_err(|error| format!("{error}\n{}", self.log()).into())
    }

    /// Loads an image from the machine's own engine.
    ///
    /// # Errors
    /// When one of them refuses.
    pub fn load(&self, image: &str) -> Result<(), Fault> {
        let file = self.dir.path().join("image.tar");
        let name = file.display().to_string();
        docker(None, &["save", "--output", &name, image])?;
        let loaded = self.docker(&["load", "--input", &name]);
        fs::remove_file(file)?;
        loaded.map(|_| ())
    }

    /// Runs `docker` on it.
    ///
    /// # Errors
    /// When it fails: its error output.
    pub fn docker(&self, words: &[&str]) -> Result<String, Fault> {
        docker(Some(&self.place.socket), words)
    }

    /// Stops it as a service manager does; its containers are stopped with it.
    ///
    /// # Errors
    /// When it does not end.
    pub fn stop(&mut self) -> Result<(), Fault> {
        self.end(Signal::SIGTERM, STOP_PATIENCE)
    }

    /// Kills it alone; its containers go on without it.
    ///
    /// # Errors
    /// When it does not end.
    pub fn kill(&mut self) -> Result<(), Fault> {
        self.end(Signal::SIGKILL, DEATH_PATIENCE)
    }

    /// All its processes end at once, what is in memory is lost, and it starts again.
    ///
    /// # Errors
    /// When it does not.
    pub async fn reboot(&mut self) -> Result<(), Fault> {
        self.die();
        self.unlink();
        for name in ["run", "pid", "docker.sock"] {
            let path = self.dir.path().join(name);
            // What cannot be removed, the engine will complain of.
            let removed =
                if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
            drop(removed);
        }
        self.cage = Cage::start()?;
        self.run().await
    }

    /// What it wrote.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    fn log_file(&self) -> PathBuf {
        self.dir.path().join("engine.log")
    }

    fn end(&mut self, signal: Signal, patience: Duration) -> Result<(), Fault> {
        let mut engine = self.engine.take().ok_or("the engine does not run")?;
        // The child has entered the namespace and waits for the engine itself.
        for pid in children(engine.id()) {
            kill(Pid::from_raw(pid), signal)?;
        }
        if ended(&mut engine, patience) {
            return Ok(());
        }
        drop(engine.kill());
        Err(format!("the private engine does not end by {signal}\n{}", self.log()).into())
    }

    /// Its bridge, which is in the machine's network, is gone afterwards.
    fn unlink(&self) {
        let mut link = Command::new("ip");
        drop(link.args(["link", "delete", &self.place.bridge]).stdin(Stdio::null()).output());
    }

    /// Nothing of it lives afterwards.
    fn die(&mut self) {
        // A process that is frozen cannot even die.
        self.cage.kill(|| each_cgroup(&self.mark, thaw));
        if let Some(mut engine) = self.engine.take() {
            drop(engine.kill());
            ended(&mut engine, DEATH_PATIENCE);
        }
        each_cgroup(&self.mark, |dir| drop(fs::remove_dir(dir)));
    }
}

impl Drop for PrivateEngine {
    fn drop(&mut self) {
        self.die();
        self.unlink();
    }
}

/// The namespace.
#[derive(Debug)]
struct Cage(Child);

impl Cage {
    fn start() -> Result<Self, Fault> {
        // Also when the test's own process is killed: it is tied to the thread that waits for it.
        let cage = Command::new("setpriv")
            .args([
                "--pdeathsig",
                "KILL",
                "--",
                "unshare",
                "--pid",
                "--fork",
                "--kill-child=SIGKILL",
                "--mount",
                "--mount-proc",
            ])
            .args(["sh", "-c", INIT])
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let cage = Self(cage);
        let is_made = || cage.init().is_some_and(|init| !children(init).is_empty());
        if holds_within(DEATH_PATIENCE, is_made) {
            return Ok(cage);
        }
        Err("no process namespace can be made here".into())
    }

    /// The first process in it, as it is seen from outside.
    fn init(&self) -> Option<u32> {
        children(self.0.id()).first().and_then(|pid| u32::try_from(*pid).ok())
    }

    /// What a program is started with to run in it.
    fn enter(&self) -> Command {
        let mut command = Command::new("nsenter");
        let init = self.init().unwrap_or_default().to_string();
        command.args(["--target", &init, "--pid", "--mount", "--"]);
        command.process_group(0).stdin(Stdio::null());
        command
    }

    /// Kills everything in it; `help` is called until nothing is left.
    fn kill(&mut self, help: impl Fn()) {
        if let Some(init) = children(self.0.id()).first() {
            // One that is gone needs no signal.
            kill(Pid::from_raw(*init), Signal::SIGKILL).unwrap_or_default();
        }
        let is_gone = || {
            help();
            matches!(self.0.try_wait(), Ok(Some(_)) | Err(_))
        };
        if !holds_within(DEATH_PATIENCE, is_gone) {
            drop(self.0.kill());
        }
    }
}

impl Drop for Cage {
    /// A start that failed leaves none behind.
    fn drop(&mut self) {
        self.kill(|| {});
    }
}

/// Waits for a process to end; says whether it has.
fn ended(child: &mut Child, patience: Duration) -> bool {
    holds_within(patience, || matches!(child.try_wait(), Ok(Some(_))))
}

/// Waits until a condition holds; says whether it does.
#[expect(clippy::disallowed_methods, reason = "whoever is dropped cannot await")]
fn holds_within(patience: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + patience;
    while !condition() {
        if Instant::now() > deadline {
            return false;
        }
        std::thread::sleep(LOOK_AGAIN);
    }
    true
}

fn children(pid: u32) -> Vec<i32> {
    let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    text.split_whitespace().filter_map(|word| word.parse().ok()).collect()
}

/// Calls `act` for each control group of the engine, the inner ones first.
fn each_cgroup(mark: &str, act: impl Fn(&Path)) {
    let root = Path::new("/sys/fs/cgroup");
    let kinds = fs::read_dir(root).into_iter().flatten().flatten().map(|entry| entry.path());
    for kind in kinds.chain([root.to_owned()]) {
        inner_first(&kind.join(format!("bbt{mark}")), &act);
    }
}

fn inner_first(dir: &Path, act: &impl Fn(&Path)) {
    let Ok(entries) = fs::read_dir(dir) else { return };
    for entry in entries.flatten().filter(|entry| entry.path().is_dir()) {
        inner_first(&entry.path(), act);
    }
    act(dir);
}

/// In both versions of control groups.
fn thaw(dir: &Path) {
    for (file, word) in [("freezer.state", "THAWED"), ("cgroup.freeze", "0")] {
        if let Ok(mut open) = File::options().write(true).open(dir.join(file)) {
            drop(std::io::Write::write_all(&mut open, word.as_bytes()));
        }
    }
}

/// Runs `docker` on the engine behind a socket, or on the machine's own.
fn docker(socket: Option<&Path>, words: &[&str]) -> Result<String, Fault> {
    let mut command = Command::new("timeout");
    // No call may hang a test.
    command.args(["--kill-after=1", "55", "docker"]);
    if let Some(socket) = socket {
        command.arg("--host").arg(format!("unix://{}", socket.display()));
    }
    let output = command.args(words).process_group(0).stdin(Stdio::null()).output()?;
    if output.status.success() {
        return Ok(String::from_utf8(output.stdout)?);
    }
    let words: Vec<&str> = words.iter().take(2).copied().collect();
    Err(format!("docker {}: {}", words.join(" "), String::from_utf8_lossy(&output.stderr).trim())
        .into())
}
