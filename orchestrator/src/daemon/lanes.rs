//! Giving work to lanes: at most one task for each at a time, and none that is forgotten.

use std::{collections::BTreeMap, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::{FutureExt as _, future::join_all};
use jiff::Timestamp;
use orchestrator_core::event::Event;
use protocol::ids::Slug;
use tokio::task::{self, JoinSet};

use super::{Daemon, look};
use crate::{
    clock,
    effects::failed,
    life,
    store::{Books, StoreError},
};

/// Lanes of one kind that may be worked on at a time, besides one for each slot: forge calls and
/// container starts of a busy minute; more would only wait for each other.
const LANES_MAX: usize = 32;
/// When nothing is due, the store is asked again after this time.
const IDLE: Duration = Duration::from_secs(60);
/// After a failure of the store, or of a lane itself.
const BACK_OFF: Duration = Duration::from_secs(1);

/// A lane: hints about one number, or effects of one bottle.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Lane {
    Hints(String),
    Effects(Slug),
}

/// Lanes with a task at work.
#[derive(Default)]
struct Busy {
    tasks: JoinSet<()>,
    lanes: BTreeMap<task::Id, Lane>,
}

impl Busy {
    fn has(&self, lane: &Lane) -> bool {
        self.lanes.values().any(|busy| busy == lane)
    }

    fn start(&mut self, lane: Lane, work: impl Future<Output = ()> + Send + 'static) {
        let task = self.tasks.spawn(work);
        self.lanes.insert(task.id(), lane);
    }

    /// Waits for a task to end, for ever if there is none. Safe to be dropped at any time.
    async fn ended(&mut self) {
        match self.tasks.join_next_with_id().await {
            None => std::future::pending().await,
            Some(Ok((id, ()))) => drop(self.lanes.remove(&id)),
            Some(Err(error)) => {
                let lane = self.lanes.remove(&error.id());
                tracing::error!(%error, ?lane, "a lane broke off; the others do not notice");
                // Its work stands in the store and is begun again, but not at once.
                if let Some(lane) = lane {
                    self.start(lane, tokio::time::sleep(BACK_OFF));
                }
            }
        }
    }
}

/// Runs until the daemon stops; then waits for what is under way.
pub(super) async fn run(daemon: Arc<Daemon>) {
    let mut busy = Busy::default();
    loop {
        let next = match start(&daemon, &mut busy).await {
            Ok(next) => next,
            Err(error) => {
                tracing::error!(%error, "cannot read what is to be done");
                daemon.rest(BACK_OFF).await;
                Some(BACK_OFF)
            }
        };
        tokio::select! {
            () = daemon.work.notified() => {}
            () = busy.ended() => {}
            () = tokio::time::sleep(next.unwrap_or(IDLE)) => {}
            () = daemon.stopped() => break,
        }
    }
    while busy.tasks.join_next().await.is_some() {}
}

/// Starts a task for each lane with work that has none; says how long nothing else will be due.
async fn start(daemon: &Arc<Daemon>, busy: &mut Busy) -> Result<Option<Duration>, StoreError> {
    let mut work = daemon.store.write(|books| books.work(clock::now())).await?;
    // Each by itself: what cannot be decided on one bottle keeps no other from its turn.
    let ticks = work.due.iter().map(async |slug| {
        let (laws, told) = (daemon.laws(), slug.clone());
        let tick =
            move |books: &Books<'_>| life::tell(books, &laws, &told, &Event::Tick {}, clock::now());
        let told = daemon.store.write(tick).await;
        if let Err(error) = &told {
            tracing::error!(%slug, %error, "cannot tell a bottle that its time has come");
        }
        told.is_ok()
    });
    let all_told = join_all(ticks).await.into_iter().all(|told| told);
    if !work.due.is_empty() {
        work = daemon.store.write(|books| books.work(clock::now())).await?;
    }
    // Each kind has its own places: a forge that hangs does not keep bottles from sleeping.
    let lanes = [
        work.effects.into_iter().map(Lane::Effects).collect::<Vec<_>>(),
        work.hints.into_iter().map(Lane::Hints).collect(),
    ];
    // Who waits to be woken has a slot; those who wait leave room for those who can go on.
    let places =
        LANES_MAX.saturating_add(usize::try_from(daemon.config.slots).unwrap_or(LANES_MAX));
    for kind in lanes {
        let taken = kind.iter().filter(|lane| busy.has(lane)).count();
        let fresh: Vec<_> = kind.into_iter().filter(|lane| !busy.has(lane)).collect();
        for lane in fresh.into_iter().take(places.saturating_sub(taken)) {
            busy.start(lane.clone(), work_on(Arc::clone(daemon), lane));
        }
    }
    Ok(if all_told { work.next.map(until) } else { Some(BACK_OFF) })
}

async fn work_on(daemon: Arc<Daemon>, lane: Lane) {
    match &lane {
        Lane::Hints(name) => look::at_lane(&daemon, name).await,
        Lane::Effects(slug) => do_effects(&daemon, slug).await,
    }
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
                tokio::time::sleep(BACK_OFF).await;
                return;
            }
        };
        let done = AssertUnwindSafe(daemon.run_effect(&bottle, &effect)).catch_unwind().await;
        let outcome = match done {
            Ok(Some(outcome)) => outcome,
            // It must wait; the lane is begun again.
            Ok(None) => return,
            // Its message is in the log. Whatever broke will break again.
            Err(_) => failed(&effect, "a fault of the daemon's own; see its log".to_owned(), false),
        };
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
            tokio::time::sleep(BACK_OFF).await;
            return;
        }
        // Its outcome may have given a slot to another bottle.
        daemon.work.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // CASES 159
    #[tokio::test]
    async fn a_lane_that_breaks_off_is_free_again_and_the_others_go_on() {
        let mut busy = Busy::default();
        let lane = |name: &str| Lane::Hints(name.to_owned());
        busy.start(lane("breaks"), async { panic!("as ordered") });
        busy.start(lane("stays"), std::future::pending());
        // Waiting for it is cut off now and then, as by other news.
        let ended = async |busy: &mut Busy| {
            while tokio::time::timeout(Duration::ZERO, busy.ended()).await.is_err() {
                task::yield_now().await;
            }
        };
        ended(&mut busy).await;
        assert!(busy.has(&lane("breaks")), "it is not begun again at once");
        ended(&mut busy).await;
        assert!(!busy.has(&lane("breaks")));
        assert!(busy.has(&lane("stays")));
    }
}
