//! Looking at the engine behind the daemon's back, and cleaning up after it.

use std::{
    net::Ipv4Addr,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::Stdio,
};

use rusqlite::{Connection, OpenFlags, OptionalExtension as _};
use tokio::process::Command;

use super::{EnginePlace, Fault};

/// Removes the containers labelled with the installation `$2` (none if it is empty) until there are
/// none: a request of a daemon that was killed may still be under way. Then the network `$1`, if
/// it is there. Says on standard error what is left.
const CLEAN: &str = r#"
ours() { [ -z "$2" ] || docker ps --all --quiet --filter "label=bot-bottle.instance=$2"; }
for round in 1 2 3; do
    left=$(ours "$@") || exit 1
    [ -z "$left" ] || docker rm --force --volumes $left >/dev/null
    docker network inspect "$1" >/dev/null 2>&1 || exit 0
    docker network rm "$1" >/dev/null && [ -z "$(ours "$@")" ] && exit 0
done
exit 1
"#;

/// The engine's command line, and a network of the test's own.
#[derive(Debug)]
pub struct Docker {
    /// Another engine than the machine's own.
    engine: Option<EnginePlace>,
    network: String,
    gateway: Ipv4Addr,
    database: PathBuf,
}

impl Docker {
    /// Makes a bridge for sidecars; its gateway is where they reach the test's forge. In `database`
    /// the daemon will note under which name it makes containers.
    ///
    /// # Errors
    /// When Docker does not run.
    pub(super) async fn with_network(
        database: &Path,
        engine: Option<EnginePlace>,
    ) -> Result<Self, Fault> {
        // Before the network is made, so that it is removed however this ends.
        let mut docker = Self {
            engine,
            network: format!("bot-bottle-test-{:08x}", rand::random::<u32>()),
            gateway: Ipv4Addr::UNSPECIFIED,
            database: database.to_owned(),
        };
        let option = "com.docker.network.bridge.enable_icc=false";
        let mut words = vec!["network", "create", "--opt", option];
        let bridge = docker.engine.as_ref().map(|engine| {
            let name = format!("com.docker.network.bridge.name={}", engine.bridge);
            (name, engine.subnet.clone(), engine.gateway.to_string())
        });
        if let Some((name, subnet, gateway)) = &bridge {
            words.extend(["--opt", name, "--subnet", subnet, "--gateway", gateway]);
        }
        words.push(&docker.network);
        docker.run(&words).await?;
        let format = "{{(index .IPAM.Config 0).Gateway}}";
        let words = ["network", "inspect", "--format", format, &docker.network];
        let gateway = docker.run(&words).await?;
        docker.gateway = gateway.trim().parse()?;
        Ok(docker)
    }

    /// The network's name.
    pub fn network(&self) -> &str {
        &self.network
    }

    /// The host's address on the network.
    pub fn gateway(&self) -> Ipv4Addr {
        self.gateway
    }

    /// What the daemon labels its containers with; `None` when it never came that far.
    ///
    /// # Errors
    /// When the daemon's database cannot be read.
    pub fn instance(&self) -> Result<Option<String>, Fault> {
        if !self.database.exists() {
            return Ok(None);
        }
        // Not read-only: after a crash somebody has to read the write-ahead log.
        let books = Connection::open_with_flags(
            &self.database,
            OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
        )?;
        let known = "SELECT 1 FROM sqlite_schema WHERE name = 'meta'";
        if !books.prepare(known)?.exists([])? {
            return Ok(None);
        }
        let asked = "SELECT value FROM meta WHERE key = 'instance'";
        Ok(books.query_row(asked, [], |row| row.get(0)).optional()?)
    }

    /// Runs `docker` and gives its output.
    ///
    /// # Errors
    /// When it fails: its error output.
    pub async fn run(&self, words: &[&str]) -> Result<String, Fault> {
        run(self.host().as_deref(), words).await
    }

    /// How the command line is told of another engine.
    fn host(&self) -> Option<String> {
        self.engine.as_ref().map(|engine| format!("unix://{}", engine.socket.display()))
    }

    /// The state of a container, e.g. `running`; `None` when there is none.
    pub async fn state(&self, container: &str) -> Option<String> {
        let state =
            self.run(&["inspect", "--format", "{{.State.Status}}", container]).await.ok()?;
        Some(state.trim().to_owned())
    }

    /// The names of the installation's containers, running or not.
    ///
    /// # Errors
    /// When Docker does not answer.
    pub async fn containers(&self) -> Result<Vec<String>, Fault> {
        let Some(instance) = self.instance()? else { return Ok(Vec::new()) };
        let filter = format!("label=bot-bottle.instance={instance}");
        let names =
            self.run(&["ps", "--all", "--filter", &filter, "--format", "{{.Names}}"]).await?;
        Ok(names.lines().map(str::to_owned).collect())
    }

    /// Removes the installation's containers and network. To be called when the daemon has ended.
    pub(super) fn clean(&self) -> Result<(), Fault> {
        let instance = self.instance()?.unwrap_or_default();
        let mut command = std::process::Command::new("timeout");
        if let Some(host) = self.host() {
            command.env("DOCKER_HOST", host);
        }
        let cleaned = command
            .args(["--kill-after=1", "120", "/bin/sh"])
            .args(["-c", CLEAN, "sh", &self.network, &instance])
            // A second Ctrl-C in a terminal is not for it either.
            .process_group(0)
            .stdin(Stdio::null())
            .output()?;
        if cleaned.status.success() {
            return Ok(());
        }
        let error = String::from_utf8_lossy(&cleaned.stderr).trim().to_owned();
        Err(format!("cannot clean up {} of {instance:?}: {error}", self.network).into())
    }
}

impl Drop for Docker {
    /// A test that failed cleans up too.
    fn drop(&mut self) {
        // What cannot be cleaned has no reader here.
        drop(self.clean());
    }
}

async fn run(host: Option<&str>, words: &[&str]) -> Result<String, Fault> {
    let mut command = Command::new("timeout");
    // No call may hang a test.
    command.args(["--kill-after=1", "55", "docker"]);
    if let Some(host) = host {
        command.env("DOCKER_HOST", host);
    }
    let output = command
        .args(words)
        .stdin(Stdio::null())
        // Ctrl-C in a terminal is not for it.
        .process_group(0)
        .output()
        .await?;
    if output.status.success() {
        return Ok(String::from_utf8(output.stdout)?);
    }
    let words: Vec<&str> = words.iter().take(3).copied().collect();
    Err(format!("docker {}: {}", words.join(" "), String::from_utf8_lossy(&output.stderr).trim())
        .into())
}
