//! What takes more than one question to find out.

use http::StatusCode;
use protocol::{
    ids::{IssueNumber, Login, RepoName},
    item::{Permission, PullRequest},
};

use super::{
    Gitea,
    address::Address,
    pages::Pages,
    wire::{WireIssue, WirePull, WireRemark},
};
use crate::ForgeError;

impl Gitea {
    /// What stands under a number, seen as an issue.
    pub(super) async fn issue(
        &self,
        repo: &RepoName,
        number: IssueNumber,
    ) -> Result<WireIssue, ForgeError> {
        self.http.get(&Address::issue(repo, number), &format!("read {repo}#{number}")).await
    }

    /// What a missing pull request is: an issue, or not there.
    pub(super) async fn why_no_pull(
        &self,
        repo: &RepoName,
        number: IssueNumber,
        gone: ForgeError,
    ) -> ForgeError {
        if !matches!(gone, ForgeError::Gone { .. }) {
            return gone;
        }
        match self.issue(repo, number).await {
            Ok(issue) if !issue.is_pull_request() => {
                ForgeError::WrongKind { number, is: "an issue, not a pull request" }
            }
            Ok(_) | Err(_) => gone,
        }
    }

    /// Why a comment could not be added: Gitea answers 500 where the issue does not exist.
    pub(super) async fn why_no_comment(
        &self,
        repo: &RepoName,
        number: IssueNumber,
        error: ForgeError,
    ) -> ForgeError {
        if !matches!(error, ForgeError::Server { .. }) {
            return error;
        }
        match self.issue(repo, number).await {
            Err(gone @ ForgeError::Gone { .. }) => gone,
            Ok(_) | Err(_) => error,
        }
    }

    /// The newest pull request of a state that fits. Gitea lists the newest first, so reading ends
    /// with the first page that has one.
    pub(super) async fn find_pull(
        &self,
        repo: &RepoName,
        state: &'static str,
        fits: impl Fn(&PullRequest) -> bool + Send + Sync,
    ) -> Result<Option<PullRequest>, ForgeError> {
        let address = Address::repo(repo).word("pulls").query("state", state);
        let what = format!("list the pull requests of {repo}");
        let mut pages = Pages::new(&self.http, address, &what, WirePull::id);
        loop {
            let page = pages.next().await?;
            if page.is_empty() {
                return Ok(None);
            }
            let pulls = page.into_iter().map(WirePull::into_pull).filter(&fits);
            if let Some(found) = pulls.max_by_key(|pull| pull.number) {
                return Ok(Some(found));
            }
        }
    }

    /// What Gitea before 1.16 can tell: the owner may do all, a collaborator is taken to be one who
    /// may write (their level is not told), and teams of an organisation are not seen.
    pub(super) async fn permission_before_1_16(
        &self,
        repo: &RepoName,
        user: &Login,
    ) -> Result<Permission, ForgeError> {
        if repo.owner().as_str().eq_ignore_ascii_case(user.as_str()) {
            return Ok(Permission::Admin);
        }
        let what = format!("look up {user} among the collaborators of {repo}");
        let address = Address::repo(repo).word("collaborators").login(user);
        let answer = self.http.ask(&address, &what).await?;
        match answer.status {
            StatusCode::NO_CONTENT => Ok(Permission::Write),
            _ if answer.is_missing() => Ok(Permission::None),
            _ => Err(self.http.failure(&answer, &what)),
        }
    }

    /// The remarks of one review.
    pub(super) async fn remarks(
        &self,
        repo: &RepoName,
        number: IssueNumber,
        review: u64,
    ) -> Result<Vec<WireRemark>, ForgeError> {
        let address = Address::pull(repo, number).word("reviews").number(review).word("comments");
        let what = format!("read review {review} of {repo}#{number}");
        let remarks: Option<_> = self.http.get(&address, &what).await?;
        Ok(remarks.unwrap_or_default())
    }
}
