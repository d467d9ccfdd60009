//! Labels.

use std::sync::Arc;

use axum::{extract::State, http::StatusCode};
use serde::Deserialize;
use serde_json::Value;

use super::{
    page::Page,
    request::{Caller, Form, Id, Index, Signed},
};
use crate::forge_double::{
    access::Access,
    action::label::{LabelChange, NewLabel},
    answer::{Answer, Outcome, Refusal},
    forge::Forge,
    registry::RepoPath,
    wire::{issue::labels_json, repo::label_json},
};

/// Labels by id, or by name in newer Gitea.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct LabelsForm {
    labels: Vec<Value>,
}

pub(super) async fn of_repo(
    State(forge): State<Arc<Forge>>,
    caller: Caller,
    path: RepoPath,
    page: Page,
) -> Outcome {
    forge.read(|registry| {
        let repo = registry.repo_for(caller.login(), &path, Access::Read)?;
        Ok(page.answer(&forge.base_url, repo.labels.iter().map(label_json).collect()))
    })
}

pub(super) async fn create(
    State(forge): State<Arc<Forge>>,
    Signed(me): Signed,
    path: RepoPath,
    Form(new): Form<NewLabel>,
) -> Outcome {
    let id = forge.create_label(&me, &path, &new)?;
    forge.read(|registry| {
        let label = registry.repo(&path)?.labels.iter().find(|label| label.id == id);
        Ok(Answer::created(label_json(label.ok_or_else(Refusal::not_found)?)))
    })
}

pub(super) async fn of_issue(
    State(forge): State<Arc<Forge>>,
    caller: Caller,
    path: RepoPath,
    Index(number): Index,
) -> Outcome {
    forge.read(|registry| {
        let repo = registry.repo_for(caller.login(), &path, Access::Read)?;
        Ok(Answer::ok(labels_json(repo, repo.issue(number)?)))
    })
}

pub(super) async fn add(
    State(forge): State<Arc<Forge>>,
    Signed(me): Signed,
    path: RepoPath,
    Index(number): Index,
    Form(form): Form<LabelsForm>,
) -> Outcome {
    forge.change_labels(&me, &path, number, LabelChange::Add(form.labels))?;
    of_issue(State(forge), Caller(Some(me)), path, Index(number)).await
}

pub(super) async fn replace(
    State(forge): State<Arc<Forge>>,
    Signed(me): Signed,
    path: RepoPath,
    Index(number): Index,
    Form(form): Form<LabelsForm>,
) -> Outcome {
    forge.change_labels(&me, &path, number, LabelChange::Replace(form.labels))?;
    of_issue(State(forge), Caller(Some(me)), path, Index(number)).await
}

pub(super) async fn clear(
    State(forge): State<Arc<Forge>>,
    Signed(me): Signed,
    path: RepoPath,
    Index(number): Index,
) -> Outcome {
    forge.change_labels(&me, &path, number, LabelChange::Clear)?;
    Ok(Answer::empty(StatusCode::NO_CONTENT))
}

pub(super) async fn remove(
    State(forge): State<Arc<Forge>>,
    Signed(me): Signed,
    path: RepoPath,
    Index(number): Index,
    Id { id }: Id,
) -> Outcome {
    forge.change_labels(&me, &path, number, LabelChange::Remove(id))?;
    Ok(Answer::empty(StatusCode::NO_CONTENT))
}
