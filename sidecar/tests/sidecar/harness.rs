//! One sidecar in a temporary directory, a client for each of its sockets, and its forge.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use protocol::{
    control::{Configured, ControlRpcClient as _},
    error::RpcError,
    event::{Happening, QueueEvent},
    grant::{ForgeAccess, ForgeKind, GitIdentity, Grant, PromptVia, RunSpec, Secrets},
    secret::Secret,
};
use rpc::client::UdsClient;
use sidecar::{config::Config, phase::Settings, process::Running};
use tracing_subscriber::filter::LevelFilter;

use crate::fake_forge::{Fake, Fakes};

/// The token of every test; it must not show up anywhere.
pub(crate) const TOKEN: &str = "canary-5f2b9c77d1e84a3e";
pub(crate) const BRANCH: &str = "bot-bottle/17/implementer-k3v9q";

pub(crate) struct Bottle {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) running: Running,
    pub(crate) agent: UdsClient,
    pub(crate) control: UdsClient,
    pub(crate) forge: Arc<Fake>,
    pub(crate) forge_url: String,
}

/// Short times, so that nobody waits.
pub(crate) fn settings() -> Settings {
    Settings {
        drain_patience: Duration::from_millis(300),
        next_run_wait: Duration::from_millis(200),
        push_patience: Duration::from_millis(300),
        look_again_after: Duration::from_millis(1),
        check_in_every: Duration::from_millis(50),
    }
}

pub(crate) fn config(dir: &Path) -> Config {
    let [agent_dir, control_dir, queue_dir] =
        ["agent", "control", "queue"].map(|name| dir.join(name));
    for dir in [&agent_dir, &control_dir, &queue_dir] {
        std::fs::create_dir_all(dir).unwrap();
    }
    Config { agent_dir, control_dir, queue_dir, allow_no_landlock: true, log: LevelFilter::INFO }
}

pub(crate) fn grant(url: &str) -> Grant {
    Grant {
        slug: "implementer-k3v9q".parse().unwrap(),
        agent: "implementer".parse().unwrap(),
        forge: ForgeAccess {
            id: "home".parse().unwrap(),
            kind: ForgeKind::Gitea,
            url: url.parse().unwrap(),
            ca_pem: None,
        },
        repo: "alice/widget".parse().unwrap(),
        issue: Some("17".parse().unwrap()),
        pull_requests: vec![],
        base: "main".parse().unwrap(),
        branch: BRANCH.parse().unwrap(),
        identity: GitIdentity {
            login: "bot".parse().unwrap(),
            name: "Bot".to_owned(),
            email: "bot@example.org".to_owned(),
        },
    }
}

pub(crate) fn secrets() -> Secrets {
    Secrets { forge_token: Secret::parse(TOKEN).unwrap() }
}

pub(crate) fn run(number: u32) -> RunSpec {
    RunSpec {
        run: format!("implementer-k3v9q.{number}").parse().unwrap(),
        command: vec!["true".to_owned()],
        prompt_via: PromptVia::Stdin,
        prompt: "do it".to_owned(),
        env: [].into(),
    }
}

impl Bottle {
    /// Without a grant.
    pub(crate) fn fresh(settings: Settings) -> Self {
        Self::in_dir(tempfile::tempdir().unwrap(), Arc::default(), settings)
    }

    pub(crate) fn in_dir(dir: tempfile::TempDir, forge: Arc<Fake>, settings: Settings) -> Self {
        let config = config(dir.path());
        let running =
            Running::start(&config, Box::new(Fakes(Arc::clone(&forge))), settings).unwrap();
        let client = |path: PathBuf| rpc::client::connect(&path, Duration::from_secs(10)).unwrap();
        let agent = client(config.agent_dir.join("agent.sock"));
        let control = client(config.control_dir.join("control.sock"));
        Self { dir, running, agent, control, forge, forge_url: "http://127.0.0.1:1/".to_owned() }
    }

    /// At work on its first run.
    pub(crate) async fn at_work() -> Self {
        Self::at_work_with(settings()).await
    }

    pub(crate) async fn at_work_with(settings: Settings) -> Self {
        let bottle = Self::fresh(settings);
        bottle.configure().await;
        bottle.control.start_run(run(1)).await.unwrap();
        bottle
    }

    /// With a forge for git at a URL.
    pub(crate) async fn at_work_at(url: &str, settings: Settings) -> Self {
        let mut bottle = Self::fresh(settings);
        bottle.forge_url = url.to_owned();
        bottle.configure().await;
        bottle.control.start_run(run(1)).await.unwrap();
        bottle
    }

    pub(crate) async fn configure(&self) -> Configured {
        self.control.configure(grant(&self.forge_url), secrets()).await.unwrap()
    }

    /// Ends the process and starts another one on the same directories and the same forge.
    pub(crate) async fn restart(mut self) -> Self {
        self.running.end().await;
        let Self { dir, running, forge, .. } = self;
        drop(running);
        Self::in_dir(dir, forge, settings())
    }

    pub(crate) fn queue_files(&self) -> Vec<PathBuf> {
        let read = std::fs::read_dir(self.dir.path().join("queue/new")).unwrap();
        let mut files: Vec<PathBuf> = read.map(|entry| entry.unwrap().path()).collect();
        // The number behind the dash gives the order.
        files.sort_by_key(|path| path.to_str().unwrap().rsplit('-').next().unwrap().to_owned());
        files
    }

    pub(crate) fn events(&self) -> Vec<QueueEvent> {
        let read = |path: PathBuf| serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        self.queue_files().into_iter().map(read).collect()
    }

    /// The op log as the orchestrator sees it.
    pub(crate) fn sentences(&self) -> Vec<String> {
        let sentence = |event: QueueEvent| match event.what {
            Happening::Operation { operation } => Some(operation.sentence),
            _ => None,
        };
        self.events().into_iter().filter_map(sentence).collect()
    }
}

/// The error of a call.
pub(crate) fn refused<T: std::fmt::Debug>(
    result: Result<T, jsonrpsee::core::ClientError>,
) -> RpcError {
    rpc::client::error(result.unwrap_err())
}

/// Waits until something is so, at most five seconds.
pub(crate) async fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    for _ in 0..3000 {
        if is_so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("never: {what}");
}
