//! Branches and other refs.

use super::{GitError, GitStore, ZERO_SHA};
use crate::forge_double::registry::RepoPath;

impl GitStore {
    /// The commit a branch, ref or hash names; `None` when there is none.
    pub(crate) async fn resolve(&self, repo: &RepoPath, revision: &str) -> Option<String> {
        let commit = format!("{revision}^{{commit}}");
        let args = ["rev-parse", "--verify", "--quiet", "--end-of-options", &commit];
        self.ask(repo, &args).await.ok()
    }

    /// The commit at the tip of a branch.
    pub(crate) async fn branch(&self, repo: &RepoPath, branch: &str) -> Option<String> {
        self.resolve(repo, &format!("refs/heads/{branch}")).await
    }

    /// All branches with their commits.
    ///
    /// # Errors
    /// `GitError`.
    pub(crate) async fn branches(
        &self,
        repo: &RepoPath,
    ) -> Result<Vec<(String, String)>, GitError> {
        let format = "--format=%(refname:lstrip=2) %(objectname)";
        let text = self.ask(repo, &["for-each-ref", format, "refs/heads/"]).await?;
        let pair =
            |line: &str| line.split_once(' ').map(|(name, sha)| (name.to_owned(), sha.to_owned()));
        Ok(text.lines().filter_map(pair).collect())
    }

    /// Moves a ref from `old` to `new`; fails when it is not at `old`.
    /// `ZERO_SHA` stands for "does not exist".
    ///
    /// # Errors
    /// `GitError`.
    pub(crate) async fn move_ref(
        &self,
        repo: &RepoPath,
        name: &str,
        old: &str,
        new: &str,
    ) -> Result<(), GitError> {
        if new == ZERO_SHA {
            self.ask(repo, &["update-ref", "-d", name, old]).await?;
        } else {
            self.ask(repo, &["update-ref", name, new, old]).await?;
        }
        Ok(())
    }

    /// Makes a branch the one that a clone checks out.
    ///
    /// # Errors
    /// `GitError`.
    pub(crate) async fn set_head(&self, repo: &RepoPath, branch: &str) -> Result<(), GitError> {
        let name = format!("refs/heads/{branch}");
        self.ask(repo, &["symbolic-ref", "HEAD", &name]).await.map(|_| ())
    }

    /// The best common ancestor; empty when there is none.
    pub(crate) async fn merge_base(&self, repo: &RepoPath, a: &str, b: &str) -> String {
        self.ask(repo, &["merge-base", a, b]).await.unwrap_or_default()
    }

    /// A file's content at a revision; `None` when either does not exist.
    pub(crate) async fn file(&self, repo: &RepoPath, revision: &str, path: &str) -> Option<String> {
        let object = format!("{revision}:{path}");
        let args = ["cat-file", "blob", &object];
        self.run(repo, super::Call { args: &args, ..Default::default() }).await.ok()
    }
}
