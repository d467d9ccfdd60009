//! A container as Docker shows it: whether we made it, and what it does.

use std::collections::HashMap;

use bollard::models::{ContainerInspectResponse, ContainerState, ContainerStateStatusEnum};
use orchestrator_core::reconcile::Container;
use protocol::ids::Slug;

use super::{LABEL_IMAGE, LABEL_INSTANCE, LABEL_ROLE, LABEL_SLUG, Role};

/// A container of ours.
#[derive(Debug, Clone)]
pub(super) struct Found {
    /// What it is changed by: a name may be somebody else's a moment later.
    pub id: String,
    pub condition: Container,
    /// Half removed: it cannot be started again.
    pub broken: bool,
}

/// Whose container the labels say it is, if they say that it is ours.
pub(super) fn owner(labels: &HashMap<String, String>, instance: &str) -> Option<(Slug, Role)> {
    if labels.get(LABEL_INSTANCE).map(String::as_str) != Some(instance) {
        return None;
    }
    let role = match labels.get(LABEL_ROLE)?.as_str() {
        "sidecar" => Role::Sidecar,
        "bottle" => Role::Bottle,
        _ => return None,
    };
    Some((labels.get(LABEL_SLUG)?.parse().ok()?, role))
}

/// Whether it is of the image that we made it from. `docker commit` copies labels into an image, and
/// so into every container of that image.
pub(super) fn is_original(labels: &HashMap<String, String>, image: Option<&str>) -> bool {
    labels.get(LABEL_IMAGE).is_none_or(|made_of| Some(made_of.as_str()) == image)
}

/// An inspected container, if it is the one that we made for this.
pub(super) fn ours(
    found: &ContainerInspectResponse,
    instance: &str,
    slug: &Slug,
    role: Role,
) -> bool {
    let config = found.config.as_ref();
    let Some(labels) = config.and_then(|config| config.labels.as_ref()) else { return false };
    let image = config.and_then(|config| config.image.as_deref());
    owner(labels, instance) == Some((slug.clone(), role)) && is_original(labels, image)
}

/// What an inspected container is found to be.
pub(super) fn found(found: ContainerInspectResponse) -> Found {
    let id = found.id.unwrap_or_default();
    let state = found.state.unwrap_or_default();
    let broken = matches!(
        state.status,
        Some(ContainerStateStatusEnum::DEAD | ContainerStateStatusEnum::REMOVING)
    );
    Found { condition: condition(&state), id, broken }
}

fn condition(state: &ContainerState) -> Container {
    match state.status {
        Some(ContainerStateStatusEnum::CREATED) => Container::Created,
        Some(ContainerStateStatusEnum::RUNNING | ContainerStateStatusEnum::RESTARTING) => {
            Container::Running
        }
        Some(ContainerStateStatusEnum::PAUSED) => Container::Paused,
        Some(ContainerStateStatusEnum::REMOVING) => Container::Missing,
        // Docker gives exit code 0 to what never ran (CASES 167).
        Some(_) | None if never_started(state) => Container::Created,
        Some(_) | None => Container::Exited {
            code: state.exit_code.unwrap_or(-1),
            out_of_memory: state.oom_killed.unwrap_or(false),
        },
    }
}

/// Docker writes the zero of its language's time for "never".
fn never_started(state: &ContainerState) -> bool {
    state.started_at.as_deref().is_some_and(|text| text.starts_with("0001-01-01T"))
}
