//! All containers of the installation at once.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use bollard::{
    errors::Error as DockerError,
    models::{ContainerSummary, ContainerSummaryStateEnum},
    query_parameters::{ListContainersOptionsBuilder, RenameContainerOptionsBuilder},
};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use orchestrator_core::reconcile::Container;
use protocol::ids::Slug;
use tokio::time::timeout;

use super::{
    DockerEngine, EngineError, LABEL_INSTANCE, Role, Seen,
    failure::{failed, status},
    found::{self, is_original},
};

/// Inspections at a time: a daemon that starts beside a thousand stopped bottles.
const INSPECTIONS: usize = 16;
/// For one of them: Docker holds a container's lock while something of it hangs in the kernel.
const INSPECTION_PATIENCE: Duration = Duration::from_secs(5);

/// How containers ended that were found ended; asked once, because Docker's list does not tell.
#[derive(Debug, Default)]
pub(super) struct Ended(Mutex<BTreeMap<String, Container>>);

impl Ended {
    fn of(&self, id: &str) -> Option<Container> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
    }

    fn note(&self, id: &str, ended: &Container) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(id.to_owned(), ended.clone());
    }

    /// Something happened to it.
    pub(super) fn forget(&self, id: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
    }

    fn keep_only(&self, listed: &[ContainerSummary]) {
        let mut ended = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        ended.retain(|id, _| listed.iter().any(|summary| summary.id.as_deref() == Some(id)));
    }
}

impl DockerEngine {
    /// Every container that carries our mark and that we made.
    pub(super) async fn list(&self) -> Result<BTreeMap<Slug, Seen>, EngineError> {
        let filter = [("label", vec![format!("{LABEL_INSTANCE}={}", self.instance)])];
        let filter = filter.map(|(key, values)| (key.to_owned(), values)).into();
        let options = ListContainersOptionsBuilder::new().all(true).filters(&filter).build();
        let list =
            self.docker.list_containers(Some(options)).await.map_err(failed("list containers"))?;
        self.ended.keep_only(&list);
        let looks = list.into_iter().map(|summary| self.look(summary));
        let found: Vec<_> = stream::iter(looks).buffered(INSPECTIONS).try_collect().await?;
        let mut seen = BTreeMap::new();
        for (slug, role, state) in found.into_iter().flatten() {
            let missing = || Seen { sidecar: Container::Missing, bottle: Container::Missing };
            let pair = seen.entry(slug).or_insert_with(missing);
            match role {
                Role::Sidecar => pair.sidecar = state,
                Role::Bottle => pair.bottle = state,
            }
        }
        Ok(seen)
    }

    /// Whose it is and what it does; `None` for what only looks like ours.
    async fn look(
        &self,
        summary: ContainerSummary,
    ) -> Result<Option<(Slug, Role, Container)>, EngineError> {
        let labels = summary.labels.clone().unwrap_or_default();
        let Some((slug, role)) = found::owner(&labels, &self.instance) else { return Ok(None) };
        let id = summary.id.clone().unwrap_or_default();
        let inspected = match (is_original(&labels, summary.image.as_deref()), &summary.state) {
            // A list shows an image by its id when its name stands for another image now.
            (false, _) => true,
            (true, Some(ContainerSummaryStateEnum::CREATED)) => false,
            (true, Some(ContainerSummaryStateEnum::RUNNING)) => false,
            (true, Some(ContainerSummaryStateEnum::PAUSED)) => false,
            // Only an inspection tells how it ended.
            (true, _) => self.ended.of(&id).is_none(),
        };
        let state = if inspected {
            match self.by_id(&id, &labels).await? {
                Some(state) => state,
                None => return Ok(None),
            }
        } else {
            match summary.state {
                Some(ContainerSummaryStateEnum::CREATED) => Container::Created,
                Some(ContainerSummaryStateEnum::RUNNING) => Container::Running,
                Some(ContainerSummaryStateEnum::PAUSED) => Container::Paused,
                Some(_) | None => self.ended.of(&id).unwrap_or(Container::Missing),
            }
        };
        match &state {
            Container::Exited { .. } => self.ended.note(&id, &state),
            _ => self.ended.forget(&id),
        }
        Ok(self.ensure_name(&summary, &slug, role).await.then_some((slug, role, state)))
    }

    async fn by_id(
        &self,
        id: &str,
        labels: &HashMap<String, String>,
    ) -> Result<Option<Container>, EngineError> {
        let inspected = timeout(INSPECTION_PATIENCE, self.docker.inspect_container(id, None)).await;
        // One that Docker cannot show keeps no other from being seen.
        let found = match inspected.unwrap_or(Err(DockerError::RequestTimeoutError)) {
            Ok(found) => found,
            Err(error) if status(&error) == Some(404) => return Ok(None),
            Err(
                error @ (DockerError::DockerResponseServerError { .. }
                | DockerError::JsonDataError { .. }
                | DockerError::RequestTimeoutError),
            ) => {
                tracing::error!(%id, %error, "cannot inspect a container; it is left as it is");
                return Ok(Some(Container::Unclear));
            }
            Err(error) => return Err(failed(&format!("inspect {id}"))(error)),
        };
        let image = found.config.as_ref().and_then(|config| config.image.clone());
        Ok(is_original(labels, image.as_deref()).then(|| found::found(found).condition))
    }

    /// Gives a container back the name that it is found by, if somebody renamed it: it holds the
    /// bottle's files and sockets under any name. Says whether it has it.
    async fn ensure_name(&self, summary: &ContainerSummary, slug: &Slug, role: Role) -> bool {
        let name = role.container_name(slug);
        let names = summary.names.as_deref().unwrap_or_default();
        let Some(id) = summary.id.as_deref() else { return true };
        if names.is_empty() || names.iter().any(|known| known.trim_start_matches('/') == name) {
            return true;
        }
        tracing::warn!(%name, ?names, "a container was renamed; giving it its name back");
        let options = RenameContainerOptionsBuilder::new().name(&name).build();
        match self.docker.rename_container(id, options).await {
            Ok(()) => true,
            Err(error) => {
                tracing::error!(%name, %id, %error, "another container has its name; remove one of them");
                false
            }
        }
    }
}
