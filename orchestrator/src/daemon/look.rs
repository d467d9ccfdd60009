//! Looking at the forge when a hint came, and acting on what is there.

mod explain;
mod poll;

use std::{sync::Arc, time::Duration};

use forge::ForgeError;
use jiff::{SignedDuration, Timestamp};
use orchestrator_core::{
    bottle::Bottle,
    event::Event,
    policy::{SeenIssue, Verdict, Why},
};
use protocol::ids::{IssueNumber, RepoName, Slug};

use super::{AGENT_LABEL, Daemon};
use crate::{
    clock,
    intake::{
        sight::{self, Seen},
        webhook,
    },
    life,
    store::{Books, HintRow, StoreError, Taken},
};

pub use explain::Explanation;
pub(super) use poll::poll;

/// Why a look came to nothing; it is done again later.
#[derive(Debug, thiserror::Error)]
pub enum LookError {
    /// The forge does not tell.
    #[error("the forge: {0}")]
    Forge(#[from] ForgeError),
    /// The store does not tell.
    #[error("the store: {0}")]
    Store(#[from] StoreError),
    /// What was seen is not what must be decided on.
    #[error("the issue's bottle changed meanwhile")]
    Changed,
}

impl LookError {
    /// The least time until the next try, if the forge named one.
    fn not_before(&self) -> SignedDuration {
        let named = match self {
            Self::Forge(error) => error.retry_after().unwrap_or_default(),
            Self::Store(_) | Self::Changed => Duration::ZERO,
        };
        SignedDuration::try_from(named).unwrap_or(SignedDuration::MAX)
    }
}

/// After a store that does not answer.
const BACK_OFF: Duration = Duration::from_secs(1);

/// Looks at the number of a lane and acts on what is there; hints that came meanwhile are looked at
/// again, hints that cannot be looked at are put off.
pub(super) async fn at_lane(daemon: &Daemon, lane: &str) {
    let name = lane.to_owned();
    let taken = match daemon.store.write(move |books| books.take_hints(&name)).await {
        Ok(taken) => taken,
        Err(error) => {
            tracing::error!(lane, %error, "cannot read hints");
            return daemon.rest(BACK_OFF).await;
        }
    };
    let attempts = taken.hints.iter().map(|hint| hint.attempts).max().unwrap_or(0);
    if let Err(wait) = daemon.pulse.begin_look(lane) {
        let wait = SignedDuration::try_from(wait).unwrap_or(SignedDuration::MAX);
        return put_off(daemon, lane, taken.hints, attempts, wait).await;
    }
    let judged = match webhook::parse_lane(lane) {
        Some((repo, number)) => judge(daemon, &repo, number, &taken).await,
        None => finish(daemon, &taken.hints).await.map_err(LookError::Store),
    };
    if let Err(error) = judged {
        tracing::warn!(lane, %error, "will look again");
        if let LookError::Forge(error) = &error {
            daemon.pulse.heed(error);
        }
        let attempts = attempts.saturating_add(1);
        let delay = daemon.config.timing.retry_delay(attempts).max(error.not_before());
        put_off(daemon, lane, taken.hints, attempts, delay).await;
    }
    daemon.work.notify_one();
}

async fn put_off(
    daemon: &Daemon,
    lane: &str,
    hints: Vec<HintRow>,
    attempts: u32,
    delay: SignedDuration,
) {
    let again = clock::now().saturating_add(delay).unwrap_or(Timestamp::MAX);
    let work = move |books: &Books<'_>| books.put_off(&hints, attempts, again);
    if let Err(error) = daemon.store.write(work).await {
        // They are due now; asking again at once would ask the forge and fill the log.
        tracing::error!(lane, %error, "cannot put hints off");
        daemon.rest(BACK_OFF).await;
    }
}

async fn finish(daemon: &Daemon, hints: &[HintRow]) -> Result<(), StoreError> {
    let hints = hints.to_vec();
    daemon.store.write(move |books| books.finish_hints(&hints)).await
}

/// What was seen at a number, and whose it is.
struct Looked {
    seen: Seen,
    bottle: Option<Bottle>,
    /// It is the bottle's by its head branch; the record does not know it yet.
    by_branch: bool,
}

impl Looked {
    fn slug(&self) -> Option<Slug> {
        self.bottle.as_ref().map(|bottle| bottle.slug.clone())
    }
}

/// Looks at a number for the live bottle that it belongs to: by its record, or because the number is
/// a pull request from its branch. What a sidecar claims counts for nothing.
async fn look(daemon: &Daemon, repo: &RepoName, number: IssueNumber) -> Result<Looked, LookError> {
    let asked = repo.clone();
    let known = daemon.store.write(move |books| books.bottle_about(&asked, number)).await?;
    let bottle = known.filter(Bottle::is_live);
    let target = sight::Target { repo, number, bottle: bottle.as_ref() };
    let seen = sight::look(&whose(daemon), target).await?;
    if bottle.is_some() || seen.sight.issue != SeenIssue::None {
        return Ok(Looked { seen, bottle, by_branch: false });
    }
    let owner = sight::owner_by_branch(daemon.forge.as_ref(), repo, number).await?;
    let Some((slug, branch)) = owner else {
        return Ok(Looked { seen, bottle: None, by_branch: false });
    };
    let bottle = daemon.store.write(move |books| books.bottle(&slug)).await?;
    let is_its = |bottle: &Bottle| {
        bottle.is_live() && bottle.home.repo == *repo && bottle.home.branch.as_str() == branch
    };
    let Some(bottle) = bottle.filter(is_its) else {
        return Ok(Looked { seen, bottle: None, by_branch: false });
    };
    let target = sight::Target { repo, number, bottle: Some(&bottle) };
    let seen = sight::look(&whose(daemon), target).await?;
    Ok(Looked { seen, bottle: Some(bottle), by_branch: true })
}

fn whose(daemon: &Daemon) -> sight::Whose<'_> {
    sight::Whose {
        forge: daemon.forge.as_ref(),
        org: &daemon.config.forge.org,
        us: &daemon.own,
        label: AGENT_LABEL,
    }
}

async fn judge(
    daemon: &Daemon,
    repo: &RepoName,
    number: IssueNumber,
    taken: &Taken,
) -> Result<(), LookError> {
    let mut looked = look(daemon, repo, number).await?;
    let unread = looked.seen.unread.take();
    let (laws, config, hints) = (daemon.laws(), Arc::clone(&daemon.config), taken.hints.clone());
    let decide = move |books: &Books<'_>| {
        let seen = &looked.seen;
        if !is_as_before(books, number, &looked)? {
            return Ok(Err(LookError::Changed));
        }
        if let Some(error) = unread
            && !life::ends(books, &laws, &seen.sight, number)?
        {
            return Ok(Err(LookError::Forge(error)));
        }
        if let Some(slug) = looked.slug() {
            tell_pulls(books, &laws, &slug, seen)?;
        }
        let login = |agent: &_| config.agents.get(agent).map(|agent| agent.identity.login.clone());
        let verdict = life::judge(books, &laws, &seen.sight, number, login, clock::now())?;
        books.finish_hints(&hints)?;
        if seen.more && matches!(verdict, Verdict::Tell(Event::Wake { .. })) {
            let (now, lane) = (clock::now(), webhook::lane(&seen.sight.repo, number));
            let key = format!("{}more:{lane}:{}", Books::POLL, now.as_millisecond());
            books.hint(&key, &lane, now, now)?;
        }
        Ok(Ok(verdict))
    };
    let verdict = daemon.store.write(decide).await??;
    told(daemon, repo, number, taken, &verdict);
    Ok(())
}

/// Whether the number still belongs to whom it did when the look began: made or ended meanwhile, what
/// was seen is not what must be decided on.
fn is_as_before(
    books: &Books<'_>,
    number: IssueNumber,
    looked: &Looked,
) -> Result<bool, StoreError> {
    let now = match (&looked.bottle, looked.by_branch) {
        (Some(bottle), true) => books.bottle(&bottle.slug)?,
        (Some(_) | None, _) => books.bottle_about(&looked.seen.sight.repo, number)?,
    };
    Ok(now.filter(Bottle::is_live).map(|bottle| bottle.slug) == looked.slug())
}

fn tell_pulls(
    books: &Books<'_>,
    laws: &life::Laws,
    slug: &Slug,
    seen: &Seen,
) -> Result<(), StoreError> {
    if seen.ours.is_empty() && seen.foreign.is_empty() {
        return Ok(());
    }
    let event = Event::Pulls { ours: seen.ours.clone(), foreign: seen.foreign.clone() };
    life::tell(books, laws, slug, &event, clock::now()).map(|_| ())
}

fn told(daemon: &Daemon, repo: &RepoName, number: IssueNumber, taken: &Taken, verdict: &Verdict) {
    match verdict {
        Verdict::Nothing(Why::NothingNew) => {
            tracing::debug!(%repo, %number, "nothing to do");
        }
        // The kill switch is ours: no hint tells of its end.
        Verdict::Nothing(Why::KillSwitch) => {
            tracing::debug!(%repo, %number, "held by the kill switch");
            daemon.pulse.hold(webhook::lane(repo, number));
        }
        Verdict::Nothing(why) => {
            tracing::info!(%repo, %number, code = why.code(), %why, "nothing to do");
        }
        Verdict::Launch(_) | Verdict::Tell(_) => {
            if taken.only_polled {
                daemon.pulse.found_by_poll();
            }
        }
    }
}
