//! Containers and sidecars in memory: all that is asked of them is done at once.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use async_trait::async_trait;
use orchestrator::{
    effects::Sidecars,
    engine::{Change, ContainerSpec, Engine, EngineError, Role, Seen, spec::Places},
};
use orchestrator_core::reconcile::Container;
use protocol::{
    control::Usage,
    error::{ErrorCode, RpcError},
    grant::{Grant, RunSpec, Secrets},
    ids::{Nonce, Slug},
};

const NONCE: &str = "00000000000000aa";

/// An engine that remembers what it was told.
#[derive(Debug, Default)]
pub(crate) struct MemoryEngine(Mutex<BTreeMap<Slug, Seen>>);

impl MemoryEngine {
    fn set(&self, slug: &Slug, role: Role, container: Container) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let seen = all
            .entry(slug.clone())
            .or_insert_with(|| Seen { sidecar: Container::Missing, bottle: Container::Missing });
        match role {
            Role::Sidecar => seen.sidecar = container,
            Role::Bottle => seen.bottle = container,
        }
    }
}

#[async_trait]
impl Engine for MemoryEngine {
    async fn prepare(&self) -> Result<(), EngineError> {
        Ok(())
    }

    async fn observe(&self) -> Result<BTreeMap<Slug, Seen>, EngineError> {
        Ok(self.0.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }

    async fn ensure_running(&self, spec: &ContainerSpec) -> Result<(), EngineError> {
        self.set(&spec.slug, spec.role, Container::Running);
        Ok(())
    }

    async fn ensure_paused(&self, slug: &Slug, role: Role) -> Result<Container, EngineError> {
        self.set(slug, role, Container::Paused);
        Ok(Container::Paused)
    }

    async fn ensure_stopped(&self, slug: &Slug, role: Role) -> Result<(), EngineError> {
        self.set(slug, role, Container::Exited { code: 0, out_of_memory: false });
        Ok(())
    }

    async fn ensure_removed(&self, slug: &Slug, role: Role) -> Result<(), EngineError> {
        self.set(slug, role, Container::Missing);
        Ok(())
    }

    async fn output(&self, _: &Slug, _: Role, _: usize) -> Result<String, EngineError> {
        Ok(String::new())
    }

    async fn changed(&self) -> Result<Change, EngineError> {
        std::future::pending().await
    }
}

/// Sidecars that do as they are told, and remember what the agents were told.
#[derive(Debug, Default)]
pub(crate) struct Puppets {
    runs: Mutex<Vec<(Slug, RunSpec)>>,
    grants: Mutex<Vec<(Slug, Grant)>>,
}

impl Puppets {
    /// The prompts of a bottle's runs, oldest first.
    pub(crate) fn prompts(&self, slug: &Slug) -> Vec<String> {
        let runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        runs.iter().filter(|(of, _)| of == slug).map(|(_, run)| run.prompt.clone()).collect()
    }

    /// What a bottle was granted last.
    pub(crate) fn grant(&self, slug: &Slug) -> Option<Grant> {
        let grants = self.grants.lock().unwrap_or_else(PoisonError::into_inner);
        grants.iter().rev().find(|(of, _)| of == slug).map(|(_, grant)| grant.clone())
    }
}

#[async_trait]
impl Sidecars for Puppets {
    async fn configure(
        &self,
        slug: &Slug,
        _: &Places,
        grant: Grant,
        _: Secrets,
    ) -> Result<Nonce, RpcError> {
        self.grants.lock().unwrap_or_else(PoisonError::into_inner).push((slug.clone(), grant));
        Nonce::try_from(NONCE.to_owned())
            .map_err(|error| RpcError::new(ErrorCode::Internal, error.to_string()))
    }

    async fn start_run(&self, slug: &Slug, _: &Places, run: RunSpec) -> Result<(), RpcError> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner).push((slug.clone(), run));
        Ok(())
    }

    async fn drain(&self, _: &Slug, _: &Places) -> Result<(), RpcError> {
        Ok(())
    }

    async fn usage(&self, _: &Slug, _: &Places) -> Result<Usage, RpcError> {
        Ok(Usage {
            nonce: NONCE.parse().ok(),
            run: None,
            bottle_waiting: false,
            reads: 0,
            writes: 0,
            refusals: 0,
            queued_events: 0,
        })
    }
}
