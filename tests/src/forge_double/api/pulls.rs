//! Pull requests.

use std::sync::Arc;

use axum::{
    extract::{Path, Query, State},
    http::StatusCode,
    response::{IntoResponse as _, Response},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    page::Page,
    request::{Caller, Form, Index, Signed},
};
use crate::forge_double::{
    access::Access,
    action::{
        issue::IssueEdit,
        merge::MergeWish,
        pull::{NewPull, open_pulls},
    },
    answer::{Answer, Outcome, Refusal},
    forge::Forge,
    git::log::Commit,
    issue::Pull,
    registry::RepoPath,
};

/// Which pull requests of a list are wanted.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Filter {
    state: String,
}

pub(super) async fn list(
    State(forge): State<Arc<Forge>>,
    caller: Caller,
    path: RepoPath,
    page: Page,
    Query(filter): Query<Filter>,
) -> Outcome {
    forge.refresh_pulls(&path).await?;
    forge.read(|registry| {
        let repo = registry.repo_for(caller.login(), &path, Access::Read)?;
        let access = registry.access(caller.login(), repo);
        let is_wanted = |is_closed: bool| match filter.state.as_str() {
            "all" => true,
            "closed" => is_closed,
            _ => !is_closed,
        };
        let pulls = repo.issues.values().rev();
        let pulls = pulls.filter(|issue| issue.pull.is_some() && repo.shows(issue));
        let wanted = pulls.filter(|issue| is_wanted(issue.closed.is_some()));
        let shown = wanted.map(|issue| registry.pull_json(repo, issue, access)).collect();
        Ok(page.answer(&forge.base_url, shown))
    })
}

/// A pull request; `<number>.diff` and `<number>.patch` give its changes as text.
pub(super) async fn get(
    State(forge): State<Arc<Forge>>,
    caller: Caller,
    path: RepoPath,
    Path((_, _, index)): Path<(String, String, String)>,
) -> Result<Response, Refusal> {
    let (number, is_text) = match index.split_once('.') {
        Some((number, "diff" | "patch")) => (number, true),
        _ => (index.as_str(), false),
    };
    let number = number.parse().map_err(|_| Refusal::not_found())?;
    if !is_text {
        return Ok(one(&forge, &caller, &path, number, StatusCode::OK).await?.into_response());
    }
    let pull = find(&forge, &caller, &path, number).await?;
    Ok(forge.git.diff(&path, &pull.merge_base, &pull.head_sha, "").await.into_response())
}

/// The open pull request from one branch to another (not in 1.15).
pub(super) async fn by_branches(
    State(forge): State<Arc<Forge>>,
    caller: Caller,
    path: RepoPath,
    Path((_, _, base, head)): Path<(String, String, String, String)>,
) -> Outcome {
    let number = forge.read(|registry| {
        let repo = registry.repo_for(caller.login(), &path, Access::Read)?;
        let mut pulls = open_pulls(repo);
        let found = pulls.find(|(_, pull)| pull.base == base && pull.head == head);
        Ok::<_, Refusal>(found.ok_or_else(Refusal::not_found)?.0.number)
    })?;
    one(&forge, &caller, &path, number, StatusCode::OK).await
}

pub(super) async fn create(
    State(forge): State<Arc<Forge>>,
    Signed(me): Signed,
    path: RepoPath,
    Form(new): Form<NewPull>,
) -> Outcome {
    let number = forge.create_pull(&me, &path, &new).await?;
    one(&forge, &Caller(Some(me)), &path, number, StatusCode::CREATED).await
}

pub(super) async fn edit(
    State(forge): State<Arc<Forge>>,
    Signed(me): Signed,
    path: RepoPath,
    Index(number): Index,
    Form(edit): Form<IssueEdit>,
) -> Outcome {
    let caller = Caller(Some(me.clone()));
    find(&forge, &caller, &path, number).await?;
    forge.edit_issue(&me, &path, number, &edit)?;
    one(&forge, &caller, &path, number, StatusCode::CREATED).await
}

pub(super) async fn merge(
    State(forge): State<Arc<Forge>>,
    Signed(me): Signed,
    path: RepoPath,
    Index(number): Index,
    Form(wish): Form<MergeWish>,
) -> Outcome {
    forge.merge_pull(&me, &path, number, &wish).await?;
    Ok(Answer::empty(StatusCode::OK))
}

/// 204 when merged, else 404.
pub(super) async fn is_merged(
    State(forge): State<Arc<Forge>>,
    caller: Caller,
    path: RepoPath,
    Index(number): Index,
) -> Outcome {
    let pull = find(&forge, &caller, &path, number).await?;
    pull.merged.ok_or_else(Refusal::not_found)?;
    Ok(Answer::empty(StatusCode::NO_CONTENT))
}

pub(super) async fn commits(
    State(forge): State<Arc<Forge>>,
    caller: Caller,
    path: RepoPath,
    Index(number): Index,
    page: Page,
) -> Outcome {
    let commits = commits_of(&forge, &caller, &path, number).await?;
    let shown = forge.read(|registry| {
        commits.iter().map(|commit| registry.commit_json(&path, commit)).collect()
    });
    Ok(page.answer(&forge.base_url, shown))
}

/// The files a pull request touches (not in 1.15); line counts are left at zero.
pub(super) async fn files(
    State(forge): State<Arc<Forge>>,
    caller: Caller,
    path: RepoPath,
    Index(number): Index,
    page: Page,
) -> Outcome {
    let commits = commits_of(&forge, &caller, &path, number).await?;
    let mut names: Vec<&String> = commits.iter().flat_map(Commit::paths).collect();
    names.sort();
    names.dedup();
    let file = |name: &String| json!({ "filename": name, "status": "changed", "additions": 0, "deletions": 0, "changes": 0 });
    Ok(page.answer(&forge.base_url, names.into_iter().map(file).collect()))
}

async fn commits_of(
    forge: &Forge,
    caller: &Caller,
    path: &RepoPath,
    number: u64,
) -> Result<Vec<Commit>, Refusal> {
    let pull = find(forge, caller, path, number).await?;
    let without = format!("^{}", pull.merge_base);
    Ok(forge.git.log(path, usize::from(u16::MAX), &[&pull.head_sha, &without]).await?)
}

async fn find(
    forge: &Forge,
    caller: &Caller,
    path: &RepoPath,
    number: u64,
) -> Result<Pull, Refusal> {
    forge.refresh_pulls(path).await?;
    forge.read(|registry| {
        let repo = registry.repo_for(caller.login(), path, Access::Read)?;
        repo.issue(number)?.pull().cloned()
    })
}

async fn one(
    forge: &Forge,
    caller: &Caller,
    path: &RepoPath,
    number: u64,
    status: StatusCode,
) -> Outcome {
    find(forge, caller, path, number).await?;
    let body: Value = forge.read(|registry| {
        let repo = registry.repo(path)?;
        let access = registry.access(caller.login(), repo);
        Ok::<_, Refusal>(registry.pull_json(repo, repo.issue(number)?, access))
    })?;
    Ok(Answer::new(status, body))
}
