//! Comparing containers with records: at start, when the engine tells of a change, and regularly.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use futures_util::future::join_all;
use orchestrator_core::{
    bottle::{Bottle, State, Tier},
    event::Event,
    reconcile::{self, Container, Pair, SidecarGrant},
};
use protocol::ids::Slug;

use super::Daemon;
use crate::{
    clock,
    engine::{EngineError, Seen},
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
/// For a sidecar to say whether it has its grant; one that hangs says nothing.
const SIDECAR_PATIENCE: Duration = Duration::from_secs(2);

/// Why a comparison broke off.
#[derive(Debug, thiserror::Error)]
enum Unclear {
    #[error("{0}")]
    Engine(#[from] EngineError),
    #[error("{0}")]
    Store(#[from] StoreError),
}

/// Compares until the daemon stops.
pub(super) async fn run(daemon: Arc<Daemon>) {
    loop {
        let pause = match once(&daemon).await {
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
                Ok(()) => SETTLE,
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

async fn once(daemon: &Daemon) -> Result<(), Unclear> {
    let read = |books: &Books<'_>| {
        let mut bottles = books.live_bottles()?;
        bottles.extend(books.unclean_bottles()?);
        let busy: BTreeSet<Slug> = books.work(clock::now())?.effects.into_iter().collect();
        Ok((bottles, busy))
    };
    let (bottles, busy) = daemon.store.write(read).await?;
    // First, and whatever the engine says: it is there for the day when things go wrong.
    halt_all(daemon, &bottles).await?;
    let seen = daemon.engine.observe().await?;
    let pairs = ask_sidecars(daemon, &bottles, seen).await;
    let plan = reconcile::plan(&bottles, &busy, &pairs);
    for (slug, event) in plan.events {
        if let Some(bottle) = bottles.iter().find(|bottle| bottle.slug == slug) {
            put_right(daemon, bottle.clone(), event).await?;
        }
    }
    for slug in plan.orphans {
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
            Ok(daemon.executor.remove_orphan(slug).await?)
        }
        // Made since the records were read.
        Some(bottle) if bottle.is_live() => Ok(()),
        Some(bottle) => {
            let detail = "a container is left of a destroyed bottle".to_owned();
            Ok(put_right(daemon, bottle, Event::Drifted { detail }).await?)
        }
    }
}

/// The kill switch puts to sleep what runs.
async fn halt_all(daemon: &Daemon, bottles: &[Bottle]) -> Result<(), StoreError> {
    if !daemon.laws().rules.kill_switch {
        return Ok(());
    }
    for bottle in bottles.iter().filter(|bottle| matches!(bottle.state, State::Running { .. })) {
        daemon.tell(&bottle.slug, Event::Freeze { tier: Tier::Cold }).await?;
    }
    Ok(())
}

/// Both containers of every bottle, and what the sidecars of running ones say, asked side by side.
async fn ask_sidecars(
    daemon: &Daemon,
    bottles: &[Bottle],
    seen: BTreeMap<Slug, Seen>,
) -> BTreeMap<Slug, Pair> {
    let runs = |slug: &Slug| {
        bottles.iter().any(|b| b.slug == *slug && matches!(b.state, State::Running { .. }))
    };
    let pairs = seen.into_iter().map(async |(slug, seen)| {
        let grant = if runs(&slug) && seen.sidecar == Container::Running {
            match tokio::time::timeout(SIDECAR_PATIENCE, daemon.executor.usage(&slug)).await {
                Ok(Some(usage)) => usage.nonce.map_or(SidecarGrant::None, SidecarGrant::Nonce),
                Ok(None) | Err(_) => SidecarGrant::Unknown,
            }
        } else {
            SidecarGrant::Unknown
        };
        (slug, Pair { sidecar: seen.sidecar, bottle: seen.bottle, grant })
    });
    join_all(pairs).await.into_iter().collect()
}
