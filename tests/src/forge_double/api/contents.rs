//! Files of a repository. From the API description; not among the recordings.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    repos::{Params, param},
    request::Caller,
};
use crate::forge_double::{
    access::Access,
    answer::{Answer, Outcome, Refusal},
    forge::Forge,
    git::tree::Entry,
    registry::RepoPath,
};

/// Which state of the files is wanted; the default branch's when it is not said.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Revision {
    #[serde(rename = "ref")]
    name: String,
}

/// What stands in the root, without the files' contents.
pub(super) async fn root(
    State(forge): State<Arc<Forge>>,
    caller: Caller,
    path: RepoPath,
    Query(revision): Query<Revision>,
) -> Outcome {
    let (name, commit) = find(&forge, &caller, &path, &revision).await?;
    let entries = forge.git.entries(&path, &commit, "").await?;
    let shown = entries.iter().map(|entry| forge.entry_json(&path, &name, entry, None));
    Ok(Answer::ok(shown.collect()))
}

/// A file with its content. The double shows no folders but the root.
pub(super) async fn file(
    State(forge): State<Arc<Forge>>,
    caller: Caller,
    path: RepoPath,
    Path(params): Params,
    Query(revision): Query<Revision>,
) -> Outcome {
    let (name, commit) = find(&forge, &caller, &path, &revision).await?;
    let entries = forge.git.entries(&path, &commit, param(&params, "file")?).await?;
    let entry = entries.first().filter(|entry| entry.size.is_some());
    let entry = entry.ok_or_else(Refusal::not_found)?;
    let content = forge.git.file(&path, &commit, &entry.path).await;
    let content = content.ok_or_else(Refusal::not_found)?;
    Ok(Answer::ok(forge.entry_json(&path, &name, entry, Some(&content))))
}

/// The wanted revision's name and its commit.
async fn find(
    forge: &Forge,
    caller: &Caller,
    path: &RepoPath,
    revision: &Revision,
) -> Result<(String, String), Refusal> {
    let default = forge.read(|registry| {
        let repo = registry.repo_for(caller.login(), path, Access::Read)?;
        Ok::<_, Refusal>(repo.default_branch.clone())
    })?;
    let name = if revision.name.is_empty() { default } else { revision.name.clone() };
    let commit = forge.git.resolve(path, &name).await.ok_or_else(Refusal::not_found)?;
    Ok((name, commit))
}

impl Forge {
    fn entry_json(
        &self,
        repo: &RepoPath,
        revision: &str,
        entry: &Entry,
        content: Option<&str>,
    ) -> Value {
        let (base, path) = (&self.base_url, &entry.path);
        let url = format!("{base}/api/v1/repos/{repo}/contents/{path}?ref={revision}");
        let html_url = format!("{base}/{repo}/src/branch/{revision}/{path}");
        let git_url = format!("{base}/api/v1/repos/{repo}/git/blobs/{}", entry.sha);
        json!({
            "name": path.rsplit('/').next(),
            "path": path,
            "sha": entry.sha,
            "last_commit_sha": entry.commit,
            "type": if entry.size.is_some() { "file" } else { "dir" },
            "size": entry.size.unwrap_or_default(),
            "encoding": content.map(|_| "base64"),
            "content": content.map(|content| STANDARD.encode(content)),
            "target": null,
            "url": url,
            "html_url": html_url,
            "git_url": git_url,
            "download_url": format!("{base}/{repo}/raw/branch/{revision}/{path}"),
            "submodule_git_url": null,
            "_links": { "self": url, "git": git_url, "html": html_url },
        })
    }
}
