//! The kill switch, apart from all that may hang: it is there for the day when things go wrong.

use std::{sync::Arc, time::Duration};

use orchestrator_core::{
    bottle::{State, Tier},
    event::Event,
};

use super::Daemon;
use crate::{
    clock, life,
    store::{Books, StoreError},
};

/// Between two looks at the switch: as often as an effect that waits for it looks.
const REGULARLY: Duration = Duration::from_secs(1);

/// Looks until the daemon stops.
pub(super) async fn run(daemon: Arc<Daemon>) {
    loop {
        if let Err(error) = all(&daemon).await {
            tracing::error!(%error, "the kill switch is on, and bottles cannot be told");
        }
        tokio::select! {
            () = tokio::time::sleep(REGULARLY) => {}
            () = daemon.stopped() => return,
        }
    }
}

/// Puts to sleep what runs, if the switch is on.
async fn all(daemon: &Daemon) -> Result<(), StoreError> {
    let laws = daemon.laws();
    if !laws.rules.kill_switch {
        return Ok(());
    }
    let freeze = move |books: &Books<'_>| {
        let mut bottles = books.slot_bottles()?;
        bottles.retain(|bottle| matches!(bottle.state, State::Running { .. }));
        for bottle in &bottles {
            let event = Event::Freeze { tier: Tier::Cold };
            life::tell(books, &laws, &bottle.slug, &event, clock::now())?;
        }
        Ok(!bottles.is_empty())
    };
    if daemon.store.write(freeze).await? {
        daemon.work.notify_one();
    }
    Ok(())
}
