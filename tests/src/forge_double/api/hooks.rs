//! Webhooks of a repository.

use std::sync::Arc;

use axum::{extract::State, http::StatusCode};
use serde::Deserialize;

use super::{
    page::Page,
    request::{Form, Id, Signed},
};
use crate::forge_double::{
    access::Access,
    action::repo::NewHook,
    answer::{Answer, Outcome, Refusal},
    forge::Forge,
    registry::RepoPath,
    wire::repo::hook_json,
};

pub(super) async fn list(
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

pub(super) async fn get(
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

pub(super) async fn create(
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

pub(super) async fn edit(
    State(forge): State<Arc<Forge>>,
    Signed(me): Signed,
    path: RepoPath,
    Id { id }: Id,
    Form(form): Form<HookForm>,
) -> Outcome {
    forge.switch_hook(&me, &path, id, form.active)?;
    get(State(forge), Signed(me), path, Id { id }).await
}

pub(super) async fn delete(
    State(forge): State<Arc<Forge>>,
    Signed(me): Signed,
    path: RepoPath,
    Id { id }: Id,
) -> Outcome {
    forge.delete_hook(&me, &path, id)?;
    Ok(Answer::empty(StatusCode::NO_CONTENT))
}
