//! What can go wrong between us and a forge, told apart by what to do about it.

use std::time::Duration;

use protocol::ids::IssueNumber;

/// A call to a forge that did not give what was asked. `what` says the operation and its object,
/// e.g. `post a comment on alice/widget#17`; no variant ever holds a credential.
#[derive(Debug, thiserror::Error)]
pub enum ForgeError {
    /// A write to a number outside the set; nothing was sent.
    #[error("write to #{number} is out of scope, writable are {}", list(writable))]
    OutOfScope {
        /// What was asked for.
        number: IssueNumber,
        /// What may be written.
        writable: Vec<IssueNumber>,
    },
    /// 401: the token is wrong or revoked. No retry helps; an operator must act.
    #[error("the forge refused the token for: {what}")]
    BadToken {
        /// The operation.
        what: String,
    },
    /// 403 that is not a rate limit: the account lacks a permission.
    #[error("the forge does not permit: {what}: {message}")]
    NoPermission {
        /// The operation.
        what: String,
        /// The forge's words, cut and without control characters.
        message: String,
    },
    /// 404 or 410 of the forge itself, which is in JSON: not there, or not to be seen by this account.
    #[error("not found: {what}")]
    Gone {
        /// The operation.
        what: String,
    },
    /// A pull request where an issue was asked for, or the other way round.
    #[error("#{number} is {is}")]
    WrongKind {
        /// The number.
        number: IssueNumber,
        /// `a pull request, not an issue` or `an issue, not a pull request`.
        is: &'static str,
    },
    /// 409: it is there already, or changed meanwhile.
    #[error("conflict: {what}: {message}")]
    Conflict {
        /// The operation.
        what: String,
        /// The forge's words.
        message: String,
    },
    /// 422, 400, 413: the forge found the request wrong.
    #[error("the forge refused the content of: {what}: {message}")]
    Rejected {
        /// The operation.
        what: String,
        /// The forge's words.
        message: String,
    },
    /// 429, or 403 with signs of a rate limit.
    #[error("the forge limits the rate of: {what}; try again in {} s", retry_after.as_secs())]
    RateLimited {
        /// The operation.
        what: String,
        /// Clamped to the limits of [`protocol::limits`].
        retry_after: Duration,
    },
    /// No connection came about, so nothing was sent: no such host, nobody there, a certificate that
    /// is not believed.
    #[error("cannot connect to the forge for: {what}: {message}")]
    Unreachable {
        /// The operation.
        what: String,
        /// Kind of failure.
        message: String,
    },
    /// 5xx, a broken connection or a time-out: whether a write was done is unknown.
    #[error("the forge failed at: {what}: {message}")]
    Server {
        /// The operation.
        what: String,
        /// Status or kind of failure.
        message: String,
    },
    /// An answer that is not what this forge says: HTML (a proxy's 404 too), a redirect, too large,
    /// fields missing. It tells nothing about whether the object is there.
    #[error("the forge's answer cannot be used for: {what}: {message}")]
    BadAnswer {
        /// The operation.
        what: String,
        /// What is wrong with it.
        message: String,
    },
}

impl ForgeError {
    /// How long to wait before the same is asked again, where the forge limits the rate: within
    /// [`protocol::limits::RETRY_AFTER_MIN`] and [`protocol::limits::RETRY_AFTER_MAX`].
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::RateLimited { retry_after, .. } => Some(*retry_after),
            Self::OutOfScope { .. }
            | Self::BadToken { .. }
            | Self::NoPermission { .. }
            | Self::Gone { .. }
            | Self::WrongKind { .. }
            | Self::Conflict { .. }
            | Self::Rejected { .. }
            | Self::Unreachable { .. }
            | Self::Server { .. }
            | Self::BadAnswer { .. } => None,
        }
    }
}

/// Numbers as people read them: `17, 42`, or `nothing`.
fn list(numbers: &[IssueNumber]) -> String {
    if numbers.is_empty() {
        return "nothing".to_owned();
    }
    numbers.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
