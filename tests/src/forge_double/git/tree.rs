//! Files and folders of a commit.

use super::{GitError, GitStore};
use crate::forge_double::registry::RepoPath;

/// A file or folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) path: String,
    pub(crate) sha: String,
    /// `None` for a folder.
    pub(crate) size: Option<u64>,
    /// The last commit that touched it.
    pub(crate) commit: String,
}

impl GitStore {
    /// The entry at a path, or with an empty path all of the root's.
    ///
    /// # Errors
    /// `GitError`.
    pub(crate) async fn entries(
        &self,
        repo: &RepoPath,
        commit: &str,
        path: &str,
    ) -> Result<Vec<Entry>, GitError> {
        let args = ["ls-tree", "-l", "-z", "--full-tree", commit, "--", path];
        let args = if path.is_empty() { args.get(..5).unwrap_or(&args) } else { &args };
        let text = self.ask(repo, args).await?;
        let mut entries = Vec::new();
        for line in text.split('\0').filter(|line| !line.is_empty()) {
            let Some((facts, path)) = line.split_once('\t') else { continue };
            let mut facts = facts.split_whitespace().skip(2);
            let (sha, size) = (facts.next().unwrap_or_default(), facts.next());
            let last = ["log", "-1", "--format=%H", commit, "--", path];
            entries.push(Entry {
                path: path.to_owned(),
                sha: sha.to_owned(),
                size: size.and_then(|size| size.parse().ok()),
                commit: self.ask(repo, &last).await?,
            });
        }
        Ok(entries)
    }
}
