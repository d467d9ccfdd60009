//! Branches.

use std::sync::Arc;

use axum::{
    extract::{Path, State},
    http::StatusCode,
};
use serde::Deserialize;

use super::{
    page::Page,
    repos::{Params, param},
    request::{Caller, Form, Signed},
};
use crate::forge_double::{
    access::Access,
    answer::{Answer, Outcome, Refusal},
    forge::Forge,
    registry::RepoPath,
};

pub(super) async fn list(
    State(forge): State<Arc<Forge>>,
    caller: Caller,
    path: RepoPath,
    page: Page,
) -> Outcome {
    forge.read(|registry| registry.repo_for(caller.login(), &path, Access::Read).map(|_| ()))?;
    let mut shown = Vec::new();
    for (name, sha) in forge.git.branches(&path).await? {
        let commit = forge.git.commit(&path, &sha).await.ok_or_else(Refusal::not_found)?;
        shown.push(forge.read(|registry| registry.branch_json(&path, &name, &commit)));
    }
    Ok(page.answer(&forge.base_url, shown))
}

pub(super) async fn get(
    State(forge): State<Arc<Forge>>,
    caller: Caller,
    path: RepoPath,
    Path(params): Params,
) -> Outcome {
    forge.read(|registry| registry.repo_for(caller.login(), &path, Access::Read).map(|_| ()))?;
    let name = param(&params, "branch")?;
    let commit = forge.git.commit(&path, &format!("refs/heads/{name}")).await;
    let commit = commit.ok_or_else(Refusal::not_found)?;
    Ok(Answer::ok(forge.read(|registry| registry.branch_json(&path, name, &commit))))
}

#[derive(Debug, Deserialize)]
pub(super) struct Renaming {
    name: String,
}

pub(super) async fn rename(
    State(forge): State<Arc<Forge>>,
    Signed(me): Signed,
    path: RepoPath,
    Path(params): Params,
    Form(renaming): Form<Renaming>,
) -> Outcome {
    forge.rename_branch(&me, &path, (param(&params, "branch")?, &renaming.name)).await?;
    Ok(Answer::empty(StatusCode::NO_CONTENT))
}

pub(super) async fn delete(
    State(forge): State<Arc<Forge>>,
    Signed(me): Signed,
    path: RepoPath,
    Path(params): Params,
) -> Outcome {
    forge.delete_branch(&me, &path, param(&params, "branch")?).await?;
    Ok(Answer::empty(StatusCode::NO_CONTENT))
}
