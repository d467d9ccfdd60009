//! Which webhooks a change sends, and their payloads.

use axum::body::Bytes;
use serde_json::{Value, json};

use super::{
    access::Access,
    answer::Refusal,
    delivery::Outgoing,
    issue::{Comment, Issue, ReviewState},
    registry::{Registry, Repo, RepoPath},
};

/// Subscriptions in the order Gitea lists them; `issues` and `pull_request` stand for
/// all that begin like them.
const SUBSCRIPTIONS: [&str; 17] = [
    "create",
    "delete",
    "push",
    "issues",
    "issue_assign",
    "issue_label",
    "issue_milestone",
    "issue_comment",
    "pull_request",
    "pull_request_assign",
    "pull_request_label",
    "pull_request_milestone",
    "pull_request_comment",
    "pull_request_review_approved",
    "pull_request_review_rejected",
    "pull_request_review_comment",
    "pull_request_sync",
];

/// What the events named in a request mean, as Gitea widens and orders them.
pub(crate) fn subscriptions(wanted: &[String]) -> Vec<&'static str> {
    let has = |name: &str| wanted.iter().any(|event| event == name);
    let is_wanted = |name: &&str| {
        has(name)
            || (name.starts_with("issue_") && has("issues"))
            || (name.starts_with("pull_request_") && has("pull_request"))
    };
    SUBSCRIPTIONS.into_iter().filter(is_wanted).collect()
}

/// The `X-Gitea-Event` of a subscription.
pub(crate) fn event_header(subscription: &str) -> &'static str {
    match subscription {
        "create" => "create",
        "delete" => "delete",
        "push" => "push",
        // 1.15 sends comments on pull requests under the name of issue comments.
        "issue_comment" | "pull_request_comment" => "issue_comment",
        "pull_request_review_approved" => "pull_request_approved",
        "pull_request_review_rejected" => "pull_request_rejected",
        "pull_request_review_comment" => "pull_request_comment",
        other if other.starts_with("issue") => "issues",
        _ => "pull_request",
    }
}

/// Something done to an issue or pull request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct IssueChange<'a> {
    pub(crate) repo: &'a RepoPath,
    pub(crate) number: u64,
    pub(crate) sender: &'a str,
}

/// Which subscription a change of an issue falls under, after `issue_` or `pull_request_`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Aspect {
    Itself,
    Assign,
    Label,
}

impl Registry {
    /// Queues a webhook for all hooks of the repository that subscribed to it.
    pub(crate) fn emit(&mut self, path: &RepoPath, subscription: &'static str, payload: &Value) {
        let Some(repo) = self.repos.get(path) else { return };
        let body = Bytes::from(format!("{payload:#}"));
        let is_wanted = |hook: &&super::registry::Hook| {
            hook.is_active && hook.events.contains(&subscription)
        };
        let outgoing = repo.hooks.iter().filter(is_wanted).map(|hook| Outgoing {
            id: new_uuid(),
            hook_id: hook.id,
            event: event_header(subscription),
            url: hook.url.clone(),
            secret: hook.secret.clone(),
            body: body.clone(),
        });
        self.outbox.extend(outgoing);
    }

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
        let access = self.access(Some(change.sender), repo);
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

/// A random (version 4) UUID, as RFC 9562 §5.4 lays it out.
pub(crate) fn new_uuid() -> String {
    let bits: u128 = rand::random();
    let bits = (bits & !(0xf << 76) & !(0x3 << 62)) | (0x4 << 76) | (0x2 << 62);
    let hex = format!("{bits:032x}");
    let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default();
    let parts = [part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32)];
    parts.join("-")
}

impl Issue {
    /// Whether nothing more can be changed about a pull request.
    pub(crate) fn is_merged(&self) -> bool {
        self.pull.as_ref().is_some_and(|pull| pull.merged.is_some())
    }
}
