//! A daemon's directory with its configuration, and a daemon in it until the story has ended.

use std::{
    fs,
    num::NonZeroU32,
    path::{Path, PathBuf},
    time::Duration,
};

use jiff::SignedDuration;
use orchestrator::{
    config::{self, Config},
    daemon::{Running, ServeError, StateDir, assemble},
    store::Books,
};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};

use crate::{
    gate::{Fault, Gate},
    outside::Outside,
    ports::World,
    story,
};

/// Far more than a story takes, with every wait that a fault may cause.
const PATIENCE: Duration = Duration::from_secs(40);
/// Between two steps of people and agents.
const PACE: Duration = Duration::from_millis(5);

/// How a story ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct End {
    pub(crate) bottles: Vec<String>,
    pub(crate) runs: Vec<u32>,
    pub(crate) deeds: Vec<String>,
    /// Lines of the log that tell of what a sidecar told.
    pub(crate) told: Vec<String>,
    /// Containers that are left.
    pub(crate) containers: Vec<String>,
    /// How often a container of a role was made.
    pub(crate) made: Vec<(String, u32)>,
    /// What is left below `bottles/`.
    pub(crate) files: Vec<String>,
}

impl End {
    /// The only good one.
    pub(crate) fn good() -> Self {
        Self {
            bottles: vec!["pull request merged".to_owned()],
            runs: vec![2],
            deeds: story::DEEDS.map(str::to_owned).to_vec(),
            told: story::TOLD.map(str::to_owned).to_vec(),
            containers: vec![],
            made: vec![("bottle".to_owned(), 1), ("sidecar".to_owned(), 1)],
            files: vec![],
        }
    }
}

/// Writes what a daemon is started with.
pub(crate) fn furnish(dir: &Path) {
    let write = |name: &str, text: &str| {
        use std::os::unix::fs::PermissionsExt as _;
        let path = dir.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    };
    write(
        "config.toml",
        "data_dir = \"data\"\n[forge]\nurl = \"https://git.example.org/\"\norg = \"bot-bottle\"\n\
         repositories = [\"team/project\"]\ntoken_file = \"secrets/daemon\"\n\
         webhook_secret_files = [\"secrets/webhook\"]\n[server]\nlisten = \"127.0.0.1:8700\"\n\
         [engine]\nprograms = \"programs\"\n",
    );
    write(
        "agents/implementer.toml",
        &format!(
            "provider = \"command\"\nlogin = {:?}\ngit_email = \"bot@example.org\"\n\
             token_file = \"../secrets/bot\"\nbottles = [\"default\"]\ncommand = [\"agent\"]\n",
            story::BOT
        ),
    );
    write("bottles/default.toml", "memory = \"512MiB\"\n");
    for secret in ["daemon", "bot", "webhook"] {
        write(&format!("secrets/{secret}"), &format!("{:032x}", rand::random::<u128>()));
    }
    write("programs/bottle", "");
}

pub(crate) fn config(dir: &Path) -> Config {
    let mut config = config::load(&dir.join("config.toml"), &|_| None).unwrap();
    config.listen.set_port(0);
    config.poll = Duration::from_millis(50);
    config.timing.grace = SignedDuration::from_millis(200);
    config.timing.retry_base = SignedDuration::from_millis(10);
    config
}

fn outside(dir: &Path) -> Outside {
    Outside::open(dir.join("outside.json"))
}

/// A daemon at work in a directory.
pub(crate) struct Installation {
    pub(crate) running: Running,
    pub(crate) world: World,
    pub(crate) data_dir: PathBuf,
}

impl Installation {
    /// Starts a daemon, as often as whoever started it would.
    pub(crate) async fn start(dir: &Path, faults: Vec<Fault>) -> Self {
        let world = World::new(outside(dir), Gate::new(faults));
        let mut tries = 0;
        loop {
            match begin(dir, &world).await {
                Ok(running) => {
                    let data_dir = dir.join("data");
                    return Self { running, world, data_dir };
                }
                Err(error) => {
                    tries += 1;
                    assert!(tries < 5, "{error}");
                }
            }
        }
    }

    /// Lets everybody go on until `reached`.
    pub(crate) async fn until(&self, what: &str, mut reached: impl AsyncFnMut(&Self) -> bool) {
        let begun = Instant::now();
        while !reached(self).await {
            story::go_on(&self.world.outside, &self.data_dir);
            self.pass_time(what, begun).await;
        }
    }

    /// Waits until `reached`, while the daemon alone goes on.
    pub(crate) async fn wait(&self, what: &str, mut reached: impl AsyncFnMut(&Self) -> bool) {
        let begun = Instant::now();
        while !reached(self).await {
            self.pass_time(what, begun).await;
        }
    }

    /// To the end of the story, and the daemon's.
    pub(crate) async fn finish(self) -> End {
        let begun = Instant::now();
        while !self.is_over().await {
            story::go_on(&self.world.outside, &self.data_dir);
            self.pass_time("ended", begun).await;
        }
        let end = self.end().await;
        self.running.stop().await;
        end
    }

    async fn pass_time(&self, what: &str, begun: Instant) {
        if begun.elapsed() > PATIENCE {
            panic!("never {what}: {}", self.shown().await);
        }
        sleep(PACE).await;
    }

    async fn is_over(&self) -> bool {
        if self.world.outside.look().chapter != story::END {
            return false;
        }
        let asked = |books: &Books<'_>| {
            let open = books.live_bottles()?.len() + books.unclean_bottles()?.len();
            Ok(open == 0 && !books.recent_bottles(9)?.is_empty())
        };
        self.running.daemon().store.write(asked).await.unwrap()
    }

    async fn end(&self) -> End {
        let read = |books: &Books<'_>| {
            let bottles = books.recent_bottles(9)?;
            let all = NonZeroU32::MAX;
            let logs = bottles.iter().map(|bottle| books.log_after(&bottle.slug, 0, all));
            let logs = logs.collect::<Result<Vec<_>, _>>()?;
            Ok((bottles, logs.into_iter().flatten().map(|row| row.sentence).collect::<Vec<_>>()))
        };
        let (bottles, log) = self.running.daemon().store.write(read).await.unwrap();
        let state = self.world.outside.look().clone();
        let names = fs::read_dir(self.data_dir.join("bottles")).unwrap();
        End {
            bottles: bottles.iter().map(|bottle| bottle.state.detail()).collect(),
            runs: bottles.iter().map(|bottle| bottle.runs).collect(),
            deeds: state.deeds,
            told: log.into_iter().filter(|line| story::TOLD.contains(&line.as_str())).collect(),
            containers: state.containers.into_keys().collect(),
            made: state.made.into_iter().collect(),
            files: names.map(|name| name.unwrap().file_name().into_string().unwrap()).collect(),
        }
    }

    async fn shown(&self) -> String {
        let store = &self.running.daemon().store;
        let bottles = store.write(|books| books.recent_bottles(9)).await;
        format!("{bottles:#?}\n{:#?}", self.world.outside.look())
    }
}

async fn begin(dir: &Path, world: &World) -> Result<Running, ServeError> {
    let config = config(dir);
    let state = StateDir::take(&config).await?;
    Running::start(assemble(config, state, world.ports()).await?).await
}

/// Plays the story with these faults in a directory of its own.
pub(crate) async fn play(faults: Vec<Fault>) -> End {
    let dir = tempfile::tempdir().unwrap();
    furnish(dir.path());
    Installation::start(dir.path(), faults).await.finish().await
}
