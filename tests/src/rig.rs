//! A whole installation for one test: a forge double, a configuration, the real `orchestrate` on a
//! real Docker engine. Everything made outside carries the installation's mark and goes with it.

mod daemon;
mod docker;
mod engine;
mod folder;
mod programs;
mod volume;
mod wait;

use std::{
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use serde_json::Value;
use tokio::process::Command;

use self::{daemon::Daemon, folder::Folder};
pub use self::{
    docker::Docker,
    engine::{EnginePlace, PrivateEngine},
    programs::Programs,
    volume::Volume,
    wait::{wait_until, wait_until_for},
};
use crate::forge_double::{Access, ForgeDouble, HookTarget, NewIssue, Options, Refusal};

/// The repository that the installation serves.
pub const REPO: &str = "alice/widget";
/// The agent's label.
pub const LABEL: &str = "bot-bottle:implementer";
/// The agent's account.
pub const BOT: &str = "implementer-bot";
/// The agent that most tests run.
pub const WORKER: &str = include_str!("../agents/worker.sh");

/// For a command of `orchestrate` that is to end by itself.
const COMMAND_PATIENCE: Duration = Duration::from_secs(60);

/// What can keep an installation from starting, in one sentence; tests and the demo print it.
pub type Fault = Box<dyn std::error::Error + Send + Sync>;

/// What differs between installations.
#[derive(Debug, Clone)]
pub struct Setup {
    /// The agent's shell script.
    pub agent: String,
    /// Lines for `[limits]` of the configuration.
    pub limits: String,
    /// The bottles' image.
    pub image: String,
    /// The repositories that are served; [`REPO`] is the first.
    pub repos: Vec<String>,
    /// Another engine than the machine's own.
    pub engine: Option<EnginePlace>,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            agent: WORKER.to_owned(),
            limits: "grace = \"5s\"\n".to_owned(),
            image: "bot-bottle/default:bookworm".to_owned(),
            repos: vec![REPO.to_owned()],
            engine: None,
        }
    }
}

/// A running installation. Fields are dropped in their order: first the daemon, so that nothing is
/// made any more, then what it made, and last the directory that says what that was.
#[derive(Debug)]
pub struct Rig {
    daemon: Option<Daemon>,
    /// The forge.
    pub forge: ForgeDouble,
    /// The engine's command line, for looking behind the daemon's back.
    pub docker: Docker,
    /// The agent's token on the forge: must be found nowhere.
    pub bot_token: String,
    /// The daemon's token on the forge: likewise.
    pub daemon_token: String,
    /// The secret of webhooks: likewise.
    pub webhook_secret: String,
    programs: Programs,
    hooks: SocketAddr,
    dir: Folder,
}

impl Rig {
    /// Starts forge, people, repository, webhook and daemon.
    ///
    /// # Errors
    /// What is missing on this machine, or what did not start.
    pub async fn start(setup: &Setup) -> Result<Self, Fault> {
        let programs = Programs::find()?;
        let dir = Folder::new()?;
        let database = dir.path().join("data/bot-bottle.db");
        let docker = Docker::with_network(&database, setup.engine.clone()).await?;
        let listen = SocketAddr::from((docker.gateway(), 0));
        let forge = ForgeDouble::start(Options { listen, public_host: None }).await?;
        let hooks = free_address()?;
        let webhook_secret = format!("{:032x}", rand::random::<u128>());
        let (bot_token, daemon_token) = people(&forge).await?;
        let target =
            HookTarget::everything(&format!("http://{hooks}/hooks/gitea"), &webhook_secret);
        for repo in &setup.repos {
            repository(&forge, repo).await?;
            forge.create_hook("alice", repo, target.clone()).await.map_err(refused)?;
        }
        let mut rig = Self {
            daemon: None,
            forge,
            docker,
            bot_token,
            daemon_token,
            webhook_secret,
            programs,
            hooks,
            dir,
        };
        rig.configure(setup)?;
        rig.start_daemon().await?;
        Ok(rig)
    }

    /// Writes the configuration.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn configure(&self, setup: &Setup) -> Result<(), Fault> {
        let dir = self.dir.path();
        let secrets = [
            ("daemon", &self.daemon_token),
            ("bot", &self.bot_token),
            ("webhook", &self.webhook_secret),
        ];
        for (name, secret) in secrets {
            private_file(&dir.join("secrets").join(name), secret)?;
        }
        let config = format!(
            "data_dir = \"data\"\n[forge]\nurl = {url:?}\norg = \"bot-bottle\"\nrepositories = {repos:?}\n\
             token_file = \"secrets/daemon\"\nwebhook_secret_files = [\"secrets/webhook\"]\n\
             [server]\nlisten = \"{hooks}\"\n[engine]\nnetwork = {network:?}\nprograms = {programs:?}\n{socket}\
             [limits]\n{limits}",
            url = self.forge.base_url(),
            repos = setup.repos,
            hooks = self.hooks,
            network = self.docker.network(),
            socket = setup
                .engine
                .as_ref()
                .map_or_else(String::new, |engine| { format!("socket = {:?}\n", engine.socket) }),
            programs = self.programs.inside,
            limits = setup.limits,
        );
        private_file(&dir.join("config.toml"), &config)?;
        private_file(&dir.join("agents/worker.sh"), &setup.agent)?;
        let agent = format!(
            "provider = \"command\"\nlogin = {BOT:?}\ngit_name = \"Implementer\"\n\
             git_email = \"implementer-bot@example.test\"\ntoken_file = \"../secrets/bot\"\nbottles = [\"dev\"]\n\
             command = [\"/bin/sh\", \"-c\", {script:?}]\nprompt_via = \"stdin\"\n",
            script = setup.agent,
        );
        private_file(&dir.join("agents/implementer.toml"), &agent)?;
        let profile = format!(
            "image = {:?}\nallow_unpinned = true\nmemory = \"512MiB\"\npids = 128\n",
            setup.image
        );
        private_file(&dir.join("bottles/dev.toml"), &profile)
    }

    /// Starts the daemon and waits until it answers.
    ///
    /// # Errors
    /// When it does not, or has ended before it did, with its log.
    pub async fn start_daemon(&mut self) -> Result<(), Fault> {
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.log_file())?;
        let mut command = self.orchestrate(&["serve"]);
        self.daemon = Some(Daemon::start(command.stderr(log).stdin(Stdio::null()))?);
        wait_until("the daemon answers", async || {
            !self.daemon_lives() || self.try_command(&["status", "--json"]).await.is_ok()
        })
        .await
        .and_then(
            |()| if self.daemon_lives() { Ok(()) } else { Err("the daemon has ended".into()) },
        )
        .map_err(|error| format!("{error}\n{}", self.log()).into())
    }

    /// Ends the daemon with a signal and waits for its end.
    ///
    /// # Errors
    /// When it is not running or does not end.
    pub async fn end_daemon(
        &mut self,
        signal: nix::sys::signal::Signal,
    ) -> Result<std::process::ExitStatus, Fault> {
        self.daemon.take().ok_or("the daemon does not run")?.end(signal).await
    }

    /// Runs a command of `orchestrate` and gives its output.
    ///
    /// # Errors
    /// When it fails: its error output.
    pub async fn try_command(&self, words: &[&str]) -> Result<String, Fault> {
        let output = self.orchestrate(words).stdin(Stdio::null()).output();
        let output = tokio::time::timeout(COMMAND_PATIENCE, output).await??;
        if output.status.success() {
            return Ok(String::from_utf8(output.stdout)?);
        }
        Err(format!("orchestrate {}: {}", words.join(" "), String::from_utf8_lossy(&output.stderr))
            .into())
    }

    /// The bottles as `status --json` shows them, newest first.
    ///
    /// # Errors
    /// When the daemon does not answer.
    pub async fn bottles(&self) -> Result<Vec<Value>, Fault> {
        let status: Value = serde_json::from_str(&self.try_command(&["status", "--json"]).await?)?;
        Ok(status.get("bottles").and_then(Value::as_array).cloned().unwrap_or_default())
    }

    /// Waits until the newest bottle has this status, and gives its slug.
    ///
    /// # Errors
    /// When it has not after a minute, with what it has and the daemon's log.
    pub async fn wait_for(&self, status: &str) -> Result<String, Fault> {
        self.wait_for_detail(status, "").await
    }

    /// Waits until the newest bottle has this status and its detail contains these words.
    ///
    /// # Errors
    /// As [`Rig::wait_for`].
    pub async fn wait_for_detail(&self, status: &str, words: &str) -> Result<String, Fault> {
        let matches = |bottle: &Value| {
            bottle.get("status").is_some_and(|word| word == status)
                && bottle
                    .get("detail")
                    .and_then(Value::as_str)
                    .is_some_and(|detail| detail.contains(words))
        };
        let newest =
            async || self.bottles().await.ok().and_then(|bottles| bottles.first().cloned());
        let what = format!("the bottle is {status} {words}");
        let reached =
            wait_until(&what, async || newest().await.is_some_and(|bottle| matches(&bottle)));
        if let Err(error) = reached.await {
            return Err(format!("{error}; it is {:?}\n{}", newest().await, self.log()).into());
        }
        let slug = newest().await.and_then(|bottle| Some(bottle.get("slug")?.as_str()?.to_owned()));
        slug.ok_or_else(|| "it has gone meanwhile".into())
    }

    /// Opens an issue, labels and assigns it, as a team does. Its number.
    ///
    /// # Errors
    /// The forge's refusal.
    pub async fn ask_for_work(&self, title: &str, body: &str) -> Result<u64, Fault> {
        let issue = NewIssue {
            title: title.to_owned(),
            body: Some(body.to_owned()),
            ..NewIssue::default()
        };
        let number = self.forge.create_issue("alice", REPO, &issue).await.map_err(refused)?;
        self.forge.label("alice", REPO, number, LABEL).await.map_err(refused)?;
        self.forge.assign("alice", REPO, number, BOT).await.map_err(refused)?;
        Ok(number)
    }

    /// The op log of a bottle.
    ///
    /// # Errors
    /// When the daemon does not answer.
    pub async fn op_log(&self, slug: &str) -> Result<String, Fault> {
        self.try_command(&["logs", slug]).await
    }

    /// The directory of configuration and data.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The data directory.
    pub fn data_dir(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// The daemon's log so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    /// Where webhooks go.
    pub fn hooks(&self) -> SocketAddr {
        self.hooks
    }

    /// The daemon's process.
    pub fn daemon_pid(&self) -> Option<u32> {
        self.daemon.as_ref().and_then(Daemon::pid)
    }

    /// Whether the daemon's process runs.
    pub fn daemon_lives(&self) -> bool {
        self.daemon.as_ref().is_some_and(Daemon::lives)
    }

    /// How a person runs `orchestrate` on this installation.
    pub fn command_line(&self) -> String {
        let config = self.dir.path().join("config.toml");
        format!("{} --config {}", self.programs.orchestrate.display(), config.display())
    }

    /// Ends everything and removes all that was made; says what could not be.
    ///
    /// # Errors
    /// What is left.
    pub async fn finish(mut self) -> Result<(), Fault> {
        let ended = match self.daemon.take() {
            Some(daemon) => daemon.end(nix::sys::signal::Signal::SIGTERM).await.map(|_| ()),
            None => Ok(()),
        };
        let cleaned = self.docker.clean();
        self.forge.shutdown().await;
        let removed = self.dir.remove();
        ended.and(cleaned).and(removed)
    }

    fn orchestrate(&self, words: &[&str]) -> Command {
        let mut command = Command::new(&self.programs.orchestrate);
        command.arg("--config").arg(self.dir.path().join("config.toml")).args(words);
        command
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("HOME", self.dir.path())
            // Ctrl-C in a terminal is for the one who then ends it in order.
            .process_group(0)
            .kill_on_drop(true);
        command
    }

    fn log_file(&self) -> PathBuf {
        self.dir.path().join("daemon.log")
    }
}

async fn people(forge: &ForgeDouble) -> Result<(String, String), Fault> {
    for login in ["alice", "bob", "mallory"] {
        forge.create_user(login).await.map_err(refused)?;
    }
    let bot = forge.create_user(BOT).await.map_err(refused)?;
    let daemon = forge.create_user("bottle-daemon").await.map_err(refused)?;
    forge.create_org("alice", "bot-bottle").await.map_err(refused)?;
    for member in [BOT, "bottle-daemon"] {
        forge.add_member("alice", "bot-bottle", member).await.map_err(refused)?;
    }
    Ok((bot, daemon))
}

/// A repository of alice's that the bot and bob may write to, with the agent's label.
async fn repository(forge: &ForgeDouble, repo: &str) -> Result<(), Fault> {
    forge.create_repo("alice", repo).await.map_err(refused)?;
    for writer in [BOT, "bob"] {
        forge.add_collaborator("alice", repo, writer, Access::Write).await.map_err(refused)?;
    }
    forge.add_collaborator("alice", repo, "bottle-daemon", Access::Admin).await.map_err(refused)?;
    forge.create_label("alice", repo, LABEL).await.map_err(refused)?;
    Ok(())
}

/// A refusal of the double as an error.
pub(crate) fn refused(refusal: Refusal) -> Fault {
    format!("the forge refused: {refusal:?}").into()
}

fn free_address() -> std::io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}

fn private_file(path: &Path, text: &str) -> Result<(), Fault> {
    use std::{io::Write as _, os::unix::fs::OpenOptionsExt as _};
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir)?;
    }
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?;
    Ok(file.write_all(text.as_bytes())?)
}
