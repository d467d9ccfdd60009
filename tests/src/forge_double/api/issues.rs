//! Issues, and pull requests seen as issues.

use std::sync::Arc;

use axum::{
    extract::{Query, State},
    http::StatusCode,
};
use serde::Deserialize;
use serde_json::json;

use super::{
    page::Page,
    request::{Caller, Form, Index, Signed},
};
use crate::forge_double::{
    access::Access,
    action::issue::{IssueEdit, NewIssue},
    answer::{Answer, Outcome},
    clock::Moment,
    forge::Forge,
    issue::Issue,
    registry::{Repo, RepoPath},
};

/// Which issues of a list are wanted.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Filter {
    state: String,
    /// Names, separated by commas; an issue must have all of them.
    labels: String,
    #[serde(rename = "type")]
    kind: String,
    since: String,
    created_by: String,
    assigned_by: String,
    q: String,
}

impl Filter {
    fn lets_pass(&self, repo: &Repo, issue: &Issue) -> bool {
        let is_state = match self.state.as_str() {
            "all" => true,
            "closed" => issue.closed.is_some(),
            _ => issue.closed.is_none(),
        };
        let is_kind = match self.kind.as_str() {
            "issues" => issue.pull.is_none(),
            "pulls" => issue.pull.is_some(),
            _ => true,
        };
        let has = |name: &str| {
            let mut labels = repo.labels.iter().filter(|label| label.name == name);
            labels.any(|label| issue.labels.contains(&label.id))
        };
        let is_new = Moment::parse(&self.since).is_none_or(|since| issue.updated >= since);
        let is_by = self.created_by.is_empty() || issue.author == self.created_by;
        let is_for = self.assigned_by.is_empty() || issue.assignees.contains(&self.assigned_by);
        is_state
            && is_kind
            && is_new
            && is_by
            && is_for
            && self.labels.split(',').filter(|name| !name.is_empty()).all(has)
            && (issue.title.contains(&self.q) || issue.body.contains(&self.q))
    }
}

pub(super) async fn list(
    State(forge): State<Arc<Forge>>,
    caller: Caller,
    path: RepoPath,
    page: Page,
    Query(filter): Query<Filter>,
) -> Outcome {
    forge.read(|registry| {
        let repo = registry.repo_for(caller.login(), &path, Access::Read)?;
        let wanted = repo.issues.values().rev().filter(|issue| repo.shows(issue));
        let wanted = wanted.filter(|issue| filter.lets_pass(repo, issue));
        let shown = wanted.map(|issue| registry.issue_json(repo, issue)).collect();
        Ok(page.answer(&forge.base_url, shown))
    })
}

pub(super) async fn get(
    State(forge): State<Arc<Forge>>,
    caller: Caller,
    path: RepoPath,
    Index(number): Index,
) -> Outcome {
    forge.read(|registry| {
        let repo = registry.repo_for(caller.login(), &path, Access::Read)?;
        Ok(Answer::ok(registry.issue_json(repo, repo.issue(number)?)))
    })
}

pub(super) async fn create(
    State(forge): State<Arc<Forge>>,
    Signed(me): Signed,
    path: RepoPath,
    Form(new): Form<NewIssue>,
) -> Outcome {
    let number = forge.create_issue(&me, &path, &new)?;
    changed(&forge, &path, number)
}

pub(super) async fn edit(
    State(forge): State<Arc<Forge>>,
    Signed(me): Signed,
    path: RepoPath,
    Index(number): Index,
    Form(mut edit): Form<IssueEdit>,
) -> Outcome {
    // Labels have a route of their own; here Gitea passes over them.
    edit.labels = None;
    forge.edit_issue(&me, &path, number, &edit)?;
    changed(&forge, &path, number)
}

pub(super) async fn delete(
    State(forge): State<Arc<Forge>>,
    Signed(me): Signed,
    path: RepoPath,
    Index(number): Index,
) -> Outcome {
    forge.delete_issue(&me, &path, number)?;
    Ok(Answer::empty(StatusCode::NO_CONTENT))
}

/// Gitea answers 201 to edits as well.
fn changed(forge: &Forge, path: &RepoPath, number: u64) -> Outcome {
    forge.read(|registry| {
        let repo = registry.repo(path)?;
        Ok(Answer::created(registry.issue_json(repo, repo.issue(number)?)))
    })
}

#[derive(Debug, Deserialize)]
pub(super) struct Reaction {
    content: String,
}

/// Answers as Gitea does; nothing reads reactions back, so none are kept.
pub(super) async fn react(
    State(forge): State<Arc<Forge>>,
    Signed(me): Signed,
    path: RepoPath,
    Index(number): Index,
    Form(reaction): Form<Reaction>,
) -> Outcome {
    forge.read(|registry| {
        registry.repo_for(Some(&me), &path, Access::Read)?.issue(number)?;
        Ok(Answer::created(json!({
            "user": registry.user_seen_by(&me, Some(&me)),
            "content": reaction.content,
            "created_at": Moment::now().text(),
        })))
    })
}

pub(super) async fn lock(
    State(forge): State<Arc<Forge>>,
    Signed(me): Signed,
    path: RepoPath,
    Index(number): Index,
) -> Outcome {
    forge.lock_issue(&me, &path, number, true)?;
    Ok(Answer::empty(StatusCode::NO_CONTENT))
}

pub(super) async fn unlock(
    State(forge): State<Arc<Forge>>,
    Signed(me): Signed,
    path: RepoPath,
    Index(number): Index,
) -> Outcome {
    forge.lock_issue(&me, &path, number, false)?;
    Ok(Answer::empty(StatusCode::NO_CONTENT))
}
