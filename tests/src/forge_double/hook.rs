//! Which webhooks a change sends.

mod payload;

use axum::body::Bytes;
use serde_json::Value;

use super::{
    delivery::Outgoing,
    registry::{Registry, RepoPath},
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
        let is_wanted =
            |hook: &&super::registry::Hook| hook.is_active && hook.events.contains(&subscription);
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
