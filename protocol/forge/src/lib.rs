//! Forges: what may be asked of one, who may ask it, and how it is spoken to.
//!
//! [`Forge`] is the port. `gitea` implements it over HTTP. [`ScopedForge`] wraps any of them and
//! lets writes through only to a set of numbers that is fixed when it is made; the sidecar holds
//! nothing else; `again` makes a change once although answers get lost. `webhook` turns a verified
//! delivery into a hint of what to look at; `tls` says whom connections to a forge believe.
//!
//! The way of a call: typed ids, a URL made of encoded segments, one bounded request, one bounded
//! answer, JSON of that forge, our types of [`protocol::item`].
//!
//! The crate refuses to follow a redirect to another host, to read an unbounded answer, to repeat a
//! write whose fate is unknown before it looked for it, and to print a token.

pub mod again;
pub mod error;
pub mod gitea;
pub mod scoped;
pub mod tls;
pub mod webhook;

use async_trait::async_trait;
use jiff::Timestamp;
use protocol::{
    ids::{BranchName, IssueNumber, Login, RepoName},
    item::{CiReport, Comment, Issue, Permission, PullRequest, Review},
};

pub use error::ForgeError;
pub use scoped::{Opened, Scope, ScopedForge};

/// One repository's home. Every method is one question or one change at the forge as it is now;
/// nothing is cached. Errors are told apart by what the caller can do about them.
#[async_trait]
pub trait Forge: Send + Sync + std::fmt::Debug {
    /// The account that the credential belongs to.
    async fn whoami(&self) -> Result<Login, ForgeError>;

    /// The repository itself. A rename is not followed: [`ForgeError::Gone`] when the forge gives
    /// the repository under its new name, [`ForgeError::BadAnswer`] when it redirects to it.
    async fn repository(&self, repo: &RepoName) -> Result<Repository, ForgeError>;

    /// An issue. [`ForgeError::WrongKind`] when the number is a pull request's.
    async fn read_issue(&self, repo: &RepoName, number: IssueNumber) -> Result<Issue, ForgeError>;

    /// A pull request. [`ForgeError::WrongKind`] when the number is an issue's.
    async fn read_pr(
        &self,
        repo: &RepoName,
        number: IssueNumber,
    ) -> Result<PullRequest, ForgeError>;

    /// All comments of an issue or pull request, oldest first.
    async fn read_comments(
        &self,
        repo: &RepoName,
        number: IssueNumber,
    ) -> Result<Vec<Comment>, ForgeError>;

    /// One comment by its id.
    async fn read_comment(&self, repo: &RepoName, id: u64) -> Result<Comment, ForgeError>;

    /// The reviews of a pull request with their line remarks, oldest first, pending ones left out.
    async fn read_reviews(
        &self,
        repo: &RepoName,
        number: IssueNumber,
    ) -> Result<Vec<Review>, ForgeError>;

    /// The checks of a pull request's head.
    async fn read_ci(&self, repo: &RepoName, number: IssueNumber) -> Result<CiReport, ForgeError>;

    /// Open issues (not pull requests) that carry a label, newest change first.
    async fn list_issues(
        &self,
        repo: &RepoName,
        label: Option<&str>,
    ) -> Result<Vec<Issue>, ForgeError>;

    /// Issues and pull requests, open or closed, that changed at or after a moment of the forge's
    /// clock. `None` when the forge cannot tell, or there are more than are read of a list.
    async fn changed_since(
        &self,
        repo: &RepoName,
        since: Timestamp,
    ) -> Result<Option<Vec<Changed>>, ForgeError> {
        let _unsupported = (repo, since);
        Ok(None)
    }

    /// The name that a repository has now, when the forge itself says that it is another one. One
    /// redirect is followed, on the forge itself.
    async fn new_name(&self, repo: &RepoName) -> Result<Option<RepoName>, ForgeError> {
        let _unsupported = repo;
        Ok(None)
    }

    /// Adds a comment.
    async fn post_comment(
        &self,
        repo: &RepoName,
        number: IssueNumber,
        body: &str,
    ) -> Result<Comment, ForgeError>;

    /// Replaces the text of a comment on `number`. The caller answers for `id` being on `number`.
    async fn edit_comment(
        &self,
        repo: &RepoName,
        number: IssueNumber,
        id: u64,
        body: &str,
    ) -> Result<Comment, ForgeError>;

    /// Replaces the description of an issue or pull request.
    async fn update_description(
        &self,
        repo: &RepoName,
        number: IssueNumber,
        body: &str,
    ) -> Result<(), ForgeError>;

    /// Opens a pull request within the repository.
    async fn open_pr(
        &self,
        repo: &RepoName,
        pr: &NewPullRequest,
    ) -> Result<PullRequest, ForgeError>;

    /// The open pull request whose head is this branch of the same repository, if there is one.
    async fn pr_by_head(
        &self,
        repo: &RepoName,
        head: &BranchName,
    ) -> Result<Option<PullRequest>, ForgeError>;

    /// The newest pull request that says in its body that it closes the issue, if there is one.
    async fn get_pr_for_issue(
        &self,
        repo: &RepoName,
        issue: IssueNumber,
    ) -> Result<Option<PullRequest>, ForgeError>;

    /// Whether a pull request exists and is open. `false` for a missing one only when the forge
    /// itself says that it is missing.
    async fn is_pr_open(&self, repo: &RepoName, number: IssueNumber) -> Result<bool, ForgeError>;

    /// Whether a user is a member of an organisation, as far as this credential may see. `false`
    /// only when the forge itself says so.
    async fn is_org_member(&self, org: &Login, user: &Login) -> Result<bool, ForgeError>;

    /// What a user may do in the repository now. Unknown users have [`Permission::None`].
    async fn permission_of(&self, repo: &RepoName, user: &Login) -> Result<Permission, ForgeError>;
}

/// A repository as far as we need it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repository {
    /// Its name now.
    pub name: RepoName,
    /// The branch that issues are worked on from, as a plain text of the forge.
    pub default_branch: String,
    /// Nothing can be written to it.
    pub archived: bool,
    /// Its issues are to be seen. Switched off, each is answered as if it were gone.
    pub has_issues: bool,
    /// Its pull requests are to be seen, likewise.
    pub has_pull_requests: bool,
}

/// An issue or pull request that has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changed {
    /// Its number.
    pub number: IssueNumber,
    /// It is a pull request.
    pub is_pull_request: bool,
    /// When, by the forge's clock.
    pub updated_at: Timestamp,
    /// Names of its labels, sorted.
    pub labels: Vec<String>,
}

/// What a pull request is opened with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewPullRequest {
    /// One line.
    pub title: String,
    /// Markdown.
    pub body: String,
    /// The branch that is proposed.
    pub head: BranchName,
    /// Where it is to go.
    pub base: BranchName,
}
