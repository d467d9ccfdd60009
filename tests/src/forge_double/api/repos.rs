//! Repositories, collaborators, hooks, branches.

use std::{collections::HashMap, sync::Arc};

use axum::{
    extract::{Path, State},
    http::StatusCode,
};
use serde::Deserialize;
use serde_json::json;

use super::request::{Caller, Form, Id, Page, Signed};
use crate::forge_double::{
    access::Access,
    action::repo::{NewHook, NewRepo},
    answer::{Answer, Outcome, Refusal},
    forge::Forge,
    registry::RepoPath,
    wire::repo::hook_json,
};

/// The other parameters of a path, by name.
type Params = Path<HashMap<String, String>>;

fn param<'a>(params: &'a HashMap<String, String>, name: &str) -> Result<&'a str, Refusal> {
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

pub(super) async fn create_own(
    State(forge): State<Arc<Forge>>,
    Signed(me): Signed,
    Form(new): Form<NewRepo>,
) -> Outcome {
    let path = forge.create_repo(&me, &me, new).await?;
    created(&forge, &path)
}

pub(super) async fn create_for_org(
    State(forge): State<Arc<Forge>>,
    Signed(me): Signed,
    Path(org): Path<String>,
    Form(new): Form<NewRepo>,
) -> Outcome {
    let path = forge.create_repo(&me, &org, new).await?;
    created(&forge, &path)
}

fn created(forge: &Forge, path: &RepoPath) -> Outcome {
    forge.read(|registry| {
        Ok(Answer::created(registry.repo_json(registry.repo(path)?, Access::Admin)))
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

pub(super) async fn hooks(
    State(forge): State<Arc<Forge>>,
    Signed(me): Signed,
    path: RepoPath,
    page: Page,
) -> Outcome {
    forge.read(|registry| {
        let repo = registry.repo_for(Some(&me), &path, Access::Admin)?;
        Ok(page.answer(&forge.base_url, repo.hooks.iter().map(hook_json).collect()))
    })
}

pub(super) async fn hook(
    State(forge): State<Arc<Forge>>,
    Signed(me): Signed,
    path: RepoPath,
    Id { id }: Id,
) -> Outcome {
    forge.read(|registry| {
        let repo = registry.repo_for(Some(&me), &path, Access::Admin)?;
        let hook = repo.hooks.iter().find(|hook| hook.id == id);
        Ok(Answer::ok(hook_json(hook.ok_or_else(Refusal::not_found)?)))
    })
}

pub(super) async fn create_hook(
    State(forge): State<Arc<Forge>>,
    Signed(me): Signed,
    path: RepoPath,
    Form(new): Form<NewHook>,
) -> Outcome {
    let id = forge.create_hook(&me, &path, &new)?;
    forge.read(|registry| {
        let hook = registry.repo(&path)?.hooks.iter().find(|hook| hook.id == id);
        Ok(Answer::created(hook_json(hook.ok_or_else(Refusal::not_found)?)))
    })
}

#[derive(Debug, Deserialize)]
pub(super) struct HookForm {
    active: bool,
}

pub(super) async fn edit_hook(
    State(forge): State<Arc<Forge>>,
    Signed(me): Signed,
    path: RepoPath,
    Id { id }: Id,
    Form(form): Form<HookForm>,
) -> Outcome {
    forge.switch_hook(&me, &path, id, form.active)?;
    hook(State(forge), Signed(me), path, Id { id }).await
}

pub(super) async fn branches(
    State(forge): State<Arc<Forge>>,
    caller: Caller,
    path: RepoPath,
    page: Page,
) -> Outcome {
    forge.read(|registry| {
        registry.repo_for(caller.login(), &path, Access::Read).map(|_| ())
    })?;
    let mut shown = Vec::new();
    for (name, sha) in forge.git.branches(&path).await? {
        let commit = forge.git.commit(&path, &sha).await.ok_or_else(Refusal::not_found)?;
        shown.push(forge.read(|registry| registry.branch_json(&path, &name, &commit)));
    }
    Ok(page.answer(&forge.base_url, shown))
}

pub(super) async fn branch(
    State(forge): State<Arc<Forge>>,
    caller: Caller,
    path: RepoPath,
    Path(params): Params,
) -> Outcome {
    forge.read(|registry| {
        registry.repo_for(caller.login(), &path, Access::Read).map(|_| ())
    })?;
    let name = param(&params, "branch")?;
    let commit = forge.git.commit(&path, &format!("refs/heads/{name}")).await;
    let commit = commit.ok_or_else(Refusal::not_found)?;
    Ok(Answer::ok(forge.read(|registry| registry.branch_json(&path, name, &commit))))
}

pub(super) async fn delete_branch(
    State(forge): State<Arc<Forge>>,
    Signed(me): Signed,
    path: RepoPath,
    Path(params): Params,
) -> Outcome {
    forge.delete_branch(&me, &path, param(&params, "branch")?).await?;
    Ok(Answer::empty(StatusCode::NO_CONTENT))
}
