//! The double's one owner of state; requests and persons both act through it.

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use super::{
    answer::Refusal, delivery::Deliveries, fault::FaultPlan, git::GitStore, record::RequestLog,
    registry::Registry,
};

/// What all parts of the double share.
#[derive(Debug)]
pub(crate) struct Forge {
    registry: Mutex<Registry>,
    pub(crate) base_url: String,
    pub(crate) git: GitStore,
    /// Held while one merges: two merges at once would each start from the other's base.
    pub(crate) merging: tokio::sync::Mutex<()>,
    pub(crate) deliveries: Arc<Deliveries>,
    pub(crate) requests: RequestLog,
    pub(crate) faults: FaultPlan,
}

impl Forge {
    /// An empty forge that calls itself `base_url` and keeps repositories below `folder`.
    pub(crate) fn new(base_url: String, folder: &Path, deliveries: Arc<Deliveries>) -> Self {
        Self {
            registry: Mutex::new(Registry { base_url: base_url.clone(), ..Registry::default() }),
            base_url,
            git: GitStore::new(folder),
            merging: tokio::sync::Mutex::default(),
            deliveries,
            requests: RequestLog::default(),
            faults: FaultPlan::default(),
        }
    }

    /// Looks something up.
    pub(crate) fn read<T>(&self, look: impl FnOnce(&Registry) -> T) -> T {
        look(&self.registry.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Changes something, then queues the webhooks of the change in their order.
    /// A refused change sends none.
    ///
    /// # Errors
    /// Those of `change`.
    pub(crate) fn act<T>(
        &self,
        change: impl FnOnce(&mut Registry) -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        let mut registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        let result = change(&mut registry);
        let outbox = std::mem::take(&mut registry.outbox);
        if result.is_ok() {
            for outgoing in outbox {
                self.deliveries.enqueue(outgoing);
            }
        }
        result
    }
}
