//! Looking at the forge: when a hint came, and from time to time although none did.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use forge::ForgeError;
use jiff::{SignedDuration, Timestamp};
use orchestrator_core::{bottle::Bottle, policy::Verdict};
use protocol::{
    ids::{IssueNumber, RepoName},
    item::Issue,
};

use super::{AGENT_LABEL, Daemon};
use crate::{
    clock,
    intake::{sight, webhook},
    life,
    store::{Books, HintRow, StoreError},
};

/// How long arrivals are remembered, to know repeats. Forges redeliver within days.
const REMEMBER: SignedDuration = SignedDuration::from_hours(30 * 24);

/// Why a look came to nothing; it is done again later.
#[derive(Debug, thiserror::Error)]
enum Unseen {
    #[error("the forge: {0}")]
    Forge(#[from] ForgeError),
    #[error("the store: {0}")]
    Store(#[from] StoreError),
    #[error("the issue's bottle changed meanwhile")]
    Changed,
}

impl Unseen {
    /// The least time until the next try, if the forge named one.
    fn not_before(&self) -> Duration {
        match self {
            Self::Forge(ForgeError::RateLimited { retry_after, .. }) => *retry_after,
            Self::Forge(_) | Self::Store(_) | Self::Changed => Duration::ZERO,
        }
    }
}

/// Looks at the number of a lane and acts on what is there; hints that came meanwhile are looked at
/// again, hints that cannot be looked at are put off.
pub(super) async fn at_lane(daemon: &Daemon, lane: &str) {
    let name = lane.to_owned();
    let hints = match daemon.store.write(move |books| books.hints(&name, clock::now())).await {
        Ok(hints) => hints,
        Err(error) => return tracing::error!(lane, %error, "cannot read hints"),
    };
    let judged = match webhook::parse_lane(lane) {
        Some((repo, number)) => judge(daemon, &repo, number, &hints).await,
        None => finish(daemon, &hints).await.map_err(Unseen::Store),
    };
    if let Err(error) = judged {
        tracing::warn!(lane, %error, "will look again");
        let attempts = hints.iter().map(|hint| hint.attempts).max().unwrap_or(0).saturating_add(1);
        let named = SignedDuration::try_from(error.not_before()).unwrap_or(SignedDuration::MAX);
        let delay = daemon.config.timing.retry_delay(attempts).max(named);
        let again = clock::now().saturating_add(delay).unwrap_or(Timestamp::MAX);
        if let Err(error) = daemon.store.write(move |books| books.defer_hints(&hints, again)).await
        {
            tracing::error!(lane, %error, "cannot put hints off");
        }
    }
    daemon.work.notify_one();
}

async fn finish(daemon: &Daemon, hints: &[HintRow]) -> Result<(), StoreError> {
    let hints = hints.to_vec();
    daemon.store.write(move |books| books.finish_hints(&hints)).await
}

async fn judge(
    daemon: &Daemon,
    repo: &RepoName,
    number: IssueNumber,
    hints: &[HintRow],
) -> Result<(), Unseen> {
    let live = move |books: &Books<'_>, repo: &RepoName| {
        Ok::<_, StoreError>(books.bottle_about(repo, number)?.filter(Bottle::is_live))
    };
    let asked = repo.clone();
    let had = daemon.store.write(move |books| live(books, &asked)).await?;
    let whose = sight::Whose {
        forge: daemon.forge.as_ref(),
        org: &daemon.config.forge.org,
        us: &daemon.own,
    };
    let seen = sight::look(&whose, repo, number, had.as_ref()).await?;
    let (laws, config, hints) = (daemon.laws(), Arc::clone(&daemon.config), hints.to_vec());
    let had = had.map(|bottle| bottle.slug);
    let decide = move |books: &Books<'_>| {
        // Made or ended while we looked: what was seen is not what must be decided on.
        if live(books, &seen.repo)?.map(|bottle| bottle.slug) != had {
            return Ok(None);
        }
        let login = |agent: &_| config.agents.get(agent).map(|agent| agent.identity.login.clone());
        let verdict = life::judge(books, &laws, &seen, number, login, clock::now())?;
        books.finish_hints(&hints)?;
        Ok(Some(verdict))
    };
    match daemon.store.write(decide).await? {
        None => Err(Unseen::Changed),
        Some(Verdict::Nothing(why)) => {
            tracing::info!(%repo, %number, %why, "nothing to do");
            Ok(())
        }
        Some(Verdict::Launch(_) | Verdict::Tell(_)) => Ok(()),
    }
}

/// Looks at everything from time to time: forges lose deliveries and do not repeat them.
pub(super) async fn poll(daemon: Arc<Daemon>) {
    loop {
        if let Err(error) = poll_once(&daemon).await {
            tracing::error!(%error, "cannot store what is to be looked at");
        }
        tokio::select! {
            () = tokio::time::sleep(daemon.config.poll) => {}
            () = daemon.stopped() => return,
        }
    }
}

async fn poll_once(daemon: &Daemon) -> Result<(), StoreError> {
    let mut lanes = BTreeSet::new();
    for repo in &daemon.config.forge.repos {
        // One repository's trouble does not hide the others.
        match daemon.forge.list_issues(repo, None).await {
            Ok(issues) => {
                let asking = issues.iter().filter(|issue| asks(issue));
                lanes.extend(asking.map(|issue| webhook::lane(repo, issue.number)));
            }
            Err(error) => tracing::warn!(%repo, %error, "cannot list issues"),
        }
    }
    let now = clock::now();
    let note = move |books: &Books<'_>| {
        for bottle in books.live_bottles()? {
            let number = bottle.pull_requests.last().copied().or(bottle.home.issue);
            lanes.extend(number.map(|number| webhook::lane(&bottle.home.repo, number)));
        }
        for lane in lanes {
            if !books.is_waiting(&lane)? {
                books.arrive(
                    &format!("{}{}:{lane}", Books::POLL, now.as_millisecond()),
                    Some(&lane),
                    now,
                )?;
            }
        }
        books.forget_arrivals(now.saturating_sub(REMEMBER).unwrap_or(Timestamp::MIN)).map(|_| ())
    };
    daemon.store.write(note).await?;
    daemon.work.notify_one();
    Ok(())
}

fn asks(issue: &Issue) -> bool {
    issue.labels.iter().any(|label| label.starts_with(AGENT_LABEL))
}
