//! Looking at what no webhook told of: forges lose deliveries and do not repeat them.
//!
//! Most rounds ask only what has changed since the last one. Each [`FULL_EVERY`]th, and the first
//! after a start, looks at every live bottle and at every issue that asks for an agent: only that
//! finds what was deleted.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use forge::{Changed, ForgeError};
use jiff::{SignedDuration, Timestamp};
use protocol::ids::{IssueNumber, RepoName};

use super::super::{AGENT_LABEL, Daemon};
use crate::{
    clock,
    intake::webhook,
    store::{Books, StoreError},
};

/// How long arrivals are remembered, to know repeats. Forges redeliver within days.
const REMEMBER: SignedDuration = SignedDuration::from_hours(30 * 24);
/// Rounds from one that looks at everything to the next: half an hour at the usual interval.
const FULL_EVERY: u32 = 6;
/// How far a round looks back beyond the last one: the forge's clock may differ from ours by this.
const OVERLAP: SignedDuration = SignedDuration::from_hours(1);
/// After a delivery that could not be taken the next round is begun at once, but not oftener than
/// this: anybody can send one.
const MISSED_PAUSE: Duration = Duration::from_secs(30);

/// Polls until the daemon stops.
pub(in super::super) async fn poll(daemon: Arc<Daemon>) {
    let rounds = async {
        let mut poller = Poller::default();
        loop {
            if let Err(error) = poller.round(&daemon).await {
                tracing::error!(%error, "cannot store what is to be looked at");
            }
            let pause = MISSED_PAUSE.min(daemon.config.poll);
            tokio::time::sleep(pause).await;
            let rest = daemon.config.poll.saturating_sub(pause);
            // Either way it is time.
            drop(tokio::time::timeout(rest, daemon.pulse.missed.notified()).await);
        }
    };
    // What a round had not stored is found by the next one.
    tokio::select! {
        () = rounds => {}
        () = daemon.stopped() => {}
    }
}

/// What one round knows of the one before.
#[derive(Debug, Default)]
struct Poller {
    rounds: u32,
    /// Numbers of the last answers with the moment of their change: seen again within the overlap,
    /// they are looked at only if it is another one. As large as one answer.
    seen: BTreeMap<RepoName, BTreeMap<IssueNumber, Timestamp>>,
}

/// What a round found.
#[derive(Debug, Default)]
struct Found {
    /// Asks for an agent: to be looked at.
    asking: BTreeSet<(RepoName, IssueNumber)>,
    /// Has changed: to be looked at if it is a bottle's.
    changed: BTreeSet<(RepoName, IssueNumber)>,
    /// Has changed: it may be a bottle's that does not know of it yet.
    pulls: BTreeSet<(RepoName, IssueNumber)>,
    unread: BTreeMap<RepoName, String>,
}

impl Poller {
    async fn round(&mut self, daemon: &Daemon) -> Result<(), StoreError> {
        let full = self.rounds.is_multiple_of(FULL_EVERY);
        let first = self.rounds == 0;
        self.look_around(daemon, full, first).await.inspect_err(|_| self.lost())?;
        self.rounds = self.rounds.saturating_add(1);
        Ok(())
    }

    /// What was found was not stored: the next round finds all of it again.
    fn lost(&mut self) {
        self.seen.clear();
        self.rounds = self.rounds.next_multiple_of(FULL_EVERY);
    }

    async fn look_around(
        &mut self,
        daemon: &Daemon,
        full: bool,
        first: bool,
    ) -> Result<(), StoreError> {
        let begun = clock::now();
        let mut found = Found::default();
        for repo in &daemon.config.forge.repos {
            // One repository's trouble does not hide the others.
            if let Err(error) = self.read(daemon, repo, full, begun, &mut found).await? {
                tracing::warn!(%repo, %error, "cannot list issues");
                daemon.pulse.heed(&error);
                found.unread.insert(repo.clone(), error.to_string());
            }
        }
        let unread = std::mem::take(&mut found.unread);
        let read = daemon.config.forge.repos.iter().filter(|repo| !unread.contains_key(repo));
        let read: Vec<RepoName> = read.cloned().collect();
        let round = Round { full, first, begun };
        daemon.store.write(move |books| note(books, &found, &read, round)).await?;
        daemon.pulse.polled(clock::now(), unread);
        daemon.work.notify_one();
        Ok(())
    }

    async fn read(
        &mut self,
        daemon: &Daemon,
        repo: &RepoName,
        full: bool,
        begun: Timestamp,
        found: &mut Found,
    ) -> Result<Result<(), ForgeError>, StoreError> {
        let key = last_key(repo);
        let last = daemon.store.write(move |books| books.meta(&key)).await?;
        let since = last.and_then(|text| text.parse::<Timestamp>().ok());
        let changed = match since.map(|at| at.min(begun).saturating_sub(OVERLAP)) {
            Some(Ok(since)) => match daemon.forge.changed_since(repo, since).await {
                Ok(changed) => changed,
                Err(error) => return Ok(Err(error)),
            },
            Some(Err(_)) | None => None,
        };
        let is_told = changed.is_some();
        self.take(repo, changed.unwrap_or_default(), found);
        if full || !is_told {
            return Ok(asking(daemon, repo, found).await);
        }
        Ok(Ok(()))
    }

    /// Keeps what is new of an answer.
    fn take(&mut self, repo: &RepoName, changed: Vec<Changed>, found: &mut Found) {
        let before = self.seen.remove(repo).unwrap_or_default();
        let now = self.seen.entry(repo.clone()).or_default();
        for Changed { number, is_pull_request, updated_at, labels } in changed {
            now.insert(number, updated_at);
            if before.get(&number) == Some(&updated_at) {
                continue;
            }
            let asks = labels.iter().any(|label| label.starts_with(AGENT_LABEL));
            let kind = match (is_pull_request, asks) {
                (true, _) => &mut found.pulls,
                (false, true) => &mut found.asking,
                (false, false) => &mut found.changed,
            };
            kind.insert((repo.clone(), number));
        }
    }
}

/// Finds all issues that ask for an agent that there is. Asked for by label: a repository may have
/// ten thousand others.
async fn asking(daemon: &Daemon, repo: &RepoName, found: &mut Found) -> Result<(), ForgeError> {
    for agent in daemon.config.agents.keys() {
        let label = format!("{AGENT_LABEL}{agent}");
        let issues = daemon.forge.list_issues(repo, Some(&label)).await?;
        found.asking.extend(issues.into_iter().map(|issue| (repo.clone(), issue.number)));
    }
    Ok(())
}

/// Where the beginning of the last round is remembered: what happened while the daemon was away is
/// found by the first one.
fn last_key(repo: &RepoName) -> String {
    format!("poll:{repo}")
}

/// What kind of round it is.
#[derive(Debug, Clone, Copy)]
struct Round {
    full: bool,
    first: bool,
    begun: Timestamp,
}

/// Stores what is to be looked at.
fn note(
    books: &Books<'_>,
    found: &Found,
    read: &[RepoName],
    Round { full, first, begun }: Round,
) -> Result<(), StoreError> {
    let mut lanes: BTreeSet<String> = found.asking.iter().map(to_lane).collect();
    for place in &found.changed {
        // An ended one, too: it may have been taken back, to be asked for anew.
        if books.bottle_about(&place.0, place.1)?.is_some() {
            lanes.insert(to_lane(place));
        }
    }
    let live = books.live_bottles()?;
    let with_bottles: BTreeSet<&RepoName> = live.iter().map(|bottle| &bottle.home.repo).collect();
    lanes.extend(found.pulls.iter().filter(|(repo, _)| with_bottles.contains(repo)).map(to_lane));
    if full {
        for bottle in &live {
            let number = bottle.looks_at().or_else(|| bottle.claims.open.last().copied());
            lanes.extend(number.map(|number| webhook::lane(&bottle.home.repo, number)));
        }
    }
    // What the first round finds, no webhook could tell: we were not there.
    let prefix = if first { Books::POLL } else { Books::ROUND };
    for lane in lanes {
        if !books.is_waiting(&lane)? {
            let key = format!("{prefix}{}:{lane}", begun.as_millisecond());
            books.hint(&key, &lane, begun, begun)?;
        }
    }
    for repo in read {
        books.set_meta(&last_key(repo), &begun.to_string())?;
    }
    books.forget_arrivals(begun.saturating_sub(REMEMBER).unwrap_or(Timestamp::MIN)).map(|_| ())
}

fn to_lane((repo, number): &(RepoName, IssueNumber)) -> String {
    webhook::lane(repo, *number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_stored_is_found_again_and_everything_is_looked_at() {
        let repo: RepoName = "team/project".parse().unwrap();
        let changed = || Changed {
            number: 7.try_into().unwrap(),
            is_pull_request: false,
            updated_at: Timestamp::UNIX_EPOCH,
            labels: vec![],
        };
        let mut poller = Poller { rounds: FULL_EVERY + 1, seen: BTreeMap::new() };
        let found = |poller: &mut Poller| {
            let mut found = Found::default();
            poller.take(&repo, vec![changed()], &mut found);
            found.changed.len()
        };
        assert_eq!(found(&mut poller), 1);
        assert_eq!(found(&mut poller), 0, "it was looked at");
        poller.lost();
        assert_eq!(found(&mut poller), 1);
        assert!(
            poller.rounds.is_multiple_of(FULL_EVERY) && poller.rounds > 0,
            "it is not the first"
        );
        poller.rounds = 0;
        poller.lost();
        assert_eq!(poller.rounds, 0, "the first is made again as such");
    }
}
