//! What the `orchestrate` commands ask of the daemon.

use std::{num::NonZeroU32, sync::Arc};

use jsonrpsee::core::{RpcResult, async_trait};
use orchestrator_core::{
    bottle::{Bottle, Origin, Reason, Tier},
    event::Event,
    prompt,
};
use protocol::{
    error::{ErrorCode, RpcError},
    ids::{AgentName, RepoName, Slug},
    operator::{BottleStatus, LogLine, Logs, OperatorRpcServer, StartRequest, Status},
};

use crate::{
    clock,
    config::Agent,
    daemon::Daemon,
    life::{self, Order, Told},
    store::{Books, StoreError},
};

/// Destroyed bottles that `status` still shows.
const RECENT: u32 = 20;
/// Lines of one answer of `logs`.
const LINES: NonZeroU32 = NonZeroU32::new(1000).expect("not zero");
/// Output of one answer of `logs`.
const OUTPUT_MAX_BYTES: usize = 256 << 10;

/// Answers the operator socket.
#[derive(Debug)]
pub struct Operator {
    daemon: Arc<Daemon>,
}

impl Operator {
    /// Over a running daemon.
    pub fn new(daemon: Arc<Daemon>) -> Self {
        Self { daemon }
    }

    async fn tell(&self, slug: &Slug, event: Event) -> Result<(), RpcError> {
        match self.daemon.tell(slug, event).await.map_err(internal)? {
            Told::Changed => Ok(()),
            Told::Ignored(why) => Err(RpcError::new(ErrorCode::Conflict, format!("{slug}: {why}"))
                .hint("see `orchestrate status`")),
            Told::Unknown => Err(unknown(slug)),
        }
    }

    async fn order(&self, request: &StartRequest) -> Result<Order, RpcError> {
        let config = &self.daemon.config;
        let agent = self.agent(&request.agent)?;
        let backend = request.backend.clone().unwrap_or_else(|| config.engine.backend.clone());
        if backend != config.engine.backend {
            return Err(invalid(format!("there is no backend {backend:?}"))
                .hint(format!("the daemon works with {:?}", config.engine.backend)));
        }
        if request.prompt.trim().is_empty() {
            return Err(invalid("the prompt is empty").hint("give it with --prompt"));
        }
        if let Some(missing) =
            request.bottles.iter().find(|name| !config.profiles.contains_key(name))
        {
            return Err(invalid(format!("there is no bottle profile {missing:?}"))
                .hint("write bottles/<name>.toml"));
        }
        let repo = self.repo(request.repo.clone())?;
        let repository = self.daemon.forge.repository(&repo).await.map_err(forge)?;
        if let Some(issue) = request.issue {
            self.daemon.forge.read_issue(&repo, issue).await.map_err(forge)?;
        }
        let base = repository.default_branch.parse();
        let profiles = if request.bottles.is_empty() {
            agent.profiles.clone()
        } else {
            request.bottles.clone()
        };
        Ok(Order {
            repo,
            issue: request.issue,
            origin: Origin::Operator,
            base: base.map_err(|error: protocol::ids::BadName| invalid(error.to_string()))?,
            agent: request.agent.clone(),
            login: agent.identity.login.clone(),
            profiles,
            label: request.label.clone(),
            backend,
            prompt: prompt::for_operator(&request.prompt),
        })
    }

    fn agent(&self, name: &AgentName) -> Result<&Agent, RpcError> {
        let agents = &self.daemon.config.agents;
        let known: Vec<&str> = agents.keys().map(AgentName::as_str).collect();
        agents.get(name).ok_or_else(|| {
            invalid(format!("there is no agent {:?}", name.as_str()))
                .hint(format!("there are: {}", known.join(", ")))
        })
    }

    fn repo(&self, asked: Option<RepoName>) -> Result<RepoName, RpcError> {
        let served = &self.daemon.config.forge.repos;
        match (asked, served.as_slice()) {
            (Some(repo), served) if served.contains(&repo) => Ok(repo),
            (Some(repo), _) => {
                Err(invalid(format!("{repo} is not served")).hint("add it to forge.repositories"))
            }
            (None, [only]) => Ok(only.clone()),
            (None, _) => Err(invalid("several repositories are served")
                .hint("choose one with --repo owner/name")),
        }
    }
}

#[async_trait]
impl OperatorRpcServer for Operator {
    async fn status(&self) -> RpcResult<Status> {
        let bottles = self
            .daemon
            .store
            .write(|books| books.recent_bottles(RECENT))
            .await
            .map_err(internal)?;
        let laws = self.daemon.laws();
        Ok(Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            slots: laws.slots,
            slots_used: u32::try_from(bottles.iter().filter(|b| b.uses_slot()).count())
                .unwrap_or(u32::MAX),
            kill_switch: laws.rules.kill_switch,
            bottles: bottles.iter().map(row).collect(),
        })
    }

    async fn start(&self, request: StartRequest) -> RpcResult<Slug> {
        let laws = self.daemon.laws();
        if laws.rules.kill_switch {
            let switch = self.daemon.config.kill_switch_file().display().to_string();
            return Err(RpcError::new(ErrorCode::Conflict, "the kill switch is on")
                .hint(format!("remove {switch}"))
                .into());
        }
        let order = self.order(&request).await?;
        let about = order.issue.map(|issue| (order.repo.clone(), issue));
        let work = move |books: &Books<'_>| {
            if let Some((repo, issue)) = &about
                && let Some(live) = books.bottle_about(repo, *issue)?.filter(Bottle::is_live)
            {
                return Ok(Err(live.slug));
            }
            let bottle = life::new_bottle(books, &laws, order, clock::now())?;
            life::create(books, &laws, &bottle, clock::now())?;
            Ok(Ok(bottle.slug))
        };
        let made = self.daemon.store.write(work).await.map_err(internal)?;
        self.daemon.work.notify_one();
        made.map_err(|live| {
            let error =
                RpcError::new(ErrorCode::Conflict, format!("the issue has a bottle: {live}"));
            error.hint(format!("orchestrate resume --slug {live} --prompt ...")).into()
        })
    }

    async fn resume(&self, slug: Slug, prompt: String) -> RpcResult<()> {
        if prompt.trim().is_empty() {
            return Err(invalid("the prompt is empty").hint("give it with --prompt").into());
        }
        let prompts = vec![prompt::for_operator(&prompt)];
        Ok(self.tell(&slug, Event::Wake { prompts, heard: vec![] }).await?)
    }

    async fn freeze(&self, slug: Slug, cold: bool) -> RpcResult<()> {
        let tier = if cold { Tier::Cold } else { Tier::Hot };
        Ok(self.tell(&slug, Event::Freeze { tier }).await?)
    }

    async fn destroy(&self, slug: Slug) -> RpcResult<()> {
        Ok(self.tell(&slug, Event::Cancel { reason: Reason::Operator }).await?)
    }

    async fn logs(&self, slug: Slug, after: u64, output: bool) -> RpcResult<Logs> {
        let wanted = slug.clone();
        let read = move |books: &Books<'_>| {
            Ok(match books.bottle(&wanted)? {
                Some(_) => Some(books.log_after(&wanted, after, LINES)?),
                None => None,
            })
        };
        let rows =
            self.daemon.store.write(read).await.map_err(internal)?.ok_or_else(|| unknown(&slug))?;
        let lines = rows.into_iter().map(|row| LogLine {
            position: row.position,
            at: row.at,
            sentence: row.sentence,
        });
        let output = if output {
            let text = self.daemon.executor.output(&slug, OUTPUT_MAX_BYTES).await;
            text.map_err(|error| RpcError::new(ErrorCode::Internal, error.to_string()))?
        } else {
            String::new()
        };
        Ok(Logs { lines: lines.collect(), output })
    }
}

fn row(bottle: &Bottle) -> BottleStatus {
    BottleStatus {
        slug: bottle.slug.clone(),
        agent_name: bottle.agent.clone(),
        bottle_names: bottle.profiles.clone(),
        backend_name: bottle.backend.clone(),
        agent_git_user: bottle.login.clone(),
        repo: bottle.home.repo.clone(),
        issue_number: bottle.home.issue,
        pr_number: bottle.pull_requests.last().copied(),
        status: bottle.state.word().to_owned(),
        detail: bottle.state.detail(),
        label: bottle.label.clone(),
        runs: bottle.runs,
        last_checkin_at: bottle.last_checkin,
        created_at: bottle.created_at,
    }
}

fn unknown(slug: &Slug) -> RpcError {
    RpcError::new(ErrorCode::NotFound, format!("there is no bottle {slug}"))
        .hint("see `orchestrate status`")
}

fn invalid(message: impl Into<String>) -> RpcError {
    RpcError::new(ErrorCode::Invalid, message)
}

fn internal(error: StoreError) -> RpcError {
    tracing::error!(%error, "an operator's call failed");
    RpcError::new(ErrorCode::Internal, error.to_string())
}

fn forge(error: forge::ForgeError) -> RpcError {
    let kind = match &error {
        forge::ForgeError::Gone { .. } | forge::ForgeError::WrongKind { .. } => ErrorCode::NotFound,
        forge::ForgeError::BadToken { .. } | forge::ForgeError::NoPermission { .. } => {
            ErrorCode::ForgeRefused
        }
        forge::ForgeError::OutOfScope { .. }
        | forge::ForgeError::Conflict { .. }
        | forge::ForgeError::Rejected { .. }
        | forge::ForgeError::RateLimited { .. }
        | forge::ForgeError::Server { .. }
        | forge::ForgeError::BadAnswer { .. } => ErrorCode::ForgeUnavailable,
    };
    RpcError::new(kind, error.to_string())
}
