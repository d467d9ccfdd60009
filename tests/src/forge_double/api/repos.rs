//! Repositories and their collaborators.

use std::{collections::HashMap, sync::Arc};

use axum::{
    extract::{Path, State},
    http::StatusCode,
};
use serde::Deserialize;
use serde_json::json;

use super::request::{Caller, Form, Signed};
use crate::forge_double::{
    access::Access,
    action::{repo::NewRepo, settings::RepoEdit},
    answer::{Answer, Outcome, Refusal},
    forge::Forge,
    registry::RepoPath,
};

/// The other parameters of a path, by name.
pub(super) type Params = Path<HashMap<String, String>>;

/// One of them.
///
/// # Errors
/// 404 when the route has no such parameter.
pub(super) fn param<'a>(
    params: &'a HashMap<String, String>,
    name: &str,
) -> Result<&'a str, Refusal> {
    params.get(name).map(String::as_str).ok_or_else(Refusal::not_found)
}

pub(super) async fn repo(
    State(forge): State<Arc<Forge>>,
    caller: Caller,
    path: RepoPath,
) -> Outcome {
    forge.read(|registry| {
        let repo = registry.repo_for(caller.login(), &path, Access::Read)?;
        Ok(Answer::ok(registry.repo_json(repo, registry.access(caller.login(), repo))))
    })
}

pub(super) async fn edit(
    State(forge): State<Arc<Forge>>,
    Signed(me): Signed,
    path: RepoPath,
    Form(edit): Form<RepoEdit>,
) -> Outcome {
    let path = forge.edit_repo(&me, &path, &edit).await?;
    changed(&forge, &path, StatusCode::OK)
}

#[derive(Debug, Deserialize)]
pub(super) struct Transfer {
    new_owner: String,
}

pub(super) async fn transfer(
    State(forge): State<Arc<Forge>>,
    Signed(me): Signed,
    path: RepoPath,
    Form(transfer): Form<Transfer>,
) -> Outcome {
    let path = forge.transfer_repo(&me, &path, &transfer.new_owner).await?;
    changed(&forge, &path, StatusCode::ACCEPTED)
}

pub(super) async fn delete(
    State(forge): State<Arc<Forge>>,
    Signed(me): Signed,
    path: RepoPath,
) -> Outcome {
    forge.delete_repo(&me, &path)?;
    Ok(Answer::empty(StatusCode::NO_CONTENT))
}

pub(super) async fn create_own(
    State(forge): State<Arc<Forge>>,
    Signed(me): Signed,
    Form(new): Form<NewRepo>,
) -> Outcome {
    let path = forge.create_repo(&me, &me, new).await?;
    changed(&forge, &path, StatusCode::CREATED)
}

pub(super) async fn create_for_org(
    State(forge): State<Arc<Forge>>,
    Signed(me): Signed,
    Path(org): Path<String>,
    Form(new): Form<NewRepo>,
) -> Outcome {
    let path = forge.create_repo(&me, &org, new).await?;
    changed(&forge, &path, StatusCode::CREATED)
}

/// What its admin sees of a repository after a change.
fn changed(forge: &Forge, path: &RepoPath, status: StatusCode) -> Outcome {
    forge.read(|registry| {
        Ok(Answer::new(status, registry.repo_json(registry.repo(path)?, Access::Admin)))
    })
}

pub(super) async fn is_collaborator(
    State(forge): State<Arc<Forge>>,
    Signed(me): Signed,
    path: RepoPath,
    Path(params): Params,
) -> Outcome {
    forge.read(|registry| {
        let repo = registry.repo_for(Some(&me), &path, Access::Read)?;
        if repo.collaborators.contains_key(param(&params, "user")?) {
            Ok(Answer::empty(StatusCode::NO_CONTENT))
        } else {
            Err(Refusal::not_found())
        }
    })
}

/// Not among the recordings (1.15 lacks it): from the API description and the rule that
/// only admins of the repository may ask about others.
pub(super) async fn permission(
    State(forge): State<Arc<Forge>>,
    Signed(me): Signed,
    path: RepoPath,
    Path(params): Params,
) -> Outcome {
    forge.read(|registry| {
        let repo = registry.repo_for(Some(&me), &path, Access::Read)?;
        let login = param(&params, "user")?;
        if login != me && registry.access(Some(&me), repo) < Access::Admin {
            return Err(Refusal::ForbiddenSaying(
                "Only admins can query all permissions, repo admins can query all repo \
                 permissions, collaborators can query only their own"
                    .to_owned(),
            ));
        }
        registry.user(login)?;
        let word = match registry.access(Some(login), repo) {
            Access::Admin if repo.path.owner == login => "owner",
            access => access.word(),
        };
        let user = registry.user_seen_by(login, Some(&me));
        Ok(Answer::ok(json!({ "permission": word, "role_name": word, "user": user })))
    })
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct CollaboratorForm {
    permission: Option<String>,
}

pub(super) async fn add_collaborator(
    State(forge): State<Arc<Forge>>,
    Signed(me): Signed,
    path: RepoPath,
    Path(params): Params,
    Form(form): Form<CollaboratorForm>,
) -> Outcome {
    let access = form.permission.as_deref().and_then(Access::parse).unwrap_or(Access::Write);
    forge.set_collaborator(&me, &path, param(&params, "user")?, access)?;
    Ok(Answer::empty(StatusCode::NO_CONTENT))
}

pub(super) async fn remove_collaborator(
    State(forge): State<Arc<Forge>>,
    Signed(me): Signed,
    path: RepoPath,
    Path(params): Params,
) -> Outcome {
    forge.set_collaborator(&me, &path, param(&params, "user")?, Access::None)?;
    Ok(Answer::empty(StatusCode::NO_CONTENT))
}
