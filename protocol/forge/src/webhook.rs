//! Webhook deliveries: proving where one comes from, and reading what it hints at. No I/O.
//!
//! First `verify_*` over the raw bytes, with the verifier of the route that was called (never by
//! which headers came: Gitea sends GitHub's, too), then `read_*`. A [`Delivery`] carries no text, no
//! label and no decision: it says where to look, and what is acted on is read from the forge.

mod gitea;
#[cfg(test)]
mod recorded;
mod signature;
mod strict;

use protocol::ids::{BadName, BranchName, DeliveryId, IssueNumber, Login, RepoName};

pub use gitea::read_gitea;
pub use signature::{BadWebhookSecrets, SignatureError, WebhookSecrets, verify_gitea};

/// What a forge said, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// The delivery's id: a key for repeats. It is not signed and proves nothing (CASES 11).
    pub id: DeliveryId,
    /// The repository that it speaks of. The caller compares it with those of the route's secret
    /// (CASES 19).
    pub repo: RepoName,
    /// Where to look.
    pub hint: Hint,
    /// Whose doing it was.
    pub sender: Login,
}

/// Where to look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hint {
    /// At an issue.
    Issue {
        /// Which.
        number: IssueNumber,
        /// What was done to it.
        action: IssueAction,
    },
    /// At a pull request.
    PullRequest {
        /// Which.
        number: IssueNumber,
        /// It is said to be closed or merged.
        closed: bool,
        /// Its head branch, if its name is one that a branch of ours could have.
        head: Option<BranchName>,
    },
    /// At a comment.
    Comment {
        /// The issue or pull request that it is on.
        number: IssueNumber,
        /// The forge's id of it.
        comment_id: u64,
        /// It is on a pull request.
        on_pull_request: bool,
        /// What was done to it.
        action: CommentAction,
    },
    /// At the reviews of a pull request.
    Review {
        /// Which.
        number: IssueNumber,
    },
    /// At a branch.
    Push {
        /// Which.
        branch: BranchName,
    },
    /// At nothing that we care for: unknown events, tags, branches that cannot be ours.
    Other {
        /// The forge's name of the event, as a plain word.
        event: String,
    },
}

impl Hint {
    /// The issue or pull request that it is about.
    pub fn number(&self) -> Option<IssueNumber> {
        match self {
            Self::Issue { number, .. }
            | Self::PullRequest { number, .. }
            | Self::Comment { number, .. }
            | Self::Review { number } => Some(*number),
            Self::Push { .. } | Self::Other { .. } => None,
        }
    }
}

/// What was done to an issue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IssueAction {
    /// It was opened.
    Opened,
    /// Title or body were changed.
    Edited,
    /// It was closed.
    Closed,
    /// It was opened again.
    Reopened,
    /// Somebody was assigned.
    Assigned,
    /// Somebody was unassigned.
    Unassigned,
    /// A label came or went; the forge does not say which.
    Labelled,
    /// It was deleted.
    Deleted,
    /// Something else.
    Other,
}

/// What was done to a comment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommentAction {
    /// It was written.
    Created,
    /// Its text was changed, perhaps much later and by somebody else (CASES 28).
    Edited,
    /// It was deleted; it cannot be read any more.
    Deleted,
    /// Something else.
    Other,
}

/// Why a delivery cannot be read. Nothing of it may be used.
#[derive(Debug, thiserror::Error)]
pub enum DeliveryError {
    /// Form-encoded, or worse (CASES 17).
    #[error(
        "the delivery is not application/json; choose that content type in the webhook's settings"
    )]
    ContentType,
    /// Compressed (CASES 16); forges do not compress deliveries.
    #[error("the delivery has a content encoding, none is accepted")]
    ContentEncoding,
    /// Over [`protocol::limits::WEBHOOK_MAX_BYTES`].
    #[error("the delivery has {bytes} bytes, more than are accepted")]
    TooLarge {
        /// How many.
        bytes: usize,
    },
    /// A header that says what it is about is missing, repeated or no plain word.
    #[error("the header {name} is missing, repeated or not a plain word")]
    Header {
        /// Which.
        name: &'static str,
    },
    /// The delivery id is not one.
    #[error("the header with the delivery id cannot be used")]
    Id(#[source] BadName),
    /// Not JSON as we accept it: too deep, a repeated key, a broken text, a number too large
    /// (CASES 18); or a field that we need is missing or of a wrong kind (CASES 20).
    #[error("the body of the event {event} cannot be read")]
    Body {
        /// The forge's name of the event.
        event: String,
        /// The cause, with its place.
        source: serde_json::Error,
    },
    /// The body contradicts itself.
    #[error("the body of the event {event} names #{outer} and #{inner}")]
    Contradiction {
        /// The forge's name of the event.
        event: String,
        /// The number beside the object.
        outer: IssueNumber,
        /// The number in the object.
        inner: IssueNumber,
    },
    /// An event that we do not know, and that is of no repository. Not the sender's fault: to be
    /// answered as a success, and forgotten (CASES 1).
    #[error("the event {event} is not about a repository")]
    Unconcerned {
        /// The forge's name of the event.
        event: String,
    },
}
