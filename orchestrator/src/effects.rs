//! Doing what a step asked for. Each effect is made of steps that may be repeated from the start;
//! its outcome is an event again.

mod places;
mod removal;
mod sidecar;

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Weak},
    time::Duration,
};

use jiff::Timestamp;
use orchestrator_core::{
    bottle::{Bottle, Prompt, Tier},
    event::{Effect, Event},
    prompt,
    reconcile::Container,
};
use protocol::{
    control::Usage,
    error::RpcError,
    grant::{Grant, RunSpec, Secrets},
    ids::{Nonce, ProfileName, Slug},
};

use tokio::time::timeout;

use crate::{
    config::{Agent, Config},
    engine::{
        Engine, EngineError, Role,
        spec::{self, Places},
    },
};

/// An effect in all: two container starts on a busy host, and a drain at its deadline.
const EFFECT_TIMEOUT: Duration = Duration::from_secs(120);
/// For an agent's output, on its way to an operator or to its record.
const OUTPUT_TIMEOUT: Duration = Duration::from_secs(20);
/// Output that is kept when a bottle is destroyed.
const KEPT_OUTPUT_BYTES: usize = 1 << 20;

pub use sidecar::{ControlSockets, Sidecars};

/// Does effects.
#[derive(Debug, Clone)]
pub struct Executor {
    config: Arc<Config>,
    engine: Arc<dyn Engine>,
    sidecars: Arc<dyn Sidecars>,
    sidecar_image: String,
}

/// Why an effect was not done.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("{}", chain(.0))]
    Engine(#[from] EngineError),
    #[error("cannot prepare {path}: {source}")]
    Files { path: PathBuf, source: std::io::Error },
    #[error("the sidecar: {0}")]
    Sidecar(#[from] RpcError),
    #[error("the agent {0} is not configured any more")]
    NoAgent(String),
    #[error("the profile {0} is not configured any more; write bottles/{0}.toml")]
    NoProfile(ProfileName),
    #[error("the program {0} is missing; set engine.programs in config.toml")]
    NoProgram(PathBuf),
    #[error("it took longer than {} s", EFFECT_TIMEOUT.as_secs())]
    TooSlow,
}

impl Failure {
    fn is_unreachable(&self) -> bool {
        matches!(self, Self::TooSlow | Self::Engine(EngineError::Unreachable { .. }))
    }

    fn is_transient(&self) -> bool {
        match self {
            Self::Engine(error) => error.is_transient(),
            Self::Files { .. } | Self::Sidecar(_) | Self::TooSlow => true,
            Self::NoAgent(_) | Self::NoProfile(_) | Self::NoProgram(_) => false,
        }
    }
}

impl Executor {
    /// An executor over an engine; `sidecar_image` is what its sidecars are made of.
    pub fn new(
        config: Arc<Config>,
        engine: Arc<dyn Engine>,
        sidecars: Arc<dyn Sidecars>,
        sidecar_image: String,
    ) -> Self {
        Self { config, engine, sidecars, sidecar_image }
    }

    /// Where a bottle's files are.
    pub fn places(&self, slug: &Slug) -> Places {
        Places::of(&self.config.data_dir, slug)
    }

    /// Does an effect and says how it ended; to be woken, a bottle needs the directories of
    /// [`Executor::ensure_places`]. `None` when the engine does not answer anybody: then
    /// nothing is known of this bottle, and the effect is to be done again when it is back.
    pub async fn run(&self, bottle: &Bottle, effect: &Effect) -> Option<Event> {
        let done = async {
            match effect {
                Effect::Awaken { run, prompts } => self
                    .awaken(bottle, *run, prompts)
                    .await
                    .map(|nonce| Event::Awoken { run: *run, nonce }),
                Effect::Sleep { tier } => {
                    self.sleep(bottle, *tier).await.map(|tier| Event::Asleep { tier })
                }
                Effect::Remove {} => self.remove(bottle).await.map(|()| Event::Cleaned {}),
            }
        };
        let ended = timeout(EFFECT_TIMEOUT, done).await.unwrap_or(Err(Failure::TooSlow));
        let failure = match ended {
            Ok(event) => return Some(event),
            Err(failure) => failure,
        };
        let error = failure.to_string();
        tracing::warn!(slug = %bottle.slug, what = word(effect), error, "an effect failed");
        if failure.is_unreachable() && self.engine.ping().await.is_err() {
            return None;
        }
        Some(failed(effect, error, failure.is_transient()))
    }

    /// Makes a bottle's directories: before it is woken, so that its queue can be watched before it
    /// can be written to.
    ///
    /// # Errors
    /// A sentence on what cannot be made.
    pub async fn ensure_places(&self, bottle: &Bottle) -> Result<(), String> {
        let (places, serial) = (self.places(&bottle.slug), bottle.serial);
        let root = places.root.clone();
        let made = off_thread(&root, move || places::ensure(&places, serial)).await;
        made.map_err(|failure| failure.to_string())
    }

    /// Ends a bottle's programs before it is removed, so that its queue is complete. What fails is
    /// tried again by the removal.
    pub async fn stop(&self, bottle: &Bottle) {
        let stop = async {
            let slug = &bottle.slug;
            // The sidecar ends in its own time what it has begun.
            let ended = self.engine.ensure_ended(slug, Role::Bottle).await;
            for stopped in [ended, self.engine.ensure_stopped(slug, Role::Sidecar).await] {
                if let Err(error) = stopped {
                    tracing::warn!(%slug, %error, "cannot stop a container");
                }
            }
        };
        if timeout(EFFECT_TIMEOUT, stop).await.is_err() {
            tracing::error!(slug = %bottle.slug, "a container does not stop; it may hang in the kernel");
        }
    }

    async fn awaken(
        &self,
        bottle: &Bottle,
        run: std::num::NonZeroU32,
        prompts: &[Prompt],
    ) -> Result<Nonce, Failure> {
        let agent = self.agent(bottle)?;
        let profile = self.config.merged_profile(&bottle.profiles).map_err(Failure::NoProfile)?;
        let places = self.places(&bottle.slug);
        let program = self.config.engine.programs.join("bottle");
        if !program.is_file() {
            return Err(Failure::NoProgram(program));
        }
        let sidecar = spec::sidecar(bottle, &places, &self.sidecar_image);
        let inside = spec::bottle(bottle, &places, &profile, &program);
        // Side by side: our program in the bottle waits for the socket.
        let (configured, started) = tokio::join!(
            async {
                self.engine.ensure_running(&sidecar).await?;
                let secrets = Secrets { forge_token: agent.token.clone() };
                let grant = grant(&self.config, bottle, agent);
                let nonce = self.sidecars.configure(&bottle.slug, &places, grant, secrets).await?;
                // Kept there until the bottle asks for it; it need not run yet.
                let spec = run_spec(bottle, agent, &profile.env, run, prompts);
                self.sidecars.start_run(&bottle.slug, &places, spec).await?;
                Ok::<_, Failure>(nonce)
            },
            self.engine.ensure_running(&inside),
        );
        let nonce = configured?;
        started?;
        Ok(nonce)
    }

    async fn sleep(&self, bottle: &Bottle, tier: Tier) -> Result<Tier, Failure> {
        let slug = &bottle.slug;
        let places = self.places(slug);
        if tier == Tier::Hot {
            let drained = self.sidecars.drain(slug, &places).await;
            if drained.is_ok()
                && self.engine.ensure_paused(slug, Role::Bottle).await? == Container::Paused
            {
                return Ok(Tier::Hot);
            }
        }
        // Cold, or one of the two does not live any more: then there is nothing to keep in memory.
        self.engine.ensure_stopped(slug, Role::Bottle).await?;
        self.engine.ensure_stopped(slug, Role::Sidecar).await?;
        Ok(Tier::Cold)
    }

    async fn remove(&self, bottle: &Bottle) -> Result<(), Failure> {
        let slug = &bottle.slug;
        self.keep_output(slug).await;
        self.engine.ensure_removed(slug, Role::Bottle).await?;
        // SIGTERM lets it end what it has begun; its secrets end with it.
        self.engine.ensure_stopped(slug, Role::Sidecar).await?;
        self.engine.ensure_removed(slug, Role::Sidecar).await?;
        let places = self.places(slug);
        // Dropped with this effect: a removal that nobody waits for ends before the next begins.
        let waiting = Arc::new(());
        let wanted = Arc::downgrade(&waiting);
        let root = places.root.clone();
        let work = move || places::remove(&places, &|| Weak::strong_count(&wanted) > 0);
        let removed = off_thread(&root, work).await;
        drop(waiting);
        removed
    }

    /// Keeps the agent's output if it can be read and written: a container that cannot be removed
    /// would be the greater harm.
    async fn keep_output(&self, slug: &Slug) {
        let output = self.engine.output(slug, Role::Bottle, KEPT_OUTPUT_BYTES);
        let kept = match soon(slug, output).await {
            Ok(output) => {
                let (data_dir, slug) = (self.config.data_dir.clone(), slug.clone());
                let write = move || places::keep_output(&data_dir, &slug, &output);
                off_thread(&self.config.data_dir, write).await
            }
            Err(error) => Err(error.into()),
        };
        if let Err(error) = kept {
            tracing::warn!(%slug, %error, "cannot keep the agent's output");
        }
    }

    /// Removes containers that no record knows.
    ///
    /// # Errors
    /// The engine's.
    pub async fn remove_orphan(&self, slug: &Slug) -> Result<(), EngineError> {
        self.engine.ensure_removed(slug, Role::Bottle).await?;
        self.engine.ensure_removed(slug, Role::Sidecar).await
    }

    /// What a sidecar says of itself; `None` when it does not answer.
    pub async fn usage(&self, slug: &Slug) -> Option<Usage> {
        self.sidecars.usage(slug, &self.places(slug)).await.ok()
    }

    /// The agent's output after a moment, oldest first.
    ///
    /// # Errors
    /// Those of the engine.
    pub async fn output_after(
        &self,
        slug: &Slug,
        after: Option<Timestamp>,
        max_bytes: usize,
    ) -> Result<Vec<(Timestamp, String)>, EngineError> {
        soon(slug, self.engine.output_after(slug, Role::Bottle, after, max_bytes)).await
    }

    /// Forgets the output that was kept of a destroyed bottle.
    pub fn forget_output(&self, slug: &Slug) {
        places::forget_output(&self.config.data_dir, slug);
    }

    /// The agent's output: of the container, or what was kept of a destroyed bottle.
    ///
    /// # Errors
    /// The engine's.
    pub async fn output(&self, slug: &Slug, max_bytes: usize) -> Result<String, EngineError> {
        let live = soon(slug, self.engine.output(slug, Role::Bottle, max_bytes)).await?;
        Ok(if live.is_empty() { places::kept_output(&self.config.data_dir, slug) } else { live })
    }

    fn agent(&self, bottle: &Bottle) -> Result<&Agent, Failure> {
        self.config
            .agents
            .get(&bottle.agent)
            .ok_or_else(|| Failure::NoAgent(bottle.agent.to_string()))
    }
}

/// An agent's output, unless its log stalls.
async fn soon<T>(
    slug: &Slug,
    output: impl Future<Output = Result<T, EngineError>>,
) -> Result<T, EngineError> {
    timeout(OUTPUT_TIMEOUT, output).await.unwrap_or_else(|slow| {
        let what = format!("read the output of {slug}");
        Err(EngineError::Unreachable { what, source: Box::new(slow) })
    })
}

/// An effect without what people said in it.
fn word(effect: &Effect) -> &'static str {
    match effect {
        Effect::Awaken { .. } => "awaken",
        Effect::Sleep { .. } => "sleep",
        Effect::Remove {} => "remove",
    }
}

/// The outcome of an effect that failed.
pub(crate) fn failed(effect: &Effect, error: String, transient: bool) -> Event {
    match effect {
        Effect::Awaken { run, .. } => Event::AwakenFailed { run: *run, error, transient },
        Effect::Sleep { .. } => Event::SleepFailed { error },
        Effect::Remove {} => Event::CleanFailed { error },
    }
}

/// Does work on the disk where it holds up nobody; `path` is what it is about.
async fn off_thread(
    path: &Path,
    work: impl FnOnce() -> Result<(), Failure> + Send + 'static,
) -> Result<(), Failure> {
    let broken = |error: tokio::task::JoinError| {
        Err(Failure::Files { path: path.to_owned(), source: error.into() })
    };
    tokio::task::spawn_blocking(work).await.unwrap_or_else(broken)
}

fn grant(config: &Config, bottle: &Bottle, agent: &Agent) -> Grant {
    Grant {
        slug: bottle.slug.clone(),
        agent: bottle.agent.clone(),
        forge: config.forge.access.clone(),
        repo: bottle.home.repo.clone(),
        issue: bottle.home.issue,
        pull_requests: bottle.pull_requests.clone(),
        base: bottle.home.base.clone(),
        branch: bottle.home.branch.clone(),
        identity: agent.identity.clone(),
    }
}

fn run_spec(
    bottle: &Bottle,
    agent: &Agent,
    profile_env: &std::collections::BTreeMap<String, String>,
    run: std::num::NonZeroU32,
    prompts: &[Prompt],
) -> RunSpec {
    let mut env = profile_env.clone();
    env.extend(agent.env.clone());
    env.extend(spec::context(bottle));
    RunSpec {
        run: bottle.run_id(run),
        command: agent.command.clone(),
        prompt_via: agent.prompt_via,
        prompt: prompt::for_run(bottle, prompts),
        env,
    }
}

/// An error with its causes, on one line.
fn chain(error: &EngineError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
