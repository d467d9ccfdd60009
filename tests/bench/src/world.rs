//! A daemon whose forge, engine and sidecars are in memory and answer at once.

use std::{
    collections::BTreeMap,
    num::NonZeroU32,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use jiff::Timestamp;
use orchestrator::{
    config::{Config, load},
    daemon::{Ports, Running, StateDir, assemble},
    effects::Sidecars,
    engine::{Change, ContainerSpec, Engine, EngineError, Role, Seen, spec::Places},
    store::{Store, open},
};
use orchestrator_core::{bottle::Bottle, reconcile::Container};
use protocol::{
    control::Usage,
    error::RpcError,
    grant::{Grant, RunSpec, Secrets},
    ids::{Nonce, Slug},
};
use serde_json::{Value, json};

use crate::Fault;

mod instant_forge;

pub(crate) use instant_forge::InstantForge;

/// What every record was made for.
pub(crate) const REPO: &str = "alice/widget";
const NONCE: &str = "00000000000000aa";
/// Any moment: what waits for a time waits from now on.
const THEN: &str = "2026-01-01T00:00:00Z";

/// Writes a configuration below `dir` and reads it.
pub(crate) fn config(dir: &Path) -> Result<Config, Fault> {
    for (name, text) in [
        (
            "config.toml",
            format!(
                "data_dir = \"data\"\n[forge]\nurl = \"http://127.0.0.1:9/\"\norg = \"bot-bottle\"\n\
                 repositories = [{REPO:?}]\ntoken_file = \"secret\"\nwebhook_secret_files = [\"secret\"]\n\
                 [server]\nlisten = \"127.0.0.1:0\"\n[engine]\nprograms = \"programs\"\n\
                 [limits]\nslots = 1000\npoll = \"1h\"\n"
            ),
        ),
        ("secret", SECRET.to_owned()),
        (
            "agents/implementer.toml",
            "provider = \"command\"\nlogin = \"implementer-bot\"\ngit_email = \"bot@example.test\"\n\
             token_file = \"../secret\"\nbottles = [\"dev\"]\ncommand = [\"true\"]\n"
                .to_owned(),
        ),
        ("bottles/dev.toml", "image = \"none\"\nallow_unpinned = true\n".to_owned()),
        ("programs/bottle", String::new()),
        ("programs/sidecar", String::new()),
    ] {
        write(&dir.join(name), &text)?;
    }
    let path = dir.join("config.toml");
    load(&path, &|_| None).map_err(|mistakes| format!("{mistakes:?}").into())
}

/// Of webhooks, and the token.
pub(crate) const SECRET: &str = "0123456789abcdef0123456789abcdef";

fn write(path: &PathBuf, text: &str) -> Result<(), Fault> {
    use std::os::unix::fs::PermissionsExt as _;
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir)?;
    }
    std::fs::write(path, text)?;
    Ok(std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?)
}

/// Starts a daemon over these.
pub(crate) async fn start(
    config: Config,
    forge: Arc<InstantForge>,
    engine: Arc<MemoryEngine>,
) -> Result<Running, Fault> {
    let dir = StateDir::take(&config).await?;
    let ports = Ports::new(forge, engine, Arc::new(Puppets), "none");
    Ok(Running::start(assemble(config, dir, ports).await?).await?)
}

/// Keeps records in the database of a data directory that no daemon works with.
pub(crate) async fn fill(data_dir: &Path, bottles: Vec<Bottle>) -> Result<(), Fault> {
    std::fs::create_dir_all(data_dir)?;
    let store = Store::start(open(&data_dir.join("bot-bottle.db"))?)?;
    let work = move |books: &orchestrator::store::Books<'_>| {
        bottles.iter().try_for_each(|bottle| books.save(bottle, None))
    };
    store.write(work).await?;
    store.close().await;
    Ok(())
}

/// What a record says of its bottle's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Life {
    Running,
    Cold,
}

/// A record as it is kept, of the `serial`th bottle; with an issue of that number, or started by an
/// operator without one.
pub(crate) fn bottle(serial: u32, with_issue: bool, life: Life) -> Result<Bottle, Fault> {
    let slug = slug(serial)?;
    let ending = json!({ "ending": "reported", "status": "success", "summary": SUMMARY });
    let state = match life {
        Life::Running => json!({
            "state": "running", "run": 1, "since": THEN, "last_news": Timestamp::now(), "done": null,
        }),
        Life::Cold => json!({
            "state": "frozen", "tier": "cold", "since": THEN, "held": false, "ending": ending,
        }),
    };
    let record: Value = json!({
        "slug": slug,
        "serial": serial,
        "home": {
            "forge": "gitea", "repo": REPO, "issue": with_issue.then_some(serial),
            "origin": if with_issue { "issue" } else { "operator" },
            "base": "main", "branch": format!("bot-bottle/{serial}/{slug}"),
        },
        "agent": "implementer", "login": "implementer-bot", "profiles": ["dev"],
        "backend": "docker", "label": null, "pull_requests": [], "heard": [], "waiting": [],
        "runs": 1, "nonce": NONCE, "last_checkin": THEN, "created_at": THEN, "state": state,
    });
    Ok(serde_json::from_value(record)?)
}

/// As long as an agent's last words usually are.
const SUMMARY: &str = "Added the greeting, with a test, and opened a pull request for it.";
const LETTERS: &[u8; 27] = b"23456789bcdfghjkmnpqrstvwxz";

fn slug(serial: u32) -> Result<Slug, Fault> {
    let mut rest = usize::try_from(serial)?;
    let mut ending = String::new();
    for _ in 0..5 {
        ending.extend(LETTERS.get(rest % LETTERS.len()).map(|letter| char::from(*letter)));
        rest /= LETTERS.len();
    }
    Ok(Slug::new(&"implementer".parse()?, &ending)?)
}

/// An engine that remembers what it was told.
#[derive(Debug, Default)]
pub(crate) struct MemoryEngine(Mutex<BTreeMap<Slug, Seen>>);

impl MemoryEngine {
    /// With both containers of these bottles ended, as after the host was started anew.
    pub(crate) fn ended<'a>(bottles: impl Iterator<Item = &'a Bottle>) -> Self {
        let ended = || Container::Exited { code: 255, out_of_memory: false };
        let seen =
            |bottle: &Bottle| (bottle.slug.clone(), Seen { sidecar: ended(), bottle: ended() });
        Self(Mutex::new(bottles.map(seen).collect()))
    }

    fn set(&self, slug: &Slug, role: Role, container: Container) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let seen = all
            .entry(slug.clone())
            .or_insert_with(|| Seen { sidecar: Container::Missing, bottle: Container::Missing });
        match role {
            Role::Sidecar => seen.sidecar = container,
            Role::Bottle => seen.bottle = container,
        }
    }
}

#[async_trait]
impl Engine for MemoryEngine {
    async fn prepare(&self) -> Result<(), EngineError> {
        Ok(())
    }

    async fn observe(&self) -> Result<BTreeMap<Slug, Seen>, EngineError> {
        Ok(self.0.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }

    async fn ensure_running(&self, spec: &ContainerSpec) -> Result<(), EngineError> {
        self.set(&spec.slug, spec.role, Container::Running);
        Ok(())
    }

    async fn ensure_paused(&self, slug: &Slug, role: Role) -> Result<Container, EngineError> {
        self.set(slug, role, Container::Paused);
        Ok(Container::Paused)
    }

    async fn ensure_stopped(&self, slug: &Slug, role: Role) -> Result<(), EngineError> {
        self.set(slug, role, Container::Exited { code: 0, out_of_memory: false });
        Ok(())
    }

    async fn ensure_removed(&self, slug: &Slug, role: Role) -> Result<(), EngineError> {
        self.set(slug, role, Container::Missing);
        Ok(())
    }

    async fn output(&self, _: &Slug, _: Role, _: usize) -> Result<String, EngineError> {
        Ok(String::new())
    }

    async fn changed(&self) -> Result<Change, EngineError> {
        std::future::pending().await
    }
}

/// Sidecars that do as they are told.
#[derive(Debug)]
struct Puppets;

#[async_trait]
impl Sidecars for Puppets {
    async fn configure(
        &self,
        _: &Slug,
        _: &Places,
        _: Grant,
        _: Secrets,
    ) -> Result<Nonce, RpcError> {
        Nonce::try_from(NONCE.to_owned())
            .map_err(|error| RpcError::new(protocol::error::ErrorCode::Internal, error.to_string()))
    }

    async fn start_run(&self, _: &Slug, _: &Places, _: RunSpec) -> Result<(), RpcError> {
        Ok(())
    }

    async fn drain(&self, _: &Slug, _: &Places) -> Result<(), RpcError> {
        Ok(())
    }

    async fn usage(&self, _: &Slug, _: &Places) -> Result<Usage, RpcError> {
        Ok(Usage {
            nonce: NONCE.parse().ok(),
            run: NonZeroU32::new(1).and(None),
            bottle_waiting: false,
            reads: 0,
            writes: 0,
            refusals: 0,
            queued_events: 0,
        })
    }
}
