//! The JSON of Gitea and Forgejo, read tolerantly (CASES 193): unknown fields are passed over, texts
//! and lists may be missing or null, unknown words get the meaning that allows least.

use std::fmt;

use jiff::{Timestamp, civil, tz::TimeZone};
use protocol::{
    ids::{IssueNumber, Login, RepoName},
    item::{
        Check, CheckState, Comment, Issue, IssueState, Permission, PullRequest, PullState, Review,
        ReviewComment, Verdict,
    },
};
use serde::{
    Deserialize, Deserializer,
    de::{Error as _, IgnoredAny},
};

/// An account. `login` is the name of all versions; `username` an alias of some.
#[derive(Deserialize)]
pub(super) struct User {
    login: Option<String>,
    username: Option<String>,
}

impl User {
    /// Its name, if it is one.
    pub(super) fn name(self) -> Option<Login> {
        self.login.or(self.username)?.parse().ok()
    }
}

/// Gitea shows deleted accounts as `Ghost` and reserves that name, so nobody can be trusted by it.
fn author(user: Option<User>) -> Login {
    let known = user.and_then(User::name);
    known.unwrap_or_else(|| "Ghost".parse().expect("a plain word is an account name"))
}

/// A number, which some write as a text because 64 bits do not fit JavaScript's (CASES 196).
fn number<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: TryFrom<u64, Error: fmt::Display>,
{
    T::try_from(Number::deserialize(deserializer)?.0).map_err(D::Error::custom)
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Number(u64);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "expected a number")]
        enum Written {
            Number(u64),
            Text(String),
        }
        match Written::deserialize(deserializer)? {
            Written::Number(number) => Ok(Self(number)),
            Written::Text(text) => text.parse().map(Self).map_err(D::Error::custom),
        }
    }
}

/// A time with an offset, or without one and then UTC (CASES 196).
#[derive(Clone, Copy)]
pub(super) struct Moment(Timestamp);

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let plain = || {
            text.parse::<civil::DateTime>()?.to_zoned(TimeZone::UTC).map(|zoned| zoned.timestamp())
        };
        text.parse().or_else(|_| plain()).map(Self).map_err(D::Error::custom)
    }
}

/// A time that is not given is the beginning of time: older than anything that is compared.
fn time(moment: Option<Moment>) -> Timestamp {
    moment.map_or(Timestamp::UNIX_EPOCH, |Moment(timestamp)| timestamp)
}

/// What the server says of itself.
#[derive(Deserialize)]
pub(super) struct WireVersion {
    pub(super) version: String,
}

/// A repository.
#[derive(Deserialize)]
pub(super) struct WireRepository {
    pub(super) full_name: RepoName,
    pub(super) default_branch: Option<String>,
    pub(super) archived: Option<bool>,
    pub(super) has_issues: Option<bool>,
    pub(super) has_pull_requests: Option<bool>,
}

/// An issue, or a pull request seen as one.
#[derive(Deserialize)]
pub(super) struct WireIssue {
    #[serde(deserialize_with = "number")]
    number: IssueNumber,
    title: Option<String>,
    body: Option<String>,
    state: Option<String>,
    user: Option<User>,
    labels: Option<Vec<Label>>,
    assignee: Option<User>,
    assignees: Option<Vec<User>>,
    comments: Option<u64>,
    created_at: Option<Moment>,
    updated_at: Option<Moment>,
    html_url: Option<String>,
    pull_request: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct Label {
    name: Option<String>,
}

impl WireIssue {
    /// Whether it is a pull request in truth.
    pub(super) fn is_pull_request(&self) -> bool {
        self.pull_request.is_some()
    }

    /// Its number, as an id.
    pub(super) fn id(&self) -> u64 {
        self.number.get()
    }

    /// In our words. A state that we do not know counts as closed: nothing is begun on it.
    pub(super) fn into_issue(self) -> Issue {
        let mut labels: Vec<String> =
            self.labels.unwrap_or_default().into_iter().filter_map(|label| label.name).collect();
        labels.sort();
        let assigned = self.assignees.unwrap_or_default().into_iter().chain(self.assignee);
        let mut assignees: Vec<Login> = assigned.filter_map(User::name).collect();
        assignees.sort();
        assignees.dedup();
        let open = self.state.as_deref() == Some("open");
        Issue {
            number: self.number,
            title: self.title.unwrap_or_default(),
            body: self.body.unwrap_or_default(),
            state: if open { IssueState::Open } else { IssueState::Closed },
            author: author(self.user),
            labels,
            assignees,
            comments: self.comments.unwrap_or_default(),
            created_at: time(self.created_at),
            updated_at: time(self.updated_at),
            url: self.html_url.unwrap_or_default(),
        }
    }
}

/// A pull request.
#[derive(Deserialize)]
pub(super) struct WirePull {
    #[serde(deserialize_with = "number")]
    number: IssueNumber,
    title: Option<String>,
    body: Option<String>,
    state: Option<String>,
    merged: Option<bool>,
    mergeable: Option<bool>,
    user: Option<User>,
    head: Option<BranchInfo>,
    base: Option<BranchInfo>,
    created_at: Option<Moment>,
    updated_at: Option<Moment>,
    html_url: Option<String>,
}

/// One side of a pull request.
#[derive(Deserialize, Default)]
struct BranchInfo {
    label: Option<String>,
    #[serde(rename = "ref")]
    reference: Option<String>,
    sha: Option<String>,
    repo: Option<BranchRepository>,
}

/// A branch's repository; its name is not checked, because a fork may be called anything.
#[derive(Deserialize)]
struct BranchRepository {
    full_name: Option<String>,
}

impl BranchInfo {
    /// The branch. After its deletion Gitea puts `refs/pull/<n>/head` in `ref` and keeps the name
    /// in `label`.
    fn branch(&mut self) -> String {
        let reference = self.reference.take().filter(|reference| !reference.starts_with("refs/"));
        reference.or_else(|| self.label.take()).unwrap_or_default()
    }
}

impl WirePull {
    /// Its number, as an id.
    pub(super) fn id(&self) -> u64 {
        self.number.get()
    }

    /// In our words. A state that we do not know counts as closed.
    pub(super) fn into_pull(self) -> PullRequest {
        let mut head = self.head.unwrap_or_default();
        let state = match (self.merged, self.state.as_deref()) {
            (Some(true), _) => PullState::Merged,
            (_, Some("open")) => PullState::Open,
            _ => PullState::Closed,
        };
        PullRequest {
            number: self.number,
            title: self.title.unwrap_or_default(),
            body: self.body.unwrap_or_default(),
            state,
            author: author(self.user),
            head_branch: head.branch(),
            head_repo: head.repo.and_then(|repo| repo.full_name),
            head_sha: head.sha.unwrap_or_default(),
            base_branch: self.base.unwrap_or_default().branch(),
            mergeable: self.mergeable,
            created_at: time(self.created_at),
            updated_at: time(self.updated_at),
            url: self.html_url.unwrap_or_default(),
        }
    }
}

/// A comment.
#[derive(Deserialize)]
pub(super) struct WireComment {
    #[serde(deserialize_with = "number")]
    id: u64,
    user: Option<User>,
    body: Option<String>,
    created_at: Option<Moment>,
    updated_at: Option<Moment>,
    html_url: Option<String>,
}

impl WireComment {
    /// In our words.
    pub(super) fn into_comment(self) -> Comment {
        Comment {
            id: self.id,
            author: author(self.user),
            body: self.body.unwrap_or_default(),
            created_at: time(self.created_at),
            updated_at: time(self.updated_at),
            url: self.html_url.unwrap_or_default(),
        }
    }
}

/// A review, without its remarks.
#[derive(Deserialize)]
pub(super) struct WireReview {
    #[serde(deserialize_with = "number")]
    pub(super) id: u64,
    user: Option<User>,
    state: Option<String>,
    body: Option<String>,
    commit_id: Option<String>,
    dismissed: Option<bool>,
    comments_count: Option<u64>,
    submitted_at: Option<Moment>,
}

impl WireReview {
    /// Whether it was handed in: drafts and mere requests for a review are listed too.
    pub(super) fn is_handed_in(&self) -> bool {
        !matches!(self.state.as_deref(), Some("PENDING" | "REQUEST_REVIEW"))
    }

    /// Whether there are remarks to read; so it is when the forge does not say.
    pub(super) fn has_remarks(&self) -> bool {
        self.comments_count != Some(0)
    }

    /// In our words, with its remarks. A dismissed verdict does not count any more.
    pub(super) fn into_review(self, comments: Vec<ReviewComment>) -> Review {
        let verdict = match self.state.as_deref() {
            Some("COMMENT" | "APPROVED" | "REQUEST_CHANGES") if self.dismissed == Some(true) => {
                Verdict::Commented
            }
            Some("APPROVED") => Verdict::Approved,
            Some("REQUEST_CHANGES") => Verdict::ChangesRequested,
            Some("COMMENT") => Verdict::Commented,
            _ => Verdict::Pending,
        };
        Review {
            id: self.id,
            author: author(self.user),
            verdict,
            body: self.body.unwrap_or_default(),
            commit: self.commit_id.unwrap_or_default(),
            submitted_at: time(self.submitted_at),
            comments,
        }
    }
}

/// A remark on a line.
#[derive(Deserialize)]
pub(super) struct WireRemark {
    id: Option<u64>,
    user: Option<User>,
    path: Option<String>,
    /// The line in the new file; 0 when it is about an old line.
    position: Option<u64>,
    body: Option<String>,
}

impl WireRemark {
    /// In our words.
    pub(super) fn into_remark(self) -> ReviewComment {
        ReviewComment {
            id: self.id.unwrap_or_default(),
            author: author(self.user),
            path: self.path.unwrap_or_default(),
            line: self.position.filter(|line| *line > 0),
            body: self.body.unwrap_or_default(),
        }
    }
}

/// All statuses of a commit, the latest of each context.
#[derive(Deserialize)]
pub(super) struct WireStatuses {
    pub(super) statuses: Option<Vec<WireStatus>>,
}

/// One status of a commit.
#[derive(Deserialize)]
pub(super) struct WireStatus {
    pub(super) id: Option<Number>,
    context: Option<String>,
    /// Gitea's word for it.
    status: Option<String>,
    description: Option<String>,
    target_url: Option<String>,
}

impl WireStatus {
    /// In our words. A state that we do not know is not taken for a success.
    pub(super) fn into_check(self) -> Check {
        let state = match self.status.as_deref() {
            Some("success" | "skipped") => CheckState::Success,
            Some("warning") => CheckState::Warning,
            Some("failure") => CheckState::Failure,
            Some("error") => CheckState::Error,
            _ => CheckState::Pending,
        };
        Check {
            name: self.context.unwrap_or_default(),
            state,
            description: self.description.unwrap_or_default(),
            url: self.target_url.unwrap_or_default(),
        }
    }
}

/// What a user may do, since Gitea 1.16.
#[derive(Deserialize)]
pub(super) struct WirePermission {
    permission: Option<String>,
}

impl WirePermission {
    /// In our words. A level that we do not know is none.
    pub(super) fn into_permission(self) -> Permission {
        match self.permission.as_deref() {
            Some("owner" | "admin") => Permission::Admin,
            Some("write") => Permission::Write,
            Some("read") => Permission::Read,
            _ => Permission::None,
        }
    }
}
