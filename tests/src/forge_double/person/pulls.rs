//! Branches, pull requests, reviews, statuses; looking at git.

use super::Done;
use crate::forge_double::{
    Access, Commit, ForgeDouble, NewIssue, NewLineComment, RefUpdate, RepoPath, ReviewState,
    action::{merge::MergeWish, pull::NewPull, review::NewReview, status::NewStatus},
    git::commit::FileChange,
};

impl ForgeDouble {
    /// Opens a pull request from one branch to another; gives its number.
    pub async fn create_pull(
        &self,
        actor: &str,
        repo: &str,
        (head, base): (&str, &str),
        text: NewIssue,
    ) -> Done<u64> {
        let new = NewPull { head: head.to_owned(), base: base.to_owned(), text };
        self.forge.create_pull(actor, &repo.parse()?, &new).await
    }

    /// Reviews a pull request; gives the review's id.
    pub async fn review(
        &self,
        actor: &str,
        repo: &str,
        number: u64,
        (state, body): (ReviewState, &str),
        comments: Vec<NewLineComment>,
    ) -> Done<u64> {
        let event = state.word().to_owned();
        let new = NewReview { event, body: body.to_owned(), comments };
        self.forge.create_review(actor, &repo.parse()?, number, &new).await
    }

    /// Answers in the conversation that a review's line comment began; gives the comment's id.
    pub async fn reply_in_review(
        &self,
        actor: &str,
        repo: &str,
        (number, review): (u64, u64),
        comment: NewLineComment,
    ) -> Done<u64> {
        self.forge.reply_in_review(actor, &repo.parse()?, (number, review), &comment)
    }

    /// Merges a pull request with a merge commit.
    pub async fn merge(&self, actor: &str, repo: &str, number: u64) -> Done {
        let wish = MergeWish { how: "merge".to_owned(), ..MergeWish::default() };
        self.forge.merge_pull(actor, &repo.parse()?, number, &wish).await
    }

    /// Sets a commit status: `pending`, `success`, `warning`, `failure` or `error`.
    pub async fn set_commit_status(
        &self,
        actor: &str,
        repo: &str,
        sha: &str,
        (context, state, description): (&str, &str, &str),
    ) -> Done<u64> {
        let new = NewStatus {
            state: state.to_owned(),
            context: context.to_owned(),
            description: description.to_owned(),
            target_url: String::new(),
        };
        self.forge.set_status(actor, &repo.parse()?, sha, new).await
    }

    /// Deletes a branch; closes the open pull requests from it.
    pub async fn delete_branch(&self, actor: &str, repo: &str, branch: &str) -> Done {
        self.forge.delete_branch(actor, &repo.parse()?, branch).await
    }

    /// Writes a file as a commit on a branch (made from the default branch when missing),
    /// with all that follows from a push; gives the commit.
    pub async fn commit_file(
        &self,
        actor: &str,
        repo: &str,
        branch: &str,
        (file, content): (&str, &str),
    ) -> Done<String> {
        let path: RepoPath = repo.parse()?;
        let (email, start) = self.forge.read(|registry| -> Done<(String, String)> {
            let repo = registry.repo_for(Some(actor), &path, Access::Write)?;
            Ok((registry.user(actor)?.email.clone(), repo.default_branch.clone()))
        })?;
        let message = format!("Change {file}\n");
        let change = FileChange {
            branch,
            start: &start,
            path: file,
            content: content.as_bytes(),
            message: &message,
            by: (actor, &email),
        };
        let (old, new) = self.forge.git.commit_file(&path, &change).await?;
        let update = RefUpdate { name: format!("refs/heads/{branch}"), old, new: new.clone() };
        self.forge.after_push(actor, &path, vec![update], Vec::new()).await?;
        Ok(new)
    }

    /// The commit at the tip of a branch; `None` when there is no such branch.
    pub async fn branch_sha(&self, repo: &str, branch: &str) -> Option<String> {
        self.forge.git.branch(&repo.parse().ok()?, branch).await
    }

    /// The names of all branches.
    pub async fn branches(&self, repo: &str) -> Done<Vec<String>> {
        let branches = self.forge.git.branches(&repo.parse()?).await?;
        Ok(branches.into_iter().map(|(name, _)| name).collect())
    }

    /// A file's content at a branch, ref or commit.
    pub async fn file_at(&self, repo: &str, revision: &str, file: &str) -> Option<String> {
        self.forge.git.file(&repo.parse().ok()?, revision, file).await
    }

    /// The commits of a branch, newest first; empty when there is no such branch.
    pub async fn log(&self, repo: &str, branch: &str) -> Vec<Commit> {
        let Ok(path) = repo.parse() else { return Vec::new() };
        let name = format!("refs/heads/{branch}");
        self.forge.git.log(&path, usize::from(u16::MAX), &[&name]).await.unwrap_or_default()
    }
}
