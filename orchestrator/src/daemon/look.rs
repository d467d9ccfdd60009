//! Looking: at the forge when a hint came or time has passed, at the engine and the queues likewise.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use orchestrator_core::{
    bottle::{Bottle, State},
    event::{Effect, Event},
    policy::Verdict,
    reconcile::{self, Container, Pair, SidecarGrant},
};
use protocol::{ids::Slug, item::Issue, limits};

use super::{AGENT_LABEL, Daemon};
use crate::{
    clock,
    intake::{sight, webhook},
    life,
    store::{Books, HintRow, StoreError},
};

/// Containers are compared with the records at least this often.
const RECONCILE: Duration = Duration::from_secs(15);
/// From an event of the engine to a look at its list.
const SETTLE: Duration = Duration::from_millis(100);
/// Scans of one queue in a row; a full queue needs one.
const QUEUE_ROUNDS: u32 = 4;
/// Between two readings of queues that change all the time.
const QUEUE_PAUSE: Duration = Duration::from_millis(2);
/// After an engine that does not answer.
const ENGINE_BACK_OFF: Duration = Duration::from_secs(5);
/// How long arrivals are remembered, to know repeats. Forges redeliver within days.
const REMEMBER: SignedDuration = SignedDuration::from_hours(30 * 24);

/// Looks at the number of a lane and acts on what is there; hints that came meanwhile are looked at
/// again, hints that cannot be looked at are put off.
pub(super) async fn at_lane(daemon: &Daemon, lane: &str) {
    let name = lane.to_owned();
    let hints = match daemon.store.write(move |books| books.hints(&name, clock::now())).await {
        Ok(hints) => hints,
        Err(error) => return tracing::error!(lane, %error, "cannot read hints"),
    };
    if let Err(error) = judge(daemon, lane, &hints).await {
        tracing::warn!(lane, error, "cannot look at the forge; will try again");
        let attempts = hints.iter().map(|hint| hint.attempts).max().unwrap_or(0).saturating_add(1);
        let again = clock::now()
            .saturating_add(daemon.config.timing.retry_delay(attempts))
            .unwrap_or(Timestamp::MAX);
        if let Err(error) = daemon.store.write(move |books| books.defer_hints(&hints, again)).await
        {
            tracing::error!(lane, %error, "cannot put hints off");
        }
    }
    daemon.work.notify_one();
}

async fn judge(daemon: &Daemon, lane: &str, hints: &[HintRow]) -> Result<(), String> {
    let hints = hints.to_vec();
    let done = |error: StoreError| error.to_string();
    let Some((repo, number)) = webhook::parse_lane(lane) else {
        return daemon.store.write(move |books| books.finish_hints(&hints)).await.map_err(done);
    };
    let asked = repo.clone();
    let known =
        daemon.store.write(move |books| books.bottle_about(&asked, number)).await.map_err(done)?;
    let live = known.filter(Bottle::is_live);
    let forge = daemon.forge.as_ref();
    let seen = sight::look(forge, &daemon.config.forge.org, &repo, number, live.as_ref()).await;
    let seen = seen.map_err(|error| error.to_string())?;
    let (laws, config) = (daemon.laws(), Arc::clone(&daemon.config));
    let had = live.map(|bottle| bottle.slug);
    let verdict = daemon
        .store
        .write(move |books| {
            // Made or ended while we looked: what was seen is not what must be decided on.
            let now = books
                .bottle_about(&seen.repo, number)?
                .filter(Bottle::is_live)
                .map(|bottle| bottle.slug);
            if now != had {
                return Ok(None);
            }
            let login =
                |agent: &_| config.agents.get(agent).map(|agent| agent.identity.login.clone());
            let verdict = life::judge(books, &laws, &seen, number, login, clock::now())?;
            books.finish_hints(&hints)?;
            Ok(Some(verdict))
        })
        .await
        .map_err(done)?;
    match verdict {
        Some(Verdict::Nothing(why)) => tracing::info!(lane, %why, "nothing to do"),
        Some(Verdict::Launch(_) | Verdict::Tell(_)) | None => {}
    }
    Ok(())
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
            Ok(issues) => lanes.extend(
                issues
                    .iter()
                    .filter(|issue| asks(issue))
                    .map(|issue| webhook::lane(repo, issue.number)),
            ),
            Err(error) => tracing::warn!(%repo, %error, "cannot list issues"),
        }
    }
    let now = clock::now();
    let stored = daemon.store.write(move |books| {
        for bottle in books.live_bottles()? {
            let number = bottle.pull_requests.last().copied().or(bottle.home.issue);
            lanes.extend(number.map(|number| webhook::lane(&bottle.home.repo, number)));
        }
        for lane in lanes {
            if !books.is_waiting(&lane)? {
                books.arrive(&format!("poll:{}:{lane}", now.as_millisecond()), Some(&lane), now)?;
            }
        }
        books.forget_arrivals(now.saturating_sub(REMEMBER).unwrap_or(Timestamp::MIN))?;
        Ok(())
    });
    stored.await?;
    daemon.work.notify_one();
    Ok(())
}

fn asks(issue: &Issue) -> bool {
    issue.labels.iter().any(|label| label.starts_with(AGENT_LABEL))
}

/// Reads queues as they change, and those of bottles that are awake every few seconds.
pub(super) async fn queues(daemon: Arc<Daemon>) {
    let mut rescan = tokio::time::interval(limits::QUEUE_RESCAN);
    rescan.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let slugs = tokio::select! {
            touched = daemon.relay.touched() => touched.into_iter().collect(),
            _ = rescan.tick() => awake(&daemon).await,
            () = daemon.stopped() => return,
        };
        for slug in slugs {
            match daemon.relay.scan(&daemon.laws(), &slug).await {
                Ok(true) => daemon.work.notify_one(),
                Ok(false) => {}
                Err(error) => tracing::error!(%slug, %error, "cannot store what a queue holds"),
            }
        }
        tokio::time::sleep(QUEUE_PAUSE).await;
    }
}

async fn awake(daemon: &Daemon) -> Vec<Slug> {
    let awake = |books: &Books<'_>| {
        let bottles = books.slot_bottles()?.into_iter();
        Ok(bottles.filter(Bottle::uses_slot).map(|bottle| bottle.slug).collect())
    };
    daemon.store.write(awake).await.unwrap_or_default()
}

/// Compares containers with records: at start, when the engine tells of a change, and regularly.
pub(super) async fn reconcile(daemon: Arc<Daemon>) {
    loop {
        let pause = match reconcile_once(&daemon).await {
            Ok(()) => RECONCILE,
            Err(error) => {
                tracing::warn!(error, "cannot compare containers with records");
                ENGINE_BACK_OFF
            }
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = daemon.drift.notified() => {}
            () = daemon.stopped() => return,
        }
    }
}

async fn reconcile_once(daemon: &Daemon) -> Result<(), String> {
    let store = |error: StoreError| error.to_string();
    let read = daemon.store.write(|books| {
        let mut bottles = books.live_bottles()?;
        bottles.extend(books.unclean_bottles()?);
        let busy = books.work(clock::now())?.effects;
        Ok((bottles, busy.into_iter().collect::<BTreeSet<_>>()))
    });
    let (bottles, busy) = read.await.map_err(store)?;
    let pairs = observe(daemon, &bottles).await.map_err(|error| error.to_string())?;
    let plan = reconcile::plan(&bottles, &busy, &pairs);
    for (slug, event) in plan.events {
        // The record may have moved on since it was read: an event for an old state is a no-op.
        tracing::info!(%slug, ?event, "put right");
        daemon.tell(&slug, event).await.map_err(store)?;
    }
    for slug in plan.orphans {
        let known = slug.clone();
        if daemon.store.write(move |books| books.bottle(&known)).await.map_err(store)?.is_none() {
            tracing::warn!(%slug, "removing containers that no record knows");
            daemon.executor.remove_orphan(&slug).await.map_err(|error| error.to_string())?;
        } else {
            daemon
                .tell(&slug, Event::Drifted { detail: "left over".to_owned() })
                .await
                .map_err(store)?;
        }
    }
    halt_all(daemon, &bottles).await.map_err(store)
}

/// The kill switch puts to sleep what runs.
async fn halt_all(daemon: &Daemon, bottles: &[Bottle]) -> Result<(), StoreError> {
    if !daemon.laws().rules.kill_switch {
        return Ok(());
    }
    let tier = orchestrator_core::bottle::Tier::Cold;
    for bottle in bottles.iter().filter(|bottle| matches!(bottle.state, State::Running { .. })) {
        daemon.tell(&bottle.slug, Event::Freeze { tier }).await?;
    }
    Ok(())
}

/// Both containers of every bottle, and what the sidecars of running ones say.
async fn observe(
    daemon: &Daemon,
    bottles: &[Bottle],
) -> Result<BTreeMap<Slug, Pair>, crate::engine::EngineError> {
    let seen = daemon.engine.observe().await?;
    let mut pairs = BTreeMap::new();
    for (slug, seen) in seen {
        let running =
            bottles.iter().any(|b| b.slug == slug && matches!(b.state, State::Running { .. }));
        let grant = if running && seen.sidecar == Container::Running {
            match daemon.executor.usage(&slug).await {
                None => SidecarGrant::Unknown,
                Some(usage) => usage.nonce.map_or(SidecarGrant::None, SidecarGrant::Nonce),
            }
        } else {
            SidecarGrant::Unknown
        };
        pairs.insert(slug, Pair { sidecar: seen.sidecar, bottle: seen.bottle, grant });
    }
    Ok(pairs)
}

/// Listens to the engine; each change is a reason to compare.
pub(super) async fn engine(daemon: Arc<Daemon>) {
    loop {
        let changed = tokio::select! {
            changed = daemon.engine.changed() => changed,
            () = daemon.stopped() => return,
        };
        if let Err(error) = changed {
            tracing::debug!(%error, "no events of the engine");
            tokio::select! {
                () = tokio::time::sleep(ENGINE_BACK_OFF) => {}
                () = daemon.stopped() => return,
            }
        }
        // Docker 20.10 tells of an end a moment before its list shows it; and changes come in groups.
        tokio::time::sleep(SETTLE).await;
        daemon.drift.notify_one();
    }
}

impl Daemon {
    /// Does an effect with what belongs around it: the queue is watched before a bottle can write to
    /// it, and read to its end before it is removed.
    pub(super) async fn run_effect(&self, bottle: &Bottle, effect: &Effect) -> Event {
        let slug = &bottle.slug;
        match effect {
            Effect::Awaken { .. } => {
                if let Err(error) = self.executor.prepare(bottle) {
                    tracing::warn!(%slug, error, "cannot prepare a bottle's files");
                }
                self.relay.watch(slug);
                self.executor.run(bottle, effect).await
            }
            Effect::Sleep { .. } => {
                let outcome = self.executor.run(bottle, effect).await;
                self.read_queue(slug).await;
                outcome
            }
            Effect::Remove {} => {
                self.executor.stop(bottle).await;
                self.read_queue(slug).await;
                self.relay.unwatch(slug);
                self.executor.run(bottle, effect).await
            }
        }
    }

    async fn read_queue(&self, slug: &Slug) {
        // A sidecar may write on and on: the rest is read at the next look.
        for _ in 0..QUEUE_ROUNDS {
            if !matches!(self.relay.scan(&self.laws(), slug).await, Ok(true)) {
                return;
            }
        }
    }
}
