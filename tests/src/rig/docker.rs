//! Looking at the engine behind the daemon's back, and cleaning up after it.

use std::{net::Ipv4Addr, process::Stdio};

use tokio::process::Command;

use super::Fault;

/// The engine's command line, and a network of the test's own.
#[derive(Debug)]
pub struct Docker {
    network: String,
    gateway: Ipv4Addr,
}

impl Docker {
    /// Makes a bridge for sidecars; its gateway is where they reach the test's forge.
    ///
    /// # Errors
    /// When Docker does not run.
    pub(super) async fn with_network() -> Result<Self, Fault> {
        let network = format!("bot-bottle-test-{:08x}", rand::random::<u32>());
        run(&[
            "network",
            "create",
            "--opt",
            "com.docker.network.bridge.enable_icc=false",
            &network,
        ])
        .await?;
        let format = "{{(index .IPAM.Config 0).Gateway}}";
        let gateway = run(&["network", "inspect", "--format", format, &network]).await?;
        Ok(Self { gateway: gateway.trim().parse()?, network })
    }

    /// The network's name.
    pub fn network(&self) -> &str {
        &self.network
    }

    /// The host's address on the network.
    pub fn gateway(&self) -> Ipv4Addr {
        self.gateway
    }

    /// Runs `docker` and gives its output.
    ///
    /// # Errors
    /// When it fails: its error output.
    pub async fn run(&self, words: &[&str]) -> Result<String, Fault> {
        run(words).await
    }

    /// The state of a container, e.g. `running`; `None` when there is none.
    pub async fn state(&self, container: &str) -> Option<String> {
        let state = run(&["inspect", "--format", "{{.State.Status}}", container]).await.ok()?;
        Some(state.trim().to_owned())
    }

    /// Removes the containers on the network and their bottles, and the network.
    pub(super) async fn clean(&self) -> Result<(), Fault> {
        let sidecars =
            run(&["ps", "--all", "--quiet", "--filter", &format!("network={}", self.network)])
                .await?;
        for id in sidecars.split_whitespace() {
            let instance = run(&[
                "inspect",
                "--format",
                "{{index .Config.Labels \"bot-bottle.instance\"}}",
                id,
            ])
            .await?;
            let filter = format!("label=bot-bottle.instance={}", instance.trim());
            for id in
                run(&["ps", "--all", "--quiet", "--filter", &filter]).await?.split_whitespace()
            {
                run(&["rm", "--force", "--volumes", id]).await?;
            }
        }
        run(&["network", "rm", &self.network]).await.map(|_| ())
    }
}

impl Drop for Docker {
    /// A test that failed cleans up too.
    fn drop(&mut self) {
        let script = "for id in $(docker ps -aq --filter network=\"$1\"); do \
                instance=$(docker inspect --format '{{index .Config.Labels \"bot-bottle.instance\"}}' \"$id\"); \
                docker ps -aq --filter label=bot-bottle.instance=\"$instance\" | xargs -r docker rm -fv; \
            done; docker network rm \"$1\"";
        let mut command = std::process::Command::new("/bin/sh");
        command
            .args(["-c", script, "sh", &self.network])
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        // What cannot be cleaned has no reader here.
        drop(command.status());
    }
}

async fn run(words: &[&str]) -> Result<String, Fault> {
    let output = Command::new("docker").args(words).stdin(Stdio::null()).output().await?;
    if output.status.success() {
        return Ok(String::from_utf8(output.stdout)?);
    }
    let words: Vec<&str> = words.iter().take(3).copied().collect();
    Err(format!("docker {}: {}", words.join(" "), String::from_utf8_lossy(&output.stderr).trim())
        .into())
}
