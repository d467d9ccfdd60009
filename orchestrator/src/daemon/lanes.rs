//! Giving work to lanes: at most one task for each at a time, and none that is forgotten.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use jiff::Timestamp;
use orchestrator_core::event::Event;
use protocol::ids::Slug;
use tokio::task::JoinSet;

use super::{Daemon, look};
use crate::{clock, life, store::StoreError};

/// Lanes that may be looked at or worked on at a time: forge calls and container starts of a busy
/// minute; more would only wait for each other.
const LANES_MAX: usize = 64;
/// When nothing is due, the store is asked again after this time.
const IDLE: Duration = Duration::from_secs(60);
/// After a failure of the store.
const STORE_BACK_OFF: Duration = Duration::from_secs(1);

/// A lane: hints about one number, or effects of one bottle.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Lane {
    Hints(String),
    Effects(Slug),
}

/// Runs until the daemon stops; then waits for what is under way.
pub(super) async fn run(daemon: Arc<Daemon>) {
    let mut tasks: JoinSet<Lane> = JoinSet::new();
    let mut busy: BTreeSet<Lane> = BTreeSet::new();
    loop {
        let next = match start(&daemon, &mut tasks, &mut busy).await {
            Ok(next) => next,
            Err(error) => {
                tracing::error!(%error, "cannot read what is to be done");
                Some(STORE_BACK_OFF)
            }
        };
        tokio::select! {
            () = daemon.work.notified() => {}
            Some(ended) = tasks.join_next(), if !tasks.is_empty() => match ended {
                Ok(lane) => { busy.remove(&lane); }
                Err(error) => {
                    // The lane's name went with it: ask the store anew for all of them.
                    tracing::error!(%error, "a lane broke off");
                    busy.clear();
                    tasks.join_all().await;
                    tasks = JoinSet::new();
                }
            },
            () = tokio::time::sleep(next.unwrap_or(IDLE)) => {}
            () = daemon.stopped() => break,
        }
    }
    while tasks.join_next().await.is_some() {}
}

/// Starts a task for each lane with work that has none; says how long nothing else will be due.
async fn start(
    daemon: &Arc<Daemon>,
    tasks: &mut JoinSet<Lane>,
    busy: &mut BTreeSet<Lane>,
) -> Result<Option<Duration>, StoreError> {
    let laws = daemon.laws();
    let work = daemon
        .store
        .write(move |books| {
            for slug in books.work(clock::now())?.due {
                life::tell(books, &laws, &slug, &Event::Tick {}, clock::now())?;
            }
            books.work(clock::now())
        })
        .await?;
    let lanes =
        work.hints.into_iter().map(Lane::Hints).chain(work.effects.into_iter().map(Lane::Effects));
    for lane in lanes {
        if busy.len() < LANES_MAX && busy.insert(lane.clone()) {
            let daemon = Arc::clone(daemon);
            tasks.spawn(async move {
                match &lane {
                    Lane::Hints(name) => look::at_lane(&daemon, name).await,
                    Lane::Effects(slug) => do_effects(&daemon, slug).await,
                }
                lane
            });
        }
    }
    Ok(work.next.map(until))
}

fn until(at: Timestamp) -> Duration {
    let span = at.duration_since(clock::now());
    Duration::try_from(span).unwrap_or_default() + Duration::from_millis(1)
}

/// Does a bottle's effects one after another until none is left.
async fn do_effects(daemon: &Daemon, slug: &Slug) {
    loop {
        let wanted = slug.clone();
        let next = daemon
            .store
            .write(move |books| Ok((books.bottle(&wanted)?, books.next_effect(&wanted)?)))
            .await;
        let (bottle, id, effect) = match next {
            Ok((Some(bottle), Some((id, effect)))) => (bottle, id, effect),
            Ok(_) => return,
            Err(error) => {
                tracing::error!(%slug, %error, "cannot read what is to be done for a bottle");
                tokio::time::sleep(STORE_BACK_OFF).await;
                return;
            }
        };
        let outcome = daemon.run_effect(&bottle, &effect).await;
        let (laws, told) = (daemon.laws(), slug.clone());
        let stored = daemon
            .store
            .write(move |books| {
                books.finish_effect(id)?;
                life::tell(books, &laws, &told, &outcome, clock::now())
            })
            .await;
        if let Err(error) = stored {
            // The effect stays in the store and is done again; that does no harm.
            tracing::error!(%slug, %error, "cannot store the outcome of an effect");
            tokio::time::sleep(STORE_BACK_OFF).await;
            return;
        }
        // Its outcome may have given a slot to another bottle.
        daemon.work.notify_one();
    }
}
