//! What the daemon does its work through: each a trait, so that a whole daemon can run over things
//! in memory.

use std::{error::Error as _, sync::Arc, time::Duration};

use forge::{Forge, ForgeError, gitea::Gitea};
use futures_util::future::join_all;
use protocol::ids::{AgentName, Login};
use tokio::time::Instant;
use url::Url;

use super::{Gauges, ServeError, ThisHost};
use crate::{
    config::{Agent, Config},
    effects::{ControlSockets, Sidecars},
    engine::{Engine, EngineError, docker::DockerEngine},
};

/// A forge or an engine that restarts is back within this; whoever started us sees a longer outage.
const START_PATIENCE: Duration = Duration::from_secs(15);
/// Between two tries at start.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// Between two words about what is waited for.
const TELL_AGAIN: Duration = Duration::from_secs(5);

/// What the daemon reaches outside. Made with [`Ports::new`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Ports {
    /// The forge, with the daemon's own token.
    pub forge: Arc<dyn Forge>,
    /// The container engine.
    pub engine: Arc<dyn Engine>,
    /// The sidecars.
    pub sidecars: Arc<dyn Sidecars>,
    /// What sidecars are made of.
    pub sidecar_image: String,
    /// The host.
    pub gauges: Arc<dyn Gauges>,
}

impl Ports {
    /// Ports to these; what is not named here is the real thing.
    pub fn new(
        forge: Arc<dyn Forge>,
        engine: Arc<dyn Engine>,
        sidecars: Arc<dyn Sidecars>,
        sidecar_image: &str,
    ) -> Self {
        let gauges = Arc::new(ThisHost);
        Self { forge, engine, sidecars, sidecar_image: sidecar_image.to_owned(), gauges }
    }

    /// Ports to what the configuration names. `instance` is on everything that is made outside.
    ///
    /// # Errors
    /// When forge or engine cannot be used, or do not answer for [`START_PATIENCE`].
    pub(super) async fn connect(config: &Config, instance: &str) -> Result<Self, ServeError> {
        let forge = Gitea::new(&config.forge.access, config.forge.token.clone())
            .map_err(ServeError::ForgeSetup)?;
        let engine = engine(config, instance).await?;
        let sidecar_image = engine.sidecar_image().map_err(ServeError::Programs)?;
        let engine = Arc::new(engine);
        Ok(Self::new(Arc::new(forge), engine, Arc::new(ControlSockets), &sidecar_image))
    }
}

async fn engine(config: &Config, instance: &str) -> Result<DockerEngine, EngineError> {
    let engine = &config.engine;
    let deadline = Instant::now() + START_PATIENCE;
    let mut wait = Wait::default();
    loop {
        let socket = engine.socket.as_deref();
        match DockerEngine::connect(socket, instance, &engine.network, &engine.programs).await {
            Err(error) if error.is_transient() && Instant::now() < deadline => {
                let why = error.source().map(ToString::to_string);
                wait.tell(|| tracing::warn!(%error, why, "the container engine is not there yet"));
                tokio::time::sleep(LOOK_AGAIN).await;
            }
            done => return done,
        }
    }
}

/// A wait that is told of at its first try, and then now and again.
#[derive(Debug, Default)]
struct Wait {
    told: Option<Instant>,
}

impl Wait {
    fn tell(&mut self, warn: impl FnOnce()) {
        if self.told.is_none_or(|told| told.elapsed() >= TELL_AGAIN) {
            warn();
            self.told = Some(Instant::now());
        }
    }
}

/// Who we are on the forge at `url`.
///
/// # Errors
/// When it refuses us, or cannot be used for [`START_PATIENCE`].
pub(super) async fn account(forge: &dyn Forge, url: &Url) -> Result<Login, ServeError> {
    let answer = who_we_are(forge, url).await;
    answer.map_err(|source| ServeError::Forge { url: url.to_string(), source })
}

/// A forge that restarts, or a proxy before it, may say anything for a while.
async fn who_we_are(forge: &dyn Forge, url: &Url) -> Result<Login, ForgeError> {
    let deadline = Instant::now() + START_PATIENCE;
    let (mut wait, mut last) = (Wait::default(), None);
    loop {
        let answer = tokio::time::timeout_at(deadline, forge.whoami()).await;
        let error = match answer {
            Ok(Ok(login)) => return Ok(login),
            Ok(Err(error)) => error,
            Err(_) => {
                let message = format!("no answer within {} s", START_PATIENCE.as_secs());
                let silent = ForgeError::Server { what: "ask who we are".to_owned(), message };
                // An answer says more than that the last one was not waited for.
                return Err(last.unwrap_or(silent));
            }
        };
        if Instant::now() + LOOK_AGAIN >= deadline || !may_pass(&error) {
            return Err(error);
        }
        wait.tell(|| tracing::warn!(%error, %url, "the forge is not there yet"));
        last = Some(error);
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// Whether an answer may be another one soon.
fn may_pass(error: &ForgeError) -> bool {
    match error {
        ForgeError::Gone { .. }
        | ForgeError::Conflict { .. }
        | ForgeError::RateLimited { .. }
        | ForgeError::Unreachable { .. }
        | ForgeError::Server { .. }
        | ForgeError::BadAnswer { .. } => true,
        ForgeError::OutOfScope { .. }
        | ForgeError::BadToken { .. }
        | ForgeError::NoPermission { .. }
        | ForgeError::WrongKind { .. }
        | ForgeError::Rejected { .. } => false,
    }
}

/// Refuses an agent whose token the forge refuses, or which is another account's: what it writes
/// would stand under that name, and wake its own bottle. A token that cannot be asked about is left to
/// its agent's first run.
pub(super) async fn check_accounts(config: &Config) -> Result<(), ServeError> {
    let asked =
        config.agents.iter().map(async |(name, agent)| check_account(config, name, agent).await);
    join_all(asked).await.into_iter().collect()
}

async fn check_account(config: &Config, name: &AgentName, agent: &Agent) -> Result<(), ServeError> {
    let forge =
        Gitea::new(&config.forge.access, agent.token.clone()).map_err(ServeError::ForgeSetup)?;
    let answer = tokio::time::timeout(START_PATIENCE, forge.whoami()).await.ok();
    judge_account(name, &agent.identity.login, answer)
}

/// What follows from the forge's answer about an agent's token; `None` where it gave none.
fn judge_account(
    name: &AgentName,
    login: &Login,
    answer: Option<Result<Login, ForgeError>>,
) -> Result<(), ServeError> {
    match answer {
        Some(Ok(is)) if is.as_str().eq_ignore_ascii_case(login.as_str()) => Ok(()),
        Some(Ok(is)) => Err(ServeError::Account { agent: name.clone(), login: login.clone(), is }),
        Some(Err(ForgeError::BadToken { .. })) => {
            Err(ServeError::AgentToken { agent: name.clone(), login: login.clone() })
        }
        Some(Err(error)) => {
            tracing::warn!(agent = %name, %error, "cannot see whose token this is");
            Ok(())
        }
        None => {
            tracing::warn!(agent = %name, "the forge does not say whose token this is");
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_whose_token_is_refused_keeps_the_daemon_from_starting() {
        let (agent, login) = ("implementer".parse().unwrap(), "implementer-bot".parse().unwrap());
        let what = "ask who we are".to_owned();
        let refused =
            judge_account(&agent, &login, Some(Err(ForgeError::BadToken { what: what.clone() })));
        let text = refused.unwrap_err().to_string();
        assert!(text.contains("agents/implementer.toml") && text.contains("new one"), "{text}");
        let other = judge_account(&agent, &login, Some(Ok("somebody".parse().unwrap())));
        assert!(matches!(other, Err(ServeError::Account { .. })), "{other:?}");
        let away = ForgeError::Server { what, message: "502".to_owned() };
        assert!(judge_account(&agent, &login, Some(Err(away))).is_ok());
        assert!(judge_account(&agent, &login, None).is_ok());
        assert!(
            judge_account(&agent, &login, Some(Ok("Implementer-Bot".parse().unwrap()))).is_ok()
        );
    }
}
