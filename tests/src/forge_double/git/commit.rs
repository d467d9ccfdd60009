//! Making commits without a work tree.

use super::{Call, GitError, GitStore, ZERO_SHA};
use crate::forge_double::registry::RepoPath;

/// A commit to make.
#[derive(Debug)]
pub(crate) struct Draft<'a> {
    /// Hash of the tree.
    pub(crate) tree: &'a str,
    pub(crate) parents: &'a [&'a str],
    pub(crate) message: &'a str,
    /// Author and committer: name and mail address.
    pub(crate) by: (&'a str, &'a str),
}

/// One file to write on a branch.
#[derive(Debug)]
pub(crate) struct FileChange<'a> {
    pub(crate) branch: &'a str,
    /// What the branch grows from when it does not exist yet.
    pub(crate) start: &'a str,
    pub(crate) path: &'a str,
    pub(crate) content: &'a [u8],
    pub(crate) message: &'a str,
    pub(crate) by: (&'a str, &'a str),
}

impl GitStore {
    /// Stores a commit object; no ref moves.
    ///
    /// # Errors
    /// `GitError`.
    pub(crate) async fn store_commit(
        &self,
        repo: &RepoPath,
        draft: &Draft<'_>,
    ) -> Result<String, GitError> {
        let mut args = vec!["commit-tree", draft.tree];
        for parent in draft.parents {
            args.extend_from_slice(&["-p", parent]);
        }
        let (name, email) = draft.by;
        let env = [
            ("GIT_AUTHOR_NAME", name),
            ("GIT_AUTHOR_EMAIL", email),
            ("GIT_COMMITTER_NAME", name),
            ("GIT_COMMITTER_EMAIL", email),
        ];
        let call = Call { args: &args, input: draft.message.as_bytes(), env: &env };
        Ok(self.run(repo, call).await?.trim_end().to_owned())
    }

    /// Writes one file as a commit on a branch, which is made when missing.
    /// Gives the branch's old (or zero) and new hash.
    ///
    /// # Errors
    /// `GitError`, also when the branch moved meanwhile.
    pub(crate) async fn commit_file(
        &self,
        repo: &RepoPath,
        change: &FileChange<'_>,
    ) -> Result<(String, String), GitError> {
        let old = self.branch(repo, change.branch).await;
        let parent = match &old {
            Some(sha) => Some(sha.clone()),
            None => self.branch(repo, change.start).await,
        };
        let tree = self.tree_with(repo, parent.as_deref(), change).await?;
        let parents: Vec<&str> = parent.iter().map(String::as_str).collect();
        let draft =
            Draft { tree: &tree, parents: &parents, message: change.message, by: change.by };
        let new = self.store_commit(repo, &draft).await?;
        let old = old.unwrap_or_else(|| ZERO_SHA.to_owned());
        self.move_ref(repo, &format!("refs/heads/{}", change.branch), &old, &new).await?;
        Ok((old, new))
    }

    /// The tree of `parent` with one file added or replaced, built in an index of its own.
    async fn tree_with(
        &self,
        repo: &RepoPath,
        parent: Option<&str>,
        change: &FileChange<'_>,
    ) -> Result<String, GitError> {
        let prepare = |source| GitError::Prepare { path: self.folder(repo), source };
        let folder = tempfile::tempdir_in(self.folder(repo)).map_err(prepare)?;
        let index = folder.path().join("index");
        let env = [("GIT_INDEX_FILE", index.to_str().unwrap_or("index"))];
        if let Some(parent) = parent {
            let args = ["read-tree", parent];
            self.run(repo, Call { args: &args, input: &[], env: &env }).await?;
        }
        let args = ["hash-object", "-w", "--stdin"];
        let blob = self.run(repo, Call { args: &args, input: change.content, env: &[] }).await?;
        let entry = format!("100644,{},{}", blob.trim_end(), change.path);
        let args = ["update-index", "--add", "--cacheinfo", &entry];
        self.run(repo, Call { args: &args, input: &[], env: &env }).await?;
        let args = ["write-tree"];
        let tree = self.run(repo, Call { args: &args, input: &[], env: &env }).await?;
        Ok(tree.trim_end().to_owned())
    }
}
