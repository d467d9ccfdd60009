//! Merging pull requests, with real git.

use serde::Deserialize;

use super::{issue::leading_number, push::RefUpdate};
use crate::forge_double::{
    access::Access,
    answer::Refusal,
    clock::Moment,
    forge::Forge,
    git::{ZERO_SHA, merge::Merge},
    hook::{Aspect, IssueChange},
    issue::{Issue, Merged, Pull},
    registry::{Registry, RepoPath},
};

/// How to merge.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct MergeWish {
    /// `merge` or `squash`; the double does not rebase.
    #[serde(rename = "Do")]
    pub(crate) how: String,
    #[serde(rename = "MergeTitleField")]
    pub(crate) title: String,
    #[serde(rename = "MergeMessageField")]
    pub(crate) message: String,
    /// Refuses when the head is another commit.
    pub(crate) head_commit_id: String,
    pub(crate) delete_branch_after_merge: bool,
}

/// What is known before git merges.
struct Ready {
    pull: Pull,
    message: String,
    email: String,
}

impl Forge {
    /// Merges a pull request; closes it, and the issues its text says it closes.
    ///
    /// # Errors
    /// 404 when closed, 405 when merged, in progress, conflicting or not permitted, 409 when
    /// the head moved, 422 for an unknown way.
    pub(crate) async fn merge_pull(
        &self,
        actor: &str,
        path: &RepoPath,
        number: u64,
        wish: &MergeWish,
    ) -> Result<(), Refusal> {
        if !matches!(wish.how.as_str(), "merge" | "squash") {
            return Err(Refusal::Unprocessable(format!("cannot merge by {:?}", wish.how)));
        }
        let _one_at_a_time = self.merging.lock().await;
        self.refresh_pulls(path).await?;
        let ready = self.read(|registry| registry.ready_to_merge(actor, path, number, wish))?;
        let merge = Merge {
            base: &ready.pull.base,
            base_sha: &ready.pull.base_sha,
            head_sha: &ready.pull.head_sha,
            is_squash: wish.how == "squash",
            message: &ready.message,
            by: (actor, &ready.email),
        };
        let merged = self.git.merge(path, &merge).await;
        let commit = merged.map_err(|error| Refusal::Conflict(error.to_string()))?;
        self.act(|registry| registry.note_merge(actor, path, number, &commit))?;
        if wish.delete_branch_after_merge && !ready.pull.is_agit {
            self.delete_branch(actor, path, &ready.pull.head).await?;
        }
        self.refresh_pulls(path).await
    }

    /// Deletes a branch; closes the open pull requests from it.
    ///
    /// # Errors
    /// 403 for the default branch or without permission, 404.
    pub(crate) async fn delete_branch(
        &self,
        actor: &str,
        path: &RepoPath,
        branch: &str,
    ) -> Result<(), Refusal> {
        self.read(|registry| {
            let repo = registry.repo_to_change(Some(actor), path, Access::Write)?;
            if repo.default_branch == branch {
                return Err(Refusal::ForbiddenSaying("can not delete default branch".to_owned()));
            }
            Ok(())
        })?;
        let old = self.git.branch(path, branch).await.ok_or_else(Refusal::not_found)?;
        let name = format!("refs/heads/{branch}");
        self.git.move_ref(path, &name, &old, ZERO_SHA).await?;
        let update = RefUpdate { name, old, new: ZERO_SHA.to_owned() };
        self.after_push(actor, path, vec![update], Vec::new()).await
    }
}

impl Registry {
    fn ready_to_merge(
        &self,
        actor: &str,
        path: &RepoPath,
        number: u64,
        wish: &MergeWish,
    ) -> Result<Ready, Refusal> {
        let repo = self.repo_to_change(Some(actor), path, Access::Read)?;
        let issue = repo.issue(number)?;
        let pull = issue.pull()?.clone();
        let not_allowed = |text: &str| Err(Refusal::NotAllowed(text.to_owned()));
        if pull.merged.is_some() {
            return not_allowed("The PR is already merged");
        }
        if issue.closed.is_some() {
            return Err(Refusal::not_found());
        }
        if self.access(Some(actor), repo) < Access::Write {
            return not_allowed("User not allowed to merge PR");
        }
        if issue.is_work_in_progress() {
            return not_allowed("Work in progress PRs cannot be merged");
        }
        if !pull.merges_cleanly {
            return not_allowed("Please try again later");
        }
        if !wish.head_commit_id.is_empty() && wish.head_commit_id != pull.head_sha {
            return Err(Refusal::Conflict("head out of date".to_owned()));
        }
        let email = self.user(actor)?.email.clone();
        Ok(Ready { message: merge_message(issue, &pull, wish), pull, email })
    }

    /// Gitea tells of the pull request first, then of the issues closed with it.
    fn note_merge(
        &mut self,
        actor: &str,
        path: &RepoPath,
        number: u64,
        commit: &str,
    ) -> Result<(), Refusal> {
        let now = Moment::now();
        let issue = self.issue_mut(path, number)?;
        issue.closed = Some(now);
        let pull = issue.pull_mut()?;
        let merged = Merged { by: actor.to_owned(), at: now, commit: commit.to_owned() };
        pull.merged = Some(merged);
        commit.clone_into(&mut pull.base_sha);
        let base = pull.base.clone();
        let closing = closed_by(&issue.body);
        // The merge itself, and the reference made by the merge commit's message.
        self.timeline_entries(2);
        let change = IssueChange { repo: path, number, sender: actor };
        self.emit_issue(change, Aspect::Itself, "closed")?;
        if self.repo(path)?.default_branch != base {
            return Ok(());
        }
        for closed in closing {
            let repo = self.repo(path)?;
            if closed != number && repo.issues.contains_key(&closed) {
                let change = IssueChange { repo: path, number: closed, sender: actor };
                self.set_state(change, true)?;
            }
        }
        Ok(())
    }
}

fn merge_message(issue: &Issue, pull: &Pull, wish: &MergeWish) -> String {
    let usual = format!(
        "Merge pull request '{}' (#{}) from {} into {}",
        issue.title, issue.number, pull.head, pull.base
    );
    let title = if wish.title.is_empty() { &usual } else { &wish.title };
    if wish.message.is_empty() {
        format!("{title}\n")
    } else {
        format!("{title}\n\n{}\n", wish.message)
    }
}

/// The issues a text closes when it is merged: Gitea's keywords, then `#` and a number.
/// <https://docs.gitea.com/usage/automatically-linked-references>
pub(crate) fn closed_by(text: &str) -> Vec<u64> {
    const KEYWORDS: [&str; 9] =
        ["close", "closes", "closed", "fix", "fixes", "fixed", "resolve", "resolves", "resolved"];
    let words: Vec<&str> = text.split_whitespace().collect();
    let named = words.iter().zip(words.iter().skip(1)).filter_map(|(keyword, target)| {
        let keyword = keyword.trim_start_matches(['(', '*', '-']).trim_end_matches(':');
        let is_keyword = KEYWORDS.iter().any(|known| known.eq_ignore_ascii_case(keyword));
        leading_number(target.strip_prefix('#')?).filter(|_| is_keyword)
    });
    named.collect()
}

#[cfg(test)]
mod tests {
    use super::closed_by;

    #[test]
    fn only_gitea_keywords_close_issues() {
        assert_eq!(closed_by("Closes #1, and FIXES: #22.\nFor #3; see #4"), [1, 22]);
        assert!(closed_by("closes 1 #2 closest #5").is_empty());
    }
}
