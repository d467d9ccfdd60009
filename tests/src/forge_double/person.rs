//! What people do on a forge, as plain methods. All go through the code of the API, so the
//! same permissions apply and the same webhooks are sent.
//!
//! Repositories are named `owner/name`. Every method fails with the `Refusal` that the API
//! would answer: 403 without permission, 404 for what is not there, 422 for nonsense.

mod accounts;
mod issues;
mod pulls;
mod repos;
mod settings;

use super::Refusal;

type Done<T = ()> = Result<T, Refusal>;

/// Where a webhook goes, and what for.
#[derive(Debug, Clone)]
pub struct HookTarget {
    /// The receiver.
    pub url: String,
    /// The key of the signatures.
    pub secret: String,
    /// Subscriptions; `issues`, `pull_request`, `push`, `create`, `delete` cover everything.
    pub events: Vec<String>,
}

impl HookTarget {
    /// A hook for all events.
    pub fn everything(url: &str, secret: &str) -> Self {
        let events = ["issues", "pull_request", "push", "create", "delete"].map(str::to_owned);
        Self { url: url.to_owned(), secret: secret.to_owned(), events: events.to_vec() }
    }
}
