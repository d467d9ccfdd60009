//! What a forge holds, in our words: issues, pull requests, comments, reviews, checks.
//!
//! Issues and pull requests share one number sequence, but they are different types: a pull
//! request has a head, a base and a merge state, an issue has none of them.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::ids::{IssueNumber, Login};

/// An issue as it stands now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Issue {
    /// Its number in the repository.
    pub number: IssueNumber,
    /// One line, written by anybody.
    pub title: String,
    /// Markdown, written by anybody.
    pub body: String,
    /// Open or closed.
    pub state: IssueState,
    /// Who opened it.
    pub author: Login,
    /// Names of its labels, sorted.
    pub labels: Vec<String>,
    /// Who it is assigned to, sorted.
    pub assignees: Vec<Login>,
    /// How many comments it has.
    pub comments: u64,
    /// Opened at.
    pub created_at: Timestamp,
    /// Last changed at, by the forge's clock.
    pub updated_at: Timestamp,
    /// Where a person reads it.
    pub url: String,
}

/// Whether an issue is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IssueState {
    /// Work may be done on it.
    Open,
    /// Closed by a person or by a merge.
    Closed,
}

/// A pull request as it stands now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PullRequest {
    /// Its number, from the same sequence as issues.
    pub number: IssueNumber,
    /// One line.
    pub title: String,
    /// Markdown.
    pub body: String,
    /// Open, closed or merged.
    pub state: PullState,
    /// Who opened it.
    pub author: Login,
    /// The branch that is proposed. A plain text: a person may have named it.
    pub head_branch: String,
    /// The repository of the head, `owner/name`, where the forge tells it.
    pub head_repo: Option<String>,
    /// The commit at the head.
    pub head_sha: String,
    /// The branch that it is to go into.
    pub base_branch: String,
    /// Whether the forge can merge it without a conflict; `None` while it does not know.
    pub mergeable: Option<bool>,
    /// Opened at.
    pub created_at: Timestamp,
    /// Last changed at.
    pub updated_at: Timestamp,
    /// Where a person reads it.
    pub url: String,
}

/// What became of a pull request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PullState {
    /// Proposed.
    Open,
    /// Closed without a merge.
    Closed,
    /// Merged.
    Merged,
}

/// A comment on an issue or a pull request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Comment {
    /// The forge's id of it.
    pub id: u64,
    /// Who wrote it.
    pub author: Login,
    /// Markdown.
    pub body: String,
    /// Written at.
    pub created_at: Timestamp,
    /// Last edited at.
    pub updated_at: Timestamp,
    /// Where a person reads it.
    pub url: String,
}

/// A review of a pull request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Review {
    /// The forge's id of it.
    pub id: u64,
    /// Who wrote it.
    pub author: Login,
    /// What it says of the pull request.
    pub verdict: Verdict,
    /// Markdown, may be empty.
    pub body: String,
    /// The commit that was looked at.
    pub commit: String,
    /// Handed in at.
    pub submitted_at: Timestamp,
    /// Remarks on lines.
    pub comments: Vec<ReviewComment>,
}

/// What a review says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// May be merged.
    Approved,
    /// Must be changed first.
    ChangesRequested,
    /// Neither.
    Commented,
    /// Not handed in yet, or a state that we do not know.
    Pending,
}

/// A remark on one line of one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReviewComment {
    /// The forge's id of it; it may come later than the review, as an answer.
    #[serde(default)]
    pub id: u64,
    /// Who wrote it, perhaps not the reviewer.
    pub author: Login,
    /// The file, from the repository's root.
    pub path: String,
    /// The line in the new file, from 1; `None` when it is about an old line.
    pub line: Option<u64>,
    /// Markdown.
    pub body: String,
}

/// What continuous integration says of a pull request's head.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CiReport {
    /// The commit that was checked.
    pub sha: String,
    /// The worst of all checks; `None` when there are none.
    pub state: Option<CheckState>,
    /// Each check's latest word.
    pub checks: Vec<Check>,
}

/// One check of a commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Check {
    /// Its name, e.g. `ci/test`.
    pub name: String,
    /// How it stands.
    pub state: CheckState,
    /// What it says of itself.
    pub description: String,
    /// Where its log is.
    pub url: String,
}

/// How a check stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckState {
    /// Not finished.
    Pending,
    /// Passed.
    Success,
    /// Passed with remarks.
    Warning,
    /// Did not pass.
    Failure,
    /// Could not run.
    Error,
}

/// What a user may do in a repository, from less to more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Permission {
    /// Not a collaborator, or unknown.
    None,
    /// May read.
    Read,
    /// May push and label.
    Write,
    /// May change settings.
    Admin,
}
