//! Reading the bottles' queues as they change, regularly, and around effects.

use std::{sync::Arc, time::Duration};

use orchestrator_core::{
    bottle::Bottle,
    event::{Effect, Event},
};
use protocol::{ids::Slug, limits};
use tokio::time::Instant;

use super::Daemon;
use crate::{
    effects::failed,
    store::{Books, StoreError},
};

/// Scans of one queue in a row; a full queue needs one.
const ROUNDS: u32 = 4;
/// Between two readings of queues that change all the time.
const PAUSE: Duration = Duration::from_millis(2);
/// Readings in a row without a pause: an agent's last words and its end come one after another, and
/// are waited for; a flood goes on.
const BURST: u32 = 8;
/// Between two looks at what keeps an effect waiting: the kill switch, the disk, the engine.
const WAIT_PAUSE: Duration = Duration::from_secs(1);
/// How kernel and engine tell of a full disk.
const FULL: &str = "no space left on device";

/// Reads queues as they change, and those of bottles that are awake every few seconds.
pub(super) async fn run(daemon: Arc<Daemon>) {
    let mut rescan = tokio::time::interval(limits::QUEUE_RESCAN);
    rescan.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut in_a_row = 0;
    loop {
        let waited = Instant::now();
        let slugs = tokio::select! {
            touched = daemon.relay.touched() => touched.into_iter().collect(),
            _ = rescan.tick() => awake(&daemon).await,
            () = daemon.stopped() => return,
        };
        let rested = waited.elapsed() >= PAUSE;
        for slug in slugs {
            let stored = || daemon.work.notify_one();
            if let Err(error) = daemon.relay.scan_and_tell(&daemon.laws(), &slug, stored).await {
                tracing::error!(%slug, %error, "cannot take over what a queue holds");
            }
        }
        in_a_row = if rested { 0 } else { BURST.min(in_a_row + 1) };
        if in_a_row >= BURST {
            tokio::time::sleep(PAUSE).await;
        }
    }
}

async fn awake(daemon: &Daemon) -> Vec<Slug> {
    let awake = |books: &Books<'_>| {
        let bottles = books.slot_bottles()?.into_iter();
        Ok(bottles.filter(Bottle::uses_slot).map(|bottle| bottle.slug).collect())
    };
    daemon.store.write(awake).await.unwrap_or_default()
}

impl Daemon {
    /// Does an effect with what belongs around it: nothing is woken while the kill switch is on; a
    /// queue is watched before a bottle can write to it, and read to its end before it is removed.
    /// `None` when the effect must wait.
    pub(super) async fn run_effect(&self, bottle: &Bottle, effect: &Effect) -> Option<Event> {
        let slug = &bottle.slug;
        let mut places = Ok(());
        match effect {
            Effect::Awaken { .. } if self.laws().rules.kill_switch || self.is_disk_full() => {
                tokio::time::sleep(WAIT_PAUSE).await;
                return None;
            }
            Effect::Awaken { .. } => {
                places = self.executor.ensure_places(bottle).await;
                self.relay.watch(slug);
            }
            Effect::Sleep { .. } => {}
            Effect::Remove {} => {
                self.executor.stop(bottle).await;
                // What it said last would be lost with its files.
                if let Err(error) = self.read_queue(slug).await {
                    return Some(Event::CleanFailed { error: error.to_string() });
                }
                self.relay.unwatch(slug);
            }
        }
        let outcome = match places {
            Ok(()) => self.executor.run(bottle, effect).await,
            Err(error) => {
                tracing::warn!(%slug, error, "cannot make a bottle's files");
                Some(failed(effect, error, true))
            }
        };
        if let Err(error) = self.read_queue(slug).await {
            tracing::warn!(%slug, %error, "cannot take over what a queue holds; will read it again");
        }
        match outcome {
            Some(outcome) => self.unless_full(outcome).await,
            None => {
                tracing::warn!(%slug, "the container engine is away; waiting for it");
                tokio::time::sleep(WAIT_PAUSE).await;
                None
            }
        }
    }

    /// An outcome with what the operator must know of a full disk; `None` for a waking that must
    /// wait for room (CASES 171).
    async fn unless_full(&self, outcome: Event) -> Option<Event> {
        let Event::AwakenFailed { run, error, transient } = outcome else { return Some(outcome) };
        if !error.to_ascii_lowercase().contains(FULL) {
            return Some(Event::AwakenFailed { run, error, transient });
        }
        if let Err(error) = self.look_at_host().await {
            tracing::error!(%error, "cannot act on what the host has left");
        }
        if self.is_disk_full() {
            return None;
        }
        // Not the disk as a whole: a quota, or the engine's own store within it.
        let error = format!("{error}; {}", self.disk_sentence().await);
        Some(Event::AwakenFailed { run, error, transient: true })
    }

    async fn read_queue(&self, slug: &Slug) -> Result<(), StoreError> {
        // A sidecar may write on and on: the rest is read at the next look.
        for _ in 0..ROUNDS {
            if !self.relay.scan(&self.laws(), slug).await? {
                break;
            }
        }
        Ok(())
    }
}
