//! A forge with the hands tied: one repository, writes to a fixed set of numbers, one branch.
//!
//! The token could do far more; this is where it is held back (TH2). The number is checked before
//! anything is sent, and a pull request is read again before each write to it, because a person may
//! have pointed it elsewhere meanwhile (CASES 46).

use std::{collections::BTreeSet, sync::Arc};

use protocol::{
    grant::Grant,
    ids::{BranchName, IssueNumber, Login, RepoName},
    item::{CiReport, Comment, Issue, Permission, PullRequest, Review},
};

use crate::{Forge, ForgeError, NewPullRequest, Repository};

/// What one bottle may touch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// The one repository.
    pub repo: RepoName,
    /// The assigned issue, if there is one; may be written to.
    pub issue: Option<IssueNumber>,
    /// Pull requests that the bottle opened; may be written to.
    pub pull_requests: BTreeSet<IssueNumber>,
    /// The branch that its pull requests come from.
    pub branch: BranchName,
    /// The branch that they go to.
    pub base: BranchName,
}

impl From<&Grant> for Scope {
    fn from(grant: &Grant) -> Self {
        Self {
            repo: grant.repo.clone(),
            issue: grant.issue,
            pull_requests: grant.pull_requests.iter().copied().collect(),
            branch: grant.branch.clone(),
            base: grant.base.clone(),
        }
    }
}

/// A forge within a [`Scope`] that nobody can change afterwards.
#[derive(Debug, Clone)]
pub struct ScopedForge {
    inner: Arc<dyn Forge>,
    scope: Scope,
}

/// A pull request that was asked to be opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// The one.
    pub pull_request: PullRequest,
    /// It was there already; title and body asked for were not used.
    pub existed: bool,
}

impl ScopedForge {
    /// Ties a forge to a scope.
    pub fn new(inner: Arc<dyn Forge>, scope: Scope) -> Self {
        Self { inner, scope }
    }

    /// What it is tied to.
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// The numbers that may be written to.
    pub fn writable(&self) -> BTreeSet<IssueNumber> {
        self.scope.pull_requests.iter().copied().chain(self.scope.issue).collect()
    }

    /// The same with one pull request more: the one that [`ScopedForge::open_pr`] gave. It is read
    /// again before each write, so that a number of something else gains nothing.
    #[must_use]
    pub fn with_writable(&self, pull_request: IssueNumber) -> Self {
        let mut scope = self.scope.clone();
        scope.pull_requests.insert(pull_request);
        Self { inner: Arc::clone(&self.inner), scope }
    }

    /// Adds a comment.
    ///
    /// # Errors
    /// [`ForgeError::OutOfScope`] without anything sent, or the forge's.
    pub async fn post_comment(
        &self,
        number: IssueNumber,
        body: &str,
    ) -> Result<Comment, ForgeError> {
        self.check(number).await?;
        self.inner.post_comment(&self.scope.repo, number, body).await
    }

    /// Replaces the text of a comment. The caller knows that this bottle wrote `id` on `number`: an
    /// author's name proves nothing where bottles share an account (CASES 47).
    ///
    /// # Errors
    /// As for [`ScopedForge::post_comment`].
    pub async fn edit_comment(
        &self,
        number: IssueNumber,
        id: u64,
        body: &str,
    ) -> Result<Comment, ForgeError> {
        self.check(number).await?;
        self.inner.edit_comment(&self.scope.repo, number, id, body).await
    }

    /// Replaces the description of the issue or a pull request.
    ///
    /// # Errors
    /// As for [`ScopedForge::post_comment`].
    pub async fn update_description(
        &self,
        number: IssueNumber,
        body: &str,
    ) -> Result<(), ForgeError> {
        self.check(number).await?;
        self.inner.update_description(&self.scope.repo, number, body).await
    }

    /// Opens the bottle's pull request, or finds the open one: asking twice, or again after a crash
    /// or a lost answer, opens one (CASES 48). Nothing is sent twice.
    ///
    /// # Errors
    /// [`ForgeError::Conflict`] when somebody else opened one from this branch; else the forge's.
    pub async fn open_pr(&self, title: &str, body: &str) -> Result<Opened, ForgeError> {
        if let Some(found) = self.own_pr().await? {
            return Ok(Opened { pull_request: found, existed: true });
        }
        let pr = NewPullRequest {
            title: title.to_owned(),
            body: body.to_owned(),
            head: self.scope.branch.clone(),
            base: self.scope.base.clone(),
        };
        match self.inner.open_pr(&self.scope.repo, &pr).await {
            Ok(pull_request) => Ok(Opened { pull_request, existed: false }),
            Err(error @ ForgeError::Conflict { .. }) => self.found_after(error, true).await,
            // The answer was lost or unreadable; the change may have been made.
            Err(error @ (ForgeError::Server { .. } | ForgeError::BadAnswer { .. })) => {
                self.found_after(error, false).await
            }
            Err(error) => Err(error),
        }
    }

    /// Looks whether the pull request is there in spite of an error; else tells of the error.
    async fn found_after(&self, error: ForgeError, existed: bool) -> Result<Opened, ForgeError> {
        match self.own_pr().await {
            Ok(Some(pull_request)) => Ok(Opened { pull_request, existed }),
            Err(foreign @ ForgeError::Conflict { .. }) => Err(foreign),
            Ok(None) | Err(_) => Err(error),
        }
    }

    /// The open pull request from this bottle's branch, if this account opened it.
    async fn own_pr(&self) -> Result<Option<PullRequest>, ForgeError> {
        let Some(found) = self.inner.pr_by_head(&self.scope.repo, &self.scope.branch).await? else {
            return Ok(None);
        };
        let account = self.inner.whoami().await?;
        if found.author.as_str().eq_ignore_ascii_case(account.as_str()) {
            return Ok(Some(found));
        }
        Err(ForgeError::Conflict {
            what: format!("open a pull request from {}", self.scope.branch),
            message: format!("{} opened #{} from it", found.author, found.number),
        })
    }

    /// Refuses a number outside the scope, and a pull request that is no longer of this branch.
    async fn check(&self, number: IssueNumber) -> Result<(), ForgeError> {
        if self.scope.issue == Some(number) {
            return Ok(());
        }
        let writable = self.writable();
        if !writable.contains(&number) {
            return Err(ForgeError::OutOfScope {
                number,
                writable: writable.into_iter().collect(),
            });
        }
        let pull = self.inner.read_pr(&self.scope.repo, number).await?;
        if self.is_own_head(&pull) {
            return Ok(());
        }
        let writable = writable.into_iter().filter(|other| *other != number).collect();
        Err(ForgeError::OutOfScope { number, writable })
    }

    /// A head whose repository the forge does not tell is not ours.
    fn is_own_head(&self, pull: &PullRequest) -> bool {
        let repo = self.scope.repo.to_string();
        let same_repo =
            pull.head_repo.as_deref().is_some_and(|name| name.eq_ignore_ascii_case(&repo));
        same_repo && pull.head_branch == self.scope.branch.as_str()
    }
}

/// Reads, anywhere in the repository; see [`Forge`] for each. Errors are the forge's.
impl ScopedForge {
    /// The account that the credential belongs to.
    pub async fn whoami(&self) -> Result<Login, ForgeError> {
        self.inner.whoami().await
    }

    /// The repository.
    pub async fn repository(&self) -> Result<Repository, ForgeError> {
        self.inner.repository(&self.scope.repo).await
    }

    /// An issue.
    pub async fn read_issue(&self, number: IssueNumber) -> Result<Issue, ForgeError> {
        self.inner.read_issue(&self.scope.repo, number).await
    }

    /// A pull request.
    pub async fn read_pr(&self, number: IssueNumber) -> Result<PullRequest, ForgeError> {
        self.inner.read_pr(&self.scope.repo, number).await
    }

    /// All comments, oldest first.
    pub async fn read_comments(&self, number: IssueNumber) -> Result<Vec<Comment>, ForgeError> {
        self.inner.read_comments(&self.scope.repo, number).await
    }

    /// One comment.
    pub async fn read_comment(&self, id: u64) -> Result<Comment, ForgeError> {
        self.inner.read_comment(&self.scope.repo, id).await
    }

    /// The reviews of a pull request.
    pub async fn read_reviews(&self, number: IssueNumber) -> Result<Vec<Review>, ForgeError> {
        self.inner.read_reviews(&self.scope.repo, number).await
    }

    /// The checks of a pull request's head.
    pub async fn read_ci(&self, number: IssueNumber) -> Result<CiReport, ForgeError> {
        self.inner.read_ci(&self.scope.repo, number).await
    }

    /// Open issues that carry a label.
    pub async fn list_issues(&self, label: Option<&str>) -> Result<Vec<Issue>, ForgeError> {
        self.inner.list_issues(&self.scope.repo, label).await
    }

    /// The open pull request from a branch of the repository.
    pub async fn pr_by_head(&self, head: &BranchName) -> Result<Option<PullRequest>, ForgeError> {
        self.inner.pr_by_head(&self.scope.repo, head).await
    }

    /// The newest pull request that closes an issue.
    pub async fn get_pr_for_issue(
        &self,
        issue: IssueNumber,
    ) -> Result<Option<PullRequest>, ForgeError> {
        self.inner.get_pr_for_issue(&self.scope.repo, issue).await
    }

    /// Whether a pull request is there and open.
    pub async fn is_pr_open(&self, number: IssueNumber) -> Result<bool, ForgeError> {
        self.inner.is_pr_open(&self.scope.repo, number).await
    }

    /// What a user may do in the repository.
    pub async fn permission_of(&self, user: &Login) -> Result<Permission, ForgeError> {
        self.inner.permission_of(&self.scope.repo, user).await
    }
}
