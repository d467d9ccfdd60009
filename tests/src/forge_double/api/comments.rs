//! Comments.

use std::sync::Arc;

use axum::{
    extract::{Query, State},
    http::StatusCode,
};
use serde::Deserialize;
use serde_json::Value;

use super::{
    page::Page,
    request::{Caller, Form, Id, Index, Signed},
};
use crate::forge_double::{
    access::Access,
    answer::{Answer, Outcome, Refusal},
    clock::Moment,
    forge::Forge,
    registry::{Registry, RepoPath},
};

/// From when on comments are wanted.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Since {
    since: String,
}

impl Since {
    fn lets_pass(&self, updated: Moment) -> bool {
        Moment::parse(&self.since).is_none_or(|since| updated >= since)
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct CommentForm {
    body: String,
}

/// All comments of an issue; 1.15 does not page them, as recorded.
pub(super) async fn of_issue(
    State(forge): State<Arc<Forge>>,
    caller: Caller,
    path: RepoPath,
    Index(number): Index,
    Query(since): Query<Since>,
) -> Outcome {
    forge.read(|registry| {
        let repo = registry.repo_for(caller.login(), &path, Access::Read)?;
        let issue = repo.issue(number)?;
        let wanted = issue.comments.iter().filter(|comment| since.lets_pass(comment.updated));
        Ok(Answer::ok(wanted.map(|comment| registry.comment_json(repo, issue, comment)).collect()))
    })
}

/// The comments of all issues of a repository, oldest first.
pub(super) async fn of_repo(
    State(forge): State<Arc<Forge>>,
    caller: Caller,
    path: RepoPath,
    page: Page,
    Query(since): Query<Since>,
) -> Outcome {
    forge.read(|registry| {
        let repo = registry.repo_for(caller.login(), &path, Access::Read)?;
        let mut all: Vec<_> = repo
            .issues
            .values()
            .flat_map(|issue| {
                issue.comments.iter().map(move |comment| (comment.id, issue, comment))
            })
            .filter(|(_, _, comment)| since.lets_pass(comment.updated))
            .collect();
        all.sort_by_key(|(id, _, _)| *id);
        let shown =
            all.into_iter().map(|(_, issue, comment)| registry.comment_json(repo, issue, comment));
        Ok(page.answer(&forge.base_url, shown.collect()))
    })
}

pub(super) async fn create(
    State(forge): State<Arc<Forge>>,
    Signed(me): Signed,
    path: RepoPath,
    Index(number): Index,
    Form(form): Form<CommentForm>,
) -> Outcome {
    let id = forge.create_comment(&me, &path, number, &form.body)?;
    forge.read(|registry| Ok(Answer::created(one(registry, &path, id)?)))
}

pub(super) async fn get(
    State(forge): State<Arc<Forge>>,
    caller: Caller,
    path: RepoPath,
    Id { id }: Id,
) -> Outcome {
    forge.read(|registry| {
        registry.repo_for(caller.login(), &path, Access::Read)?;
        Ok(Answer::ok(one(registry, &path, id)?))
    })
}

pub(super) async fn edit(
    State(forge): State<Arc<Forge>>,
    Signed(me): Signed,
    path: RepoPath,
    Id { id }: Id,
    Form(form): Form<CommentForm>,
) -> Outcome {
    forge.edit_comment(&me, &path, id, &form.body)?;
    forge.read(|registry| Ok(Answer::ok(one(registry, &path, id)?)))
}

pub(super) async fn delete(
    State(forge): State<Arc<Forge>>,
    Signed(me): Signed,
    path: RepoPath,
    Id { id }: Id,
) -> Outcome {
    forge.delete_comment(&me, &path, id)?;
    Ok(Answer::empty(StatusCode::NO_CONTENT))
}

fn one(registry: &Registry, path: &RepoPath, id: u64) -> Result<Value, Refusal> {
    let repo = registry.repo(path)?;
    let issue = repo.issue(registry.number_of_comment(path, id)?)?;
    let comment = issue.comments.iter().find(|comment| comment.id == id);
    Ok(registry.comment_json(repo, issue, comment.ok_or_else(Refusal::not_found)?))
}
