//! The payloads of webhooks about issues, pull requests, comments and reviews.

use serde_json::{Value, json};

use super::{Aspect, IssueChange};
use crate::forge_double::{
    access::Access,
    answer::Refusal,
    issue::{Comment, ReviewState},
    registry::Registry,
};

impl Registry {
    /// Sends `opened`, `closed`, `assigned`, `label_updated` and the like.
    ///
    /// # Errors
    /// 404 when the issue does not exist.
    pub(crate) fn emit_issue(
        &mut self,
        change: IssueChange<'_>,
        aspect: Aspect,
        action: &str,
    ) -> Result<(), Refusal> {
        let repo = self.repo(change.repo)?;
        let issue = repo.issue(change.number)?;
        // 1.15 shows the access of the author, except to who assigns or merges.
        let is_by_sender = aspect == Aspect::Assign || issue.is_merged();
        let whose = if is_by_sender { change.sender } else { issue.author.as_str() };
        let access = self.access(Some(whose), repo);
        let mut payload = json!({
            "action": action,
            "number": change.number,
            "repository": self.repo_json(repo, access),
            "sender": self.account_json(change.sender),
        });
        let subscription = match (issue.pull.is_some(), aspect) {
            (false, Aspect::Itself) => "issues",
            (false, Aspect::Assign) => "issue_assign",
            (false, Aspect::Label) => "issue_label",
            (true, Aspect::Itself) => "pull_request",
            (true, Aspect::Assign) => "pull_request_assign",
            (true, Aspect::Label) => "pull_request_label",
        };
        if issue.pull.is_some() {
            set(&mut payload, "pull_request", self.pull_json(repo, issue, Access::Read));
            set(&mut payload, "review", Value::Null);
        } else {
            set(&mut payload, "issue", self.issue_json(repo, issue));
        }
        self.emit(change.repo, subscription, &payload);
        Ok(())
    }

    /// Sends that the head of a pull request moved.
    ///
    /// # Errors
    /// 404 when the issue does not exist.
    pub(crate) fn emit_synchronized(&mut self, change: IssueChange<'_>) -> Result<(), Refusal> {
        let repo = self.repo(change.repo)?;
        let issue = repo.issue(change.number)?;
        let payload = json!({
            "action": "synchronized",
            "number": change.number,
            "pull_request": self.pull_json(repo, issue, Access::Read),
            // 1.15 looks the pusher's access up for nobody here.
            "repository": self.repo_json(repo, Access::None),
            "sender": self.account_json(change.sender),
            "review": null,
        });
        self.emit(change.repo, "pull_request_sync", &payload);
        Ok(())
    }

    /// Sends `created`, `edited` or `deleted` of a comment; `was` is the body before an edit.
    ///
    /// # Errors
    /// 404 when the issue does not exist.
    pub(crate) fn emit_comment(
        &mut self,
        change: IssueChange<'_>,
        action: &str,
        comment: &Comment,
        was: Option<&str>,
    ) -> Result<(), Refusal> {
        let repo = self.repo(change.repo)?;
        let issue = repo.issue(change.number)?;
        let access = self.access(Some(change.sender), repo);
        let mut payload = json!({
            "action": action,
            "issue": self.issue_json(repo, issue),
            "comment": self.comment_json(repo, issue, comment),
            "repository": self.repo_json(repo, access),
            "sender": self.account_json(change.sender),
            "is_pull": issue.pull.is_some(),
        });
        if let Some(was) = was {
            set(&mut payload, "changes", json!({ "body": { "from": was } }));
        }
        let subscription =
            if issue.pull.is_some() { "pull_request_comment" } else { "issue_comment" };
        self.emit(change.repo, subscription, &payload);
        Ok(())
    }

    /// Sends that a pull request was reviewed. The line comments are only in the API.
    ///
    /// # Errors
    /// 404 when the issue does not exist.
    pub(crate) fn emit_review(
        &mut self,
        change: IssueChange<'_>,
        state: ReviewState,
        content: &str,
    ) -> Result<(), Refusal> {
        let subscription = match state {
            ReviewState::Approved => "pull_request_review_approved",
            ReviewState::RequestChanges => "pull_request_review_rejected",
            ReviewState::Comment => "pull_request_review_comment",
        };
        let repo = self.repo(change.repo)?;
        let issue = repo.issue(change.number)?;
        let payload = json!({
            "action": "reviewed",
            "number": change.number,
            "pull_request": self.pull_json(repo, issue, Access::Read),
            "repository": self.repo_json(repo, Access::Read),
            "sender": self.account_json(change.sender),
            "review": { "type": subscription, "content": content },
        });
        self.emit(change.repo, subscription, &payload);
        Ok(())
    }
}

/// Sets a field of a JSON object.
fn set(object: &mut Value, name: &str, value: Value) {
    if let Some(fields) = object.as_object_mut() {
        fields.insert(name.to_owned(), value);
    }
}
