//! Opening pull requests, and keeping them in step with git.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::issue::NewIssue;
use crate::forge_double::{
    access::Access,
    answer::Refusal,
    forge::Forge,
    issue::{Issue, Pull},
    registry::{Registry, Repo, RepoPath, next},
};

/// A pull request to open.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct NewPull {
    /// Branch, or `owner:branch`.
    #[serde(default)]
    pub(crate) head: String,
    /// Branch.
    #[serde(default)]
    pub(crate) base: String,
    /// Title, body, labels and assignees.
    #[serde(flatten)]
    pub(crate) text: NewIssue,
}

/// The commits a pull request stands on.
#[derive(Debug, Clone, Default)]
struct Ends {
    head_sha: String,
    base_sha: String,
    merge_base: String,
    merges_cleanly: bool,
}

impl Forge {
    /// Opens a pull request; gives its number.
    ///
    /// # Errors
    /// 404 for a missing branch, 409 when these branches have an open one, 422 when there
    /// is nothing to merge.
    pub(crate) async fn create_pull(
        &self,
        actor: &str,
        path: &RepoPath,
        new: &NewPull,
    ) -> Result<u64, Refusal> {
        self.read(|registry| registry.repo_to_change(Some(actor), path, Access::Read).map(|_| ()))?;
        let own = format!("{}:", path.owner);
        let head = new.head.strip_prefix(&own).unwrap_or(&new.head);
        let head_sha = self.git.branch(path, head).await.ok_or_else(Refusal::not_found)?;
        let base_sha = self.git.branch(path, &new.base).await.ok_or_else(Refusal::not_found)?;
        let ends = self.ends(path, head_sha, base_sha).await;
        self.act(|registry| {
            registry.check_no_open_pull(path, head, &new.base)?;
            if ends.merge_base == ends.head_sha {
                let text =
                    "Invalid PullRequest: There are no changes between the head and the base";
                return Err(Refusal::Unprocessable(text.to_owned()));
            }
            let pull = registry.new_pull(head, &new.base, ends);
            registry.open_issue(actor, path, &new.text, Some(pull))
        })
    }

    /// Opens a pull request for a commit pushed to `refs/for/<base>`; its head is
    /// `refs/pull/<number>/head`, as Gitea's AGit flow does it. Gives its number.
    ///
    /// # Errors
    /// 404 for a missing base, 500 when git fails.
    pub(crate) async fn create_agit_pull(
        &self,
        actor: &str,
        path: &RepoPath,
        base: &str,
        head_sha: String,
    ) -> Result<u64, Refusal> {
        let base_sha = self.git.branch(path, base).await.ok_or_else(Refusal::not_found)?;
        let commit = self.git.commit(path, &head_sha).await;
        let subject = commit.and_then(|commit| commit.message.lines().next().map(str::to_owned));
        let title = subject.unwrap_or_else(|| "agit".to_owned());
        let text = NewIssue { title, ..NewIssue::default() };
        let ends = self.ends(path, head_sha.clone(), base_sha).await;
        let number = self.act(|registry| {
            let mut pull = registry.new_pull(&format!("{actor}/agit"), base, ends);
            pull.is_agit = true;
            registry.open_issue(actor, path, &text, Some(pull))
        })?;
        let name = format!("refs/pull/{number}/head");
        self.git.ask(path, &["update-ref", &name, &head_sha]).await?;
        Ok(number)
    }

    /// Brings the open pull requests up to date with the branches. Called before they are
    /// read, so that nothing depends on having noticed every push.
    ///
    /// # Errors
    /// 404, 500 when git fails.
    pub(crate) async fn refresh_pulls(&self, path: &RepoPath) -> Result<(), Refusal> {
        let open: Vec<(u64, Pull)> = self.read(|registry| {
            let repo = registry.repo(path)?;
            Ok::<_, Refusal>(
                open_pulls(repo).map(|(issue, pull)| (issue.number, pull.clone())).collect(),
            )
        })?;
        if open.is_empty() {
            return Ok(());
        }
        let branches: BTreeMap<_, _> = self.git.branches(path).await?.into_iter().collect();
        for (number, pull) in open {
            let named = |branch: &str| branches.get(branch).cloned();
            let head = if pull.is_agit { None } else { named(&pull.head) };
            let head_sha = head.unwrap_or_else(|| pull.head_sha.clone());
            let base_sha = named(&pull.base).unwrap_or_else(|| pull.base_sha.clone());
            if head_sha == pull.head_sha && base_sha == pull.base_sha {
                continue;
            }
            let ends = self.ends(path, head_sha, base_sha).await;
            self.act(|registry| registry.move_pull(path, number, ends))?;
        }
        Ok(())
    }

    async fn ends(&self, path: &RepoPath, head_sha: String, base_sha: String) -> Ends {
        let merge_base = self.git.merge_base(path, &base_sha, &head_sha).await;
        let merges_cleanly = self.git.merged_tree(path, &base_sha, &head_sha).await.is_some();
        Ends { head_sha, base_sha, merge_base, merges_cleanly }
    }
}

/// The open pull requests of a repository.
pub(crate) fn open_pulls(repo: &Repo) -> impl Iterator<Item = (&Issue, &Pull)> {
    repo.issues
        .values()
        .filter(|issue| issue.closed.is_none())
        .filter_map(|issue| Some((issue, issue.pull.as_ref()?)))
}

impl Registry {
    fn new_pull(&mut self, head: &str, base: &str, ends: Ends) -> Pull {
        Pull {
            id: next(&mut self.ids.pull),
            head: head.to_owned(),
            base: base.to_owned(),
            head_sha: ends.head_sha,
            base_sha: ends.base_sha,
            merge_base: ends.merge_base,
            merges_cleanly: ends.merges_cleanly,
            is_agit: false,
            merged: None,
            reviews: Vec::new(),
        }
    }

    fn check_no_open_pull(&self, path: &RepoPath, head: &str, base: &str) -> Result<(), Refusal> {
        let repo = self.repo(path)?;
        let same = |(_, pull): &(&Issue, &Pull)| pull.head == head && pull.base == base;
        let Some((issue, pull)) = open_pulls(repo).find(same) else { return Ok(()) };
        Err(Refusal::Conflict(format!(
            "pull request already exists for these targets [id: {}, issue_id: {}, \
             head_repo_id: {id}, base_repo_id: {id}, head_branch: {head}, base_branch: {base}]",
            pull.id,
            issue.id,
            id = repo.id,
        )))
    }

    fn move_pull(&mut self, path: &RepoPath, number: u64, ends: Ends) -> Result<(), Refusal> {
        let pull = self.issue_mut(path, number)?.pull_mut()?;
        pull.head_sha = ends.head_sha;
        pull.base_sha = ends.base_sha;
        pull.merge_base = ends.merge_base;
        pull.merges_cleanly = ends.merges_cleanly;
        Ok(())
    }
}
