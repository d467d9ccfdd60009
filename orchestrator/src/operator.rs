//! What the `orchestrate` commands ask of the daemon.

mod explain;
mod find;
mod order;
pub(crate) mod retention;

use std::{num::NonZeroU32, sync::Arc};

use jiff::{SignedDuration, Timestamp};
use jsonrpsee::core::{RpcResult, async_trait};
use orchestrator_core::{
    bottle::{Bottle, Reason, Rights, State, Tier},
    event::Event,
    prompt,
};
use protocol::{
    error::{ErrorCode, RpcError},
    ids::{IssueNumber, RepoName, Slug},
    operator::{
        BottlePage, BottleStatus, Explanation, LogLine, Logs, OperatorRpcServer, Output,
        OutputPiece, Pruned, StartRequest, Status, Subject,
    },
};

use crate::{
    clock,
    daemon::Daemon,
    life::{self, Laws, Told},
    store::{Books, Listed, StoreError},
};

/// Destroyed bottles that `status` still shows.
const RECENT: u32 = 20;
/// Bottles of one answer; ten thousand are asked for by ten calls, and none holds up the store.
const PAGE: NonZeroU32 = NonZeroU32::new(1000).expect("not zero");
/// Lines of one answer of `logs`.
const LINES: NonZeroU32 = NonZeroU32::new(1000).expect("not zero");
/// Output of one answer of `logs`.
const OUTPUT_MAX_BYTES: usize = 256 << 10;

/// How the note on webhooks with a wrong signature ends, of which `doctor` knows the remedy.
pub(crate) const REFUSED_WEBHOOKS: &str = "webhooks were refused for their signature";

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

    /// What keeps work from being done, or from being seen.
    fn notes(&self) -> Vec<String> {
        let health = self.daemon.pulse.health();
        let mut notes: Vec<String> = self
            .daemon
            .laws()
            .lack
            .iter()
            .map(|lack| format!("nothing new is started: {lack}"))
            .collect();
        if health.webhooks_silent {
            let poll = self.daemon.config.poll.as_secs();
            notes.push(format!(
                "webhooks do not arrive; changes are found by looking, every {poll} s (see `orchestrate doctor`)"
            ));
        }
        if health.refused > 0 {
            notes.push(format!("{} {REFUSED_WEBHOOKS}", health.refused));
        }
        notes.extend(
            health.unread.iter().map(|(repo, why)| format!("{repo} cannot be read: {why}")),
        );
        notes
    }

    /// How many slots are used, and a page of the bottles.
    async fn page(&self, before: Option<u32>) -> Result<(u32, BottlePage), RpcError> {
        let read =
            move |books: &Books<'_>| Ok((books.slots_used()?, books.page(before, RECENT, PAGE)?));
        let (used, bottles) = self.daemon.store.write(read).await.map_err(internal)?;
        let full = bottles.len() >= usize::try_from(PAGE.get()).unwrap_or(usize::MAX);
        let next = bottles.last().filter(|_| full).map(|bottle| bottle.serial);
        let laws = self.daemon.laws();
        let bottles = bottles.into_iter().map(|bottle| row(bottle, &laws)).collect();
        Ok((used, BottlePage { bottles, next }))
    }

    async fn tell(&self, slug: &Slug, event: Event) -> Result<(), RpcError> {
        match self.daemon.tell(slug, event).await.map_err(internal)? {
            Told::Changed => Ok(()),
            Told::Ignored(why) => Err(RpcError::new(ErrorCode::Conflict, format!("{slug}: {why}"))
                .hint("see `orchestrate status`")),
            Told::Unknown => Err(unknown(slug)),
        }
    }
}

#[async_trait]
impl OperatorRpcServer for Operator {
    async fn status(&self) -> RpcResult<Status> {
        let (slots_used, BottlePage { bottles, next }) = self.page(None).await?;
        let laws = self.daemon.laws();
        Ok(Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            slots: laws.slots,
            slots_used,
            kill_switch: laws.rules.kill_switch,
            last_delivery_at: self.daemon.pulse.health().last_delivery,
            notes: self.notes(),
            bottles,
            next,
        })
    }

    async fn bottles(&self, before: u32) -> RpcResult<BottlePage> {
        let (_, page) = self.page(Some(before)).await?;
        Ok(page)
    }

    async fn find(&self, subject: Subject) -> RpcResult<BottleStatus> {
        let bottle = self.bottle_of(&subject).await?;
        Ok(row(Listed::from(&bottle), &self.daemon.laws()))
    }

    async fn explain(&self, subject: Subject) -> RpcResult<Explanation> {
        Ok(self.explanation(&subject).await?)
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
            error.hint(format!("orchestrate resume {live} --prompt ...")).into()
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
        let Err(refused) = self.tell(&slug, Event::Freeze { tier }).await else { return Ok(()) };
        if refused.data.kind == ErrorCode::Conflict {
            let bottle = self.bottle_of(&Subject::Bottle(slug.clone())).await?;
            if let State::Frozen { tier, .. } = bottle.state {
                let error = RpcError::new(ErrorCode::Conflict, format!("{slug} is already frozen"));
                let hint = match tier {
                    Tier::Hot => "--cold stops its containers",
                    Tier::Cold => "its containers are stopped; see `orchestrate status`",
                };
                return Err(error.hint(hint).into());
            }
        }
        Err(refused.into())
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

    async fn output(&self, slug: Slug, after: Option<Timestamp>) -> RpcResult<Output> {
        let bottle = self.bottle_of(&Subject::Bottle(slug.clone())).await?;
        let executor = &self.daemon.executor;
        let pieces = executor.output_after(&slug, after, OUTPUT_MAX_BYTES).await;
        let pieces =
            pieces.map_err(|error| RpcError::new(ErrorCode::Internal, error.to_string()))?;
        let mut pieces: Vec<OutputPiece> =
            pieces.into_iter().map(|(at, text)| OutputPiece { at, text }).collect();
        if pieces.is_empty() && after.is_none() && !bottle.is_live() {
            let text = executor.output(&slug, OUTPUT_MAX_BYTES).await.unwrap_or_default();
            pieces.push(OutputPiece { at: bottle.created_at, text });
        }
        Ok(Output { pieces, ended: !bottle.is_live() })
    }

    async fn prune(&self, older_than_s: u64, dry_run: bool) -> RpcResult<Pruned> {
        let age = i64::try_from(older_than_s).map(SignedDuration::from_secs);
        let before = age.ok().and_then(|age| clock::now().checked_sub(age).ok());
        let before = before.ok_or_else(|| invalid("nothing is that old"))?;
        let pruned = if dry_run {
            retention::spent(&self.daemon, before).await
        } else {
            retention::prune(&self.daemon, before).await
        };
        Ok(pruned.map_err(internal)?)
    }
}

fn row(bottle: Listed, laws: &Laws) -> BottleStatus {
    let detail = match (bottle.wants_slot(), &bottle.state) {
        (true, State::Queued { .. }) => life::waits(laws, Rights::Unknown {}),
        (wants, state) => {
            let detail = state.detail_of(bottle.starved_at.is_some());
            // First, because lists show only the beginning.
            let waits = life::waits(laws, Rights::Unknown {});
            if wants { format!("{waits}; {detail}") } else { detail }
        }
    };
    BottleStatus {
        status: bottle.state.word().to_owned(),
        detail,
        slug: bottle.slug,
        agent_name: bottle.agent,
        bottle_names: bottle.profiles,
        backend_name: bottle.backend,
        agent_git_user: bottle.login,
        repo: bottle.home.repo,
        issue_number: bottle.home.issue,
        pr_number: bottle.pull_requests.last().copied(),
        label: bottle.label,
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
        | forge::ForgeError::Unreachable { .. }
        | forge::ForgeError::Server { .. }
        | forge::ForgeError::BadAnswer { .. } => ErrorCode::ForgeUnavailable,
    };
    let hint = match &error {
        forge::ForgeError::Gone { .. } | forge::ForgeError::WrongKind { .. } => {
            "check the number, and forge.repositories"
        }
        forge::ForgeError::BadToken { .. } => {
            "make a new token for the daemon's account and put it into forge.token_file"
        }
        forge::ForgeError::NoPermission { .. } => {
            "give the daemon's account that right; see `orchestrate doctor`"
        }
        forge::ForgeError::OutOfScope { .. }
        | forge::ForgeError::Conflict { .. }
        | forge::ForgeError::Rejected { .. }
        | forge::ForgeError::RateLimited { .. }
        | forge::ForgeError::Unreachable { .. }
        | forge::ForgeError::Server { .. }
        | forge::ForgeError::BadAnswer { .. } => "try again; see `orchestrate doctor`",
    };
    RpcError::new(kind, error.to_string()).hint(hint)
}

/// What an operator reads of an issue that the forge does not have.
fn no_issue(repo: &RepoName, number: IssueNumber) -> String {
    format!("there is no issue #{number} in {repo}, or the daemon's account may not see it")
}
