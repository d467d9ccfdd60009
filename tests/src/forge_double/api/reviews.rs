//! Reviews of pull requests.

use std::sync::Arc;

use axum::extract::State;
use serde_json::Value;

use super::{
    page::Page,
    request::{Caller, Form, Id, Index, Signed},
};
use crate::forge_double::{
    access::Access,
    action::review::NewReview,
    answer::{Answer, Outcome, Refusal},
    forge::Forge,
    registry::{Registry, RepoPath},
};

pub(super) async fn list(
    State(forge): State<Arc<Forge>>,
    caller: Caller,
    path: RepoPath,
    Index(number): Index,
    page: Page,
) -> Outcome {
    forge.refresh_pulls(&path).await?;
    forge.read(|registry| {
        let repo = registry.repo_for(caller.login(), &path, Access::Read)?;
        let issue = repo.issue(number)?;
        let reviews = issue.pull()?.reviews.iter();
        let shown = reviews.map(|review| registry.review_json(repo, issue, review, caller.login()));
        // Paged, but recorded without the headers that say so.
        Ok(Answer::ok(page.part(shown.collect()).into()))
    })
}

pub(super) async fn create(
    State(forge): State<Arc<Forge>>,
    Signed(me): Signed,
    path: RepoPath,
    Index(number): Index,
    Form(new): Form<NewReview>,
) -> Outcome {
    let id = forge.create_review(&me, &path, number, &new).await?;
    get(State(forge), Caller(Some(me)), path, Index(number), Id { id }).await
}

pub(super) async fn get(
    State(forge): State<Arc<Forge>>,
    caller: Caller,
    path: RepoPath,
    Index(number): Index,
    Id { id }: Id,
) -> Outcome {
    forge.refresh_pulls(&path).await?;
    forge.read(|registry| {
        let repo = registry.repo_for(caller.login(), &path, Access::Read)?;
        let issue = repo.issue(number)?;
        let review = Registry::review_of(issue.pull()?, id).ok_or_else(Refusal::not_found)?;
        Ok(Answer::ok(registry.review_json(repo, issue, review, caller.login())))
    })
}

pub(super) async fn comments(
    State(forge): State<Arc<Forge>>,
    caller: Caller,
    path: RepoPath,
    Index(number): Index,
    Id { id }: Id,
) -> Outcome {
    forge.read(|registry| {
        let repo = registry.repo_for(caller.login(), &path, Access::Read)?;
        let issue = repo.issue(number)?;
        let review = Registry::review_of(issue.pull()?, id).ok_or_else(Refusal::not_found)?;
        let lines = review.comments.iter();
        let shown = lines.map(|line| registry.line_comment_json(repo, issue, review, line));
        Ok(Answer::ok(shown.collect::<Value>()))
    })
}
