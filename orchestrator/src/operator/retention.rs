//! Forgetting what is long gone: on demand, and once a day if the configuration says so.

use std::{sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};
use protocol::operator::Pruned;

use crate::{
    clock,
    daemon::Daemon,
    store::{Books, StoreError},
};

/// Between two rounds; the first comes at the start.
const EVERY: Duration = Duration::from_hours(24);
/// Bottles that are forgotten in one transaction, so that nobody waits long for the store.
const BATCH: usize = 100;

/// What could be forgotten of bottles that were destroyed before `before`.
pub(super) async fn spent(daemon: &Daemon, before: Timestamp) -> Result<Pruned, StoreError> {
    let read = move |books: &Books<'_>| {
        Ok(Pruned { bottles: books.spent(before)?, logs: books.outlived_logs(before)? })
    };
    daemon.store.write(read).await
}

/// Forgets it, and says what that was.
pub(super) async fn prune(daemon: &Daemon, before: Timestamp) -> Result<Pruned, StoreError> {
    let spent = spent(daemon, before).await?;
    for batch in spent.bottles.chunks(BATCH) {
        let slugs = batch.to_vec();
        let forget =
            move |books: &Books<'_>| slugs.iter().try_for_each(|slug| books.forget_bottle(slug));
        daemon.store.write(forget).await?;
    }
    for batch in spent.logs.chunks(BATCH) {
        let slugs = batch.to_vec();
        let forget =
            move |books: &Books<'_>| slugs.iter().try_for_each(|slug| books.forget_log(slug));
        daemon.store.write(forget).await?;
    }
    for slug in spent.bottles.iter().chain(&spent.logs) {
        daemon.executor.forget_output(slug);
    }
    Ok(spent)
}

/// Forgets once a day what is older than the configuration says.
pub(crate) async fn run(daemon: Arc<Daemon>) {
    let Some(age) = daemon.config.keep_records else { return daemon.stopped().await };
    let age = SignedDuration::try_from(age).unwrap_or(SignedDuration::MAX);
    loop {
        if let Ok(before) = clock::now().checked_sub(age) {
            match prune(&daemon, before).await {
                Ok(Pruned { bottles, logs }) => {
                    tracing::info!(
                        bottles = bottles.len(),
                        logs = logs.len(),
                        "forgot old records"
                    );
                }
                Err(error) => tracing::error!(%error, "cannot forget old records"),
            }
        }
        tokio::select! {
            () = tokio::time::sleep(EVERY) => {}
            () = daemon.stopped() => return,
        }
    }
}
