//! A forge with the hands tied: one repository, writes to a fixed set of numbers, one branch.
//!
//! The token could do far more; this is where it is held back (TH2). The number is checked before
//! anything is sent, and a pull request is read again before each write to it, because a person may
//! have pointed it elsewhere meanwhile (CASES 46).

use std::{collections::BTreeSet, sync::Arc};

use protocol::{
    grant::Grant,
    ids::{BranchName, IssueNumber, Login, RepoName},
    item::{CiReport, Comment, Issue, Permission, PullRequest, PullState, Review},
};

use crate::{
    Forge, ForgeError, NewPullRequest, Repository,
    again::{self, Patience},
};

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
    patience: Patience,
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
        Self { inner, scope, patience: Patience::default() }
    }

    /// The same with another patience for answers that get lost.
    #[must_use]
    pub fn with_patience(self, patience: Patience) -> Self {
        Self { patience, ..self }
    }

    /// Its patience for answers that get lost.
    pub fn patience(&self) -> Patience {
        self.patience
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
        Self { scope, ..self.clone() }
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
    /// or a lost answer, opens one (CASES 48, 149). Where the base is gone, the repository's default
    /// branch of now takes its place (CASES 201). What people have closed or merged is not opened
    /// anew: that they decided may not have reached the agent yet.
    ///
    /// # Errors
    /// [`ForgeError::Conflict`] when somebody else opened one from this branch, or ours was closed,
    /// [`ForgeError::Rejected`] when there is nothing to propose; else the forge's.
    pub async fn open_pr(&self, title: &str, body: &str) -> Result<Opened, ForgeError> {
        if let Some(found) = self.own_pr().await? {
            return Ok(Opened { pull_request: found, existed: true });
        }
        self.check_undecided().await?;
        let mut pr = NewPullRequest {
            title: title.to_owned(),
            body: body.to_owned(),
            head: self.scope.branch.clone(),
            base: self.scope.base.clone(),
        };
        let gone = match self.make_pr(&pr).await {
            Err(gone @ ForgeError::Gone { .. }) => gone,
            settled => return settled,
        };
        // A branch is missing, or the repository.
        let default = self.repository().await?.default_branch.parse::<BranchName>();
        match default {
            Ok(default) if default != pr.base => pr.base = default,
            Ok(_) | Err(_) => return Err(self.nothing_to_propose(gone)),
        }
        match self.make_pr(&pr).await {
            Err(gone @ ForgeError::Gone { .. }) => Err(self.nothing_to_propose(gone)),
            settled => settled,
        }
    }

    /// Opens a pull request that was not found before, once.
    async fn make_pr(&self, pr: &NewPullRequest) -> Result<Opened, ForgeError> {
        let fresh = |pull_request| Opened { pull_request, existed: false };
        let found = |pull_request| Opened { pull_request, existed: true };
        let make = || async move { self.inner.open_pr(&self.scope.repo, pr).await.map(fresh) };
        let look = || async move { Ok(self.own_pr().await?.map(fresh)) };
        match again::once(self.patience, make, look).await {
            Err(exists @ ForgeError::Conflict { .. }) => {
                let seen = again::find(self.patience, || self.own_pr()).await;
                match seen.map(found) {
                    Some(opened) => Ok(opened),
                    // Whose it is says more than that there is one.
                    None => Err(self.own_pr().await.err().unwrap_or(exists)),
                }
            }
            // Some forges say so of one that is there (CASES 187).
            Err(refused @ ForgeError::Rejected { .. }) => match self.own_pr().await {
                Ok(Some(there)) => Ok(found(there)),
                Ok(None) | Err(_) => Err(self.nothing_to_propose(refused)),
            },
            settled => settled,
        }
    }

    /// Says so, if that is what an error means: a missing branch, or one without a change.
    fn nothing_to_propose(&self, error: ForgeError) -> ForgeError {
        const SIGNS: [&str; 3] = ["no changes", "no commits", "nothing to"];
        let is_empty = match &error {
            ForgeError::Gone { .. } => true,
            ForgeError::Rejected { message, .. } => {
                let message = message.to_ascii_lowercase();
                SIGNS.iter().any(|sign| message.contains(sign))
            }
            _ => false,
        };
        if !is_empty {
            return error;
        }
        let branch = &self.scope.branch;
        let message = format!("nothing to propose: push a commit to {branch} first");
        ForgeError::Rejected { what: format!("open a pull request from {branch}"), message }
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

    /// Refuses when a pull request of this bottle's is there and not open any more.
    async fn check_undecided(&self) -> Result<(), ForgeError> {
        for number in &self.scope.pull_requests {
            let is = match self.read_pr(*number).await {
                Ok(pull) if !self.is_own_head(&pull) => continue,
                Ok(pull) => pull.state,
                Err(ForgeError::Gone { .. } | ForgeError::WrongKind { .. }) => continue,
                Err(error) => return Err(error),
            };
            let decision = match is {
                PullState::Open => continue,
                PullState::Closed => "closed",
                PullState::Merged => "merged",
            };
            return Err(ForgeError::Conflict {
                what: format!("open a pull request from {}", self.scope.branch),
                message: format!("#{number} was {decision}"),
            });
        }
        Ok(())
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
        let pull = self.read_opened_pr(number).await?;
        if self.is_own_head(&pull) {
            return Ok(());
        }
        let writable = writable.into_iter().filter(|other| *other != number).collect();
        Err(ForgeError::OutOfScope { number, writable })
    }

    /// Reads a pull request that was opened before. A replica may not know it yet (CASES 195), so
    /// it is looked for again before it counts as gone.
    async fn read_opened_pr(&self, number: IssueNumber) -> Result<PullRequest, ForgeError> {
        let gone = match self.read_pr(number).await {
            Err(gone @ ForgeError::Gone { .. }) => gone,
            settled => return settled,
        };
        let look = || async move {
            match self.read_pr(number).await {
                Err(ForgeError::Gone { .. }) => Ok(None),
                settled => settled.map(Some),
            }
        };
        again::find(self.patience, look).await.ok_or(gone)
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
