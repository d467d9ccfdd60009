//! inotify, kept at arm's length: it shortens the way of an event and nothing depends on it.
//!
//! The watcher has a thread of its own. A sidecar that floods its directory can keep that thread
//! busy, and whoever waits for it; so nobody waits for it. The regular rescan finds what is missed.

use std::{
    collections::BTreeSet,
    path::PathBuf,
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{SyncSender, sync_channel},
    },
};

use notify::{EventKind, RecursiveMode, Watcher as _};
use protocol::ids::Slug;
use tokio::sync::Notify;

/// Orders that may wait for the watching thread; more are dropped, and rescans do.
const ORDERS: usize = 1024;

/// Which queues have changed.
#[derive(Debug)]
pub(super) struct Watches {
    orders: SyncSender<Order>,
    touched: Arc<Touched>,
}

#[derive(Debug)]
enum Order {
    Add(PathBuf),
    Remove(PathBuf),
}

/// Bottles whose queue has changed.
#[derive(Debug, Default)]
struct Touched {
    slugs: Mutex<BTreeSet<Slug>>,
    some: Notify,
}

impl Watches {
    /// Starts watching nothing yet. Without inotify everything still works, a little later.
    pub(super) fn start() -> Self {
        let (orders, inbox) = sync_channel(ORDERS);
        let touched = Arc::new(Touched::default());
        let told = Arc::clone(&touched);
        let watch = move || {
            let watcher = notify::recommended_watcher(move |event| touch(&told, event));
            let mut watcher = match watcher {
                Ok(watcher) => watcher,
                Err(error) => {
                    return tracing::warn!(%error, "no inotify; queues are read every 5 s");
                }
            };
            for order in inbox {
                let (path, done) = match order {
                    Order::Add(path) => {
                        (path.clone(), watcher.watch(&path, RecursiveMode::NonRecursive))
                    }
                    // It may never have been watched.
                    Order::Remove(path) => (path.clone(), watcher.unwatch(&path).or(Ok(()))),
                };
                if let Err(error) = done {
                    tracing::warn!(path = %path.display(), %error, "not watched; read every 5 s");
                }
            }
        };
        if let Err(error) = std::thread::Builder::new().name("queue-watch".to_owned()).spawn(watch)
        {
            tracing::warn!(%error, "no thread for inotify; queues are read every 5 s");
        }
        Self { orders, touched }
    }

    /// Watches a directory from now on; may be repeated.
    pub(super) fn add(&self, path: PathBuf) {
        self.order(Order::Add(path));
    }

    /// Ends watching a directory.
    pub(super) fn remove(&self, path: PathBuf) {
        self.order(Order::Remove(path));
    }

    fn order(&self, order: Order) {
        if let Err(error) = self.orders.try_send(order) {
            tracing::debug!(%error, "the watching thread is busy; queues are read every 5 s");
        }
    }

    /// Waits until a queue changes and gives the bottles that it happened to.
    pub(super) async fn touched(&self) -> BTreeSet<Slug> {
        loop {
            let taken = self.touched.take();
            if !taken.is_empty() {
                return taken;
            }
            self.touched.some.notified().await;
        }
    }
}

impl Touched {
    fn take(&self) -> BTreeSet<Slug> {
        std::mem::take(&mut *self.slugs.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn touch(touched: &Touched, event: notify::Result<notify::Event>) {
    // An error or an overflow names nothing: the rescan finds it.
    let Ok(event) = event else { return };
    if matches!(event.kind, EventKind::Access(_) | EventKind::Remove(_)) {
        return; // our own reading and clearing
    }
    let slug = |path: &PathBuf| {
        path.ancestors().find_map(|part| part.file_name()?.to_str()?.parse::<Slug>().ok())
    };
    let slugs: BTreeSet<Slug> = event.paths.iter().filter_map(slug).collect();
    if !slugs.is_empty() {
        touched.slugs.lock().unwrap_or_else(PoisonError::into_inner).extend(slugs);
        touched.some.notify_one();
    }
}
