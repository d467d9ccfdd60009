//! Commit statuses.

use std::{collections::BTreeMap, sync::Arc};

use axum::extract::{Path, State};
use serde_json::{Value, json};

use super::{
    page::Page,
    request::{Caller, Form, Signed},
};
use crate::forge_double::{
    access::Access,
    action::status::NewStatus,
    answer::{Answer, Outcome, Refusal},
    forge::Forge,
    registry::{CommitStatus, Repo, RepoPath},
};

/// Owner, repository, commit.
type ShaPath = Path<(String, String, String)>;

/// From best to worst.
const STATES: [&str; 5] = ["success", "warning", "pending", "failure", "error"];

pub(super) async fn create(
    State(forge): State<Arc<Forge>>,
    Signed(me): Signed,
    path: RepoPath,
    Path((_, _, sha)): ShaPath,
    Form(new): Form<NewStatus>,
) -> Outcome {
    if !STATES.contains(&new.state.as_str()) {
        return Err(Refusal::Unprocessable(format!("unknown state {:?}", new.state)));
    }
    let id = forge.set_status(&me, &path, &sha, new).await?;
    forge.read(|registry| {
        let repo = registry.repo(&path)?;
        let status = repo.statuses.iter().find(|status| status.id == id);
        Ok(Answer::created(registry.status_json(repo, status.ok_or_else(Refusal::not_found)?)))
    })
}

/// All statuses of a commit, newest first.
pub(super) async fn list(
    State(forge): State<Arc<Forge>>,
    caller: Caller,
    path: RepoPath,
    Path((_, _, revision)): ShaPath,
    page: Page,
) -> Outcome {
    let sha = resolve(&forge, &caller, &path, &revision).await?;
    forge.read(|registry| {
        let repo = registry.repo(&path)?;
        let of_commit = repo.statuses.iter().rev().filter(|status| status.sha == sha);
        let shown = of_commit.map(|status| registry.status_json(repo, status)).collect();
        Ok(page.answer(&forge.base_url, shown))
    })
}

/// The last status of each context, and the worst of them.
pub(super) async fn combined(
    State(forge): State<Arc<Forge>>,
    caller: Caller,
    path: RepoPath,
    Path((_, _, revision)): ShaPath,
) -> Outcome {
    let sha = resolve(&forge, &caller, &path, &revision).await?;
    forge.read(|registry| {
        let repo = registry.repo(&path)?;
        let latest = latest(repo, &sha);
        let rank = |status: &&CommitStatus| STATES.iter().position(|state| *state == status.state);
        let Some(worst) = latest.values().copied().max_by_key(rank) else {
            return Ok(Answer::ok(nothing()));
        };
        let statuses: Vec<Value> =
            latest.values().map(|status| registry.status_json(repo, status)).collect();
        Ok(Answer::ok(json!({
            "state": worst.state,
            "sha": sha,
            "total_count": statuses.len(),
            "statuses": statuses,
            "repository": registry.repo_json(repo, registry.access(caller.login(), repo)),
            "commit_url": "",
            "url": "",
        })))
    })
}

fn latest<'a>(repo: &'a Repo, sha: &str) -> BTreeMap<&'a str, &'a CommitStatus> {
    let of_commit = repo.statuses.iter().filter(|status| status.sha == sha);
    of_commit.map(|status| (status.context.as_str(), status)).collect()
}

/// Gitea's empty document for a commit without statuses.
fn nothing() -> Value {
    json!({
        "state": "",
        "sha": "",
        "total_count": 0,
        "statuses": null,
        "repository": null,
        "commit_url": "",
        "url": "",
    })
}

async fn resolve(
    forge: &Forge,
    caller: &Caller,
    path: &RepoPath,
    revision: &str,
) -> Result<String, Refusal> {
    forge.read(|registry| registry.repo_for(caller.login(), path, Access::Read).map(|_| ()))?;
    forge.git.resolve(path, revision).await.ok_or_else(Refusal::not_found)
}
