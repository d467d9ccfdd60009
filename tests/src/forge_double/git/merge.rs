//! Merging in a bare repository.

use super::{GitError, GitStore, commit::Draft};
use crate::forge_double::registry::RepoPath;

/// Two branches to merge.
#[derive(Debug)]
pub(crate) struct Merge<'a> {
    pub(crate) base: &'a str,
    pub(crate) base_sha: &'a str,
    pub(crate) head_sha: &'a str,
    /// One commit on the base instead of a commit with two parents.
    pub(crate) is_squash: bool,
    pub(crate) message: &'a str,
    pub(crate) by: (&'a str, &'a str),
}

impl GitStore {
    /// The tree of both sides together; `None` when they conflict.
    pub(crate) async fn merged_tree(&self, repo: &RepoPath, a: &str, b: &str) -> Option<String> {
        let text = self.ask(repo, &["merge-tree", "--write-tree", a, b]).await.ok()?;
        text.lines().next().map(str::to_owned)
    }

    /// Merges and moves the base branch; gives the new commit.
    ///
    /// # Errors
    /// `GitError` on a conflict, or when the base moved meanwhile.
    pub(crate) async fn merge(
        &self,
        repo: &RepoPath,
        merge: &Merge<'_>,
    ) -> Result<String, GitError> {
        let tree = self.merged_tree(repo, merge.base_sha, merge.head_sha).await;
        let tree = tree.ok_or_else(|| GitError::Failed {
            command: "merge-tree".to_owned(),
            stderr: "the branches conflict".to_owned(),
        })?;
        let both = [merge.base_sha, merge.head_sha];
        let parents = if merge.is_squash { both.get(..1).unwrap_or(&both) } else { &both };
        let draft = Draft { tree: &tree, parents, message: merge.message, by: merge.by };
        let commit = self.store_commit(repo, &draft).await?;
        let base = format!("refs/heads/{}", merge.base);
        self.move_ref(repo, &base, merge.base_sha, &commit).await?;
        Ok(commit)
    }
}
