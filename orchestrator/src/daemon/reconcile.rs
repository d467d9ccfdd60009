//! Comparing containers with records: at start, when the engine tells of a change, and regularly.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use futures_util::future::join_all;
use orchestrator_core::{
    bottle::{Bottle, State},
    event::Event,
    reconcile::{self, Container, Pair, SidecarGrant},
};
use protocol::{
    ids::{RunId, Slug},
    limits,
};
use tokio::time::{Instant, timeout};

use super::Daemon;
use crate::{
    clock,
    engine::{Change, EngineError, Role, Seen},
    life,
    store::{Books, StoreError},
};

/// At least this often, whatever the engine tells.
const REGULARLY: Duration = Duration::from_secs(15);
/// From an event of the engine to a look at its list: Docker 20.10 tells of an end a moment before
/// its list shows it, and changes come in groups.
const SETTLE: Duration = Duration::from_millis(100);
/// After an engine that does not answer.
const BACK_OFF: Duration = Duration::from_secs(5);
/// For the engine to show its containers or to remove an orphan; one that hangs is as good as away.
const ENGINE_PATIENCE: Duration = Duration::from_secs(30);
/// An agent's first process that waits for a run for this long, while its run is said to go on, has
/// lost it: more than a queue needs to be read in, if it has told of the end.
const IDLE_FOR: Duration = limits::QUEUE_RESCAN.saturating_add(Duration::from_secs(2));
/// For a sidecar to say whether it has its grant; one that hangs says nothing.
const SIDECAR_PATIENCE: Duration = Duration::from_secs(2);

/// Why a comparison broke off.
#[derive(Debug, thiserror::Error)]
enum Unclear {
    #[error("{0}")]
    Engine(#[from] EngineError),
    #[error("{0}")]
    Store(#[from] StoreError),
    #[error("the container engine does not do it within {} s", ENGINE_PATIENCE.as_secs())]
    Slow,
}

/// Bottles whose first process waits for a run although one is said to go on, and since when.
type Idle = BTreeMap<Slug, (Option<RunId>, Instant)>;

/// Compares until the daemon stops.
pub(super) async fn run(daemon: Arc<Daemon>) {
    let mut idle = Idle::new();
    loop {
        let pause = match once(&daemon, &mut idle).await {
            Ok(()) if !idle.is_empty() => IDLE_FOR,
            Ok(()) => REGULARLY,
            Err(error) => {
                tracing::warn!(%error, "cannot compare containers with records");
                BACK_OFF
            }
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = daemon.drift.notified() => {}
            () = daemon.stopped() => return,
        }
    }
}

/// Listens to the engine; each change is a reason to compare.
pub(super) async fn listen(daemon: Arc<Daemon>) {
    loop {
        let pause = tokio::select! {
            changed = daemon.engine.changed() => match changed {
                Ok(change) => {
                    warn_of(&daemon, change).await;
                    SETTLE
                }
                Err(error) => {
                    tracing::debug!(%error, "no events of the engine");
                    BACK_OFF
                }
            },
            () = daemon.stopped() => return,
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => daemon.drift.notify_one(),
            () = daemon.stopped() => return,
        }
    }
}

/// A process that was killed for lack of memory may be one of many: the container may go on.
async fn warn_of(daemon: &Daemon, change: Change) {
    let Change::OutOfMemory { slug, role: Role::Bottle } = change else { return };
    if let Err(error) = daemon.tell(&slug, Event::Starved {}).await {
        tracing::error!(%slug, %error, "cannot note that memory ran out");
    }
}

async fn once(daemon: &Daemon, idle: &mut Idle) -> Result<(), Unclear> {
    let read = |books: &Books<'_>| {
        let mut bottles = books.live_bottles()?;
        bottles.extend(books.unclean_bottles()?);
        let busy: BTreeSet<Slug> = books.work(clock::now())?.effects.into_iter().collect();
        Ok((bottles, busy))
    };
    let (bottles, busy) = daemon.store.write(read).await?;
    let seen =
        timeout(ENGINE_PATIENCE, daemon.engine.observe()).await.map_err(|_| Unclear::Slow)??;
    let (pairs, waiting) = ask_sidecars(daemon, &bottles, seen).await;
    let lost = lost_runs(idle, waiting, Instant::now());
    let plan = reconcile::plan(&bottles, &busy, &pairs);
    for (slug, event) in plan.events {
        if let Some(bottle) = bottles.iter().find(|bottle| bottle.slug == slug) {
            put_right(daemon, bottle.clone(), event).await?;
        }
    }
    for slug in lost {
        let Some(bottle) = bottles.iter().find(|bottle| bottle.slug == slug) else { continue };
        let detail = "the bottle was restarted, and its agent is gone".to_owned();
        put_right(daemon, bottle.clone(), Event::Died { detail }).await?;
    }
    // Under the kill switch somebody looks first: after a restored backup, younger bottles have no
    // record (CASES 158).
    let looked_at = !daemon.laws().rules.kill_switch;
    for slug in plan.orphans {
        if !looked_at {
            tracing::warn!(%slug, "kept while the kill switch is on: no record knows it");
            continue;
        }
        if let Err(error) = clear(daemon, &slug).await {
            tracing::warn!(%slug, %error, "cannot remove what is left of a bottle");
        }
    }
    Ok(())
}

/// Tells a bottle what was found, unless its record has moved on since it was read: then the
/// finding is about a state that is over.
async fn put_right(daemon: &Daemon, read: Bottle, event: Event) -> Result<(), StoreError> {
    let laws = daemon.laws();
    let work = move |books: &Books<'_>| {
        let same = books.bottle(&read.slug)?.is_some_and(|now| is_same_moment(&read, &now));
        if same && books.next_effect(&read.slug)?.is_none() {
            tracing::info!(slug = %read.slug, ?event, "put right");
            life::tell(books, &laws, &read.slug, &event, clock::now())?;
        }
        Ok(())
    };
    daemon.store.write(work).await?;
    daemon.work.notify_one();
    Ok(())
}

/// Whether both are of one stretch of life: same state, same run. News of it may have come between.
fn is_same_moment(read: &Bottle, now: &Bottle) -> bool {
    let tier = |bottle: &Bottle| match bottle.state {
        State::Frozen { tier, since, .. } => Some((tier, since)),
        State::Queued { .. }
        | State::Starting(_)
        | State::Running { .. }
        | State::Freezing { .. }
        | State::Rehydrating(_)
        | State::Failed { .. }
        | State::Destroyed { .. } => None,
    };
    read.state.word() == now.state.word() && read.runs == now.runs && tier(read) == tier(now)
}

/// Removes containers that no record knows, or tells a destroyed bottle that something is left.
async fn clear(daemon: &Daemon, slug: &Slug) -> Result<(), Unclear> {
    let wanted = slug.clone();
    let known = daemon.store.write(move |books| books.bottle(&wanted)).await?;
    match known {
        None => {
            tracing::warn!(%slug, "removing containers that no record knows");
            let removed = timeout(ENGINE_PATIENCE, daemon.executor.remove_orphan(slug)).await;
            Ok(removed.map_err(|_| Unclear::Slow)??)
        }
        // Made since the records were read.
        Some(bottle) if bottle.is_live() => Ok(()),
        Some(bottle) => {
            let detail = "a container is left of a destroyed bottle".to_owned();
            Ok(put_right(daemon, bottle, Event::Drifted { detail }).await?)
        }
    }
}

/// Both containers of every bottle, and what the sidecars of running ones say, asked side by side.
/// Also those whose first process waits for a run.
async fn ask_sidecars(
    daemon: &Daemon,
    bottles: &[Bottle],
    seen: BTreeMap<Slug, Seen>,
) -> (BTreeMap<Slug, Pair>, Vec<(Slug, Option<RunId>)>) {
    let runs = |slug: &Slug| {
        bottles.iter().any(|b| b.slug == *slug && matches!(b.state, State::Running { .. }))
    };
    let asked = seen.into_iter().map(async |(slug, seen)| {
        let usage = if runs(&slug) && seen.sidecar == Container::Running {
            timeout(SIDECAR_PATIENCE, daemon.executor.usage(&slug)).await.ok().flatten()
        } else {
            None
        };
        (slug, seen, usage)
    });
    let mut waiting = Vec::new();
    let mut pairs = BTreeMap::new();
    for (slug, seen, usage) in join_all(asked).await {
        let grant = match usage {
            None => SidecarGrant::Unknown,
            Some(usage) => {
                if usage.bottle_waiting {
                    waiting.push((slug.clone(), usage.run));
                }
                usage.nonce.map_or(SidecarGrant::None, SidecarGrant::Nonce)
            }
        };
        pairs.insert(slug, Pair { sidecar: seen.sidecar, bottle: seen.bottle, grant });
    }
    (pairs, waiting)
}

/// Those that have waited too long in the same run. What a sidecar says at one moment says little:
/// a run may just be handed over, or its end be on the way.
fn lost_runs(idle: &mut Idle, waiting: Vec<(Slug, Option<RunId>)>, now: Instant) -> Vec<Slug> {
    let since = |slug: &Slug, run: &Option<RunId>| match idle.get(slug) {
        Some((known, since)) if known == run => *since,
        Some(_) | None => now,
    };
    *idle = waiting
        .into_iter()
        .map(|(slug, run)| {
            let since = since(&slug, &run);
            (slug, (run, since))
        })
        .collect();
    let lost = idle.iter().filter(|(_, (_, since))| now.duration_since(*since) >= IDLE_FOR);
    lost.map(|(slug, _)| slug.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_is_lost_only_when_its_bottle_waits_on_and_on() {
        let (mut idle, start) = (Idle::new(), Instant::now());
        let run = |n: u32| format!("implementer-k3v9q.{n}").parse::<RunId>().ok();
        let slug: Slug = "implementer-k3v9q".parse().unwrap();
        let waits = |n: u32| vec![(slug.clone(), run(n))];
        let mut look = |waiting, at: u32| lost_runs(&mut idle, waiting, start + IDLE_FOR * at / 2);
        assert!(look(waits(1), 0).is_empty());
        assert!(look(waits(1), 1).is_empty());
        assert!(look(vec![], 1).is_empty(), "it was given something to do");
        assert!(look(waits(1), 2).is_empty());
        assert!(look(waits(2), 4).is_empty(), "another run is another wait");
        assert_eq!(look(waits(2), 6), std::slice::from_ref(&slug));
    }
}
