//! Gitea, and Forgejo, which speaks the same API.
//!
//! Each method of [`Forge`] is one or a few calls of `http`; `wire` says how their JSON becomes
//! our types, `failure` which error an answer stands for. Versions from 1.15 on are known.

mod address;
mod changes;
mod checks;
mod closing;
mod failure;
mod http;
mod inspect;
mod lookup;
mod pages;
mod quiet;
mod wire;
mod words;

use std::cmp::Reverse;

use ::http::{Method, StatusCode, header};
use async_trait::async_trait;
use jiff::Timestamp;
use protocol::{
    grant::ForgeAccess,
    ids::{BranchName, IssueNumber, Login, RepoName},
    item::{CiReport, Comment, Issue, Permission, PullRequest, PullState, Review},
    secret::Secret,
};
use serde::de::IgnoredAny;
use serde_json::json;

pub use crate::tls::install_tls;
use crate::{Changed, Forge, ForgeError, NewPullRequest, Repository, tls::RootsError};
use address::{Address, Sha};
pub use http::Bounds;
use http::{Answer, Http, bad_answer};
pub use inspect::{Hook, Rights};
use pages::Pages;
use wire::{
    User, WireComment, WireIssue, WirePermission, WirePull, WireRemark, WireRepository, WireReview,
    WireVersion,
};

/// One Gitea or Forgejo, spoken to with one account's token.
#[derive(Debug)]
pub struct Gitea {
    http: Http,
}

/// Why a forge cannot be spoken to at all; a matter of the configuration.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The URL is of no use.
    #[error("the forge's address cannot be used: {why}")]
    Address {
        /// The rule that it breaks.
        why: &'static str,
    },
    /// The token cannot stand in a header.
    #[error("the forge's token holds characters that no token has")]
    Token,
    /// The certificate authorities cannot be used.
    #[error(transparent)]
    Roots(#[from] RootsError),
    /// The HTTP client cannot be made.
    #[error("cannot set up the connection to the forge")]
    Client {
        /// The cause.
        source: reqwest::Error,
    },
}

impl Gitea {
    /// Prepares to speak to a forge; sends nothing.
    ///
    /// # Errors
    /// When the address, the token or the certificates cannot be used.
    pub fn new(access: &ForgeAccess, token: Secret) -> Result<Self, SetupError> {
        Self::with_bounds(access, token, Bounds::default())
    }

    /// As [`Gitea::new`], with other bounds than the project's.
    ///
    /// # Errors
    /// As for [`Gitea::new`].
    pub fn with_bounds(
        access: &ForgeAccess,
        token: Secret,
        bounds: Bounds,
    ) -> Result<Self, SetupError> {
        install_tls();
        Ok(Self { http: Http::new(access, token, bounds)? })
    }

    /// What the server calls its version, e.g. `1.25.3`, or `13.0.1+gitea-1.22.0` of a Forgejo;
    /// asked without need of any permission.
    ///
    /// # Errors
    /// The forge's; [`ForgeError::BadAnswer`] when what is there is neither of them.
    pub async fn version(&self) -> Result<String, ForgeError> {
        let what = "read the forge's version";
        let told: WireVersion = self.http.get(&Address::of("version"), what).await?;
        Ok(told.version)
    }
}

#[async_trait]
impl Forge for Gitea {
    async fn whoami(&self) -> Result<Login, ForgeError> {
        let what = "read whose token this is";
        let user: User = self.http.get(&Address::of("user"), what).await?;
        user.name().ok_or_else(|| bad_answer(what, "no account name".to_owned()))
    }

    async fn repository(&self, repo: &RepoName) -> Result<Repository, ForgeError> {
        let what = format!("read the repository {repo}");
        let found: WireRepository = self.http.get(&Address::repo(repo), &what).await?;
        if !is_same(&found.full_name.to_string(), repo) {
            return Err(ForgeError::Gone {
                what: format!("{what}, which is {} now", found.full_name),
            });
        }
        Ok(Repository {
            name: found.full_name,
            default_branch: found.default_branch.unwrap_or_default(),
            archived: found.archived.unwrap_or_default(),
            has_issues: found.has_issues.unwrap_or(true),
            has_pull_requests: found.has_pull_requests.unwrap_or(true),
        })
    }

    async fn read_issue(&self, repo: &RepoName, number: IssueNumber) -> Result<Issue, ForgeError> {
        let issue = self.issue(repo, number).await?;
        if issue.is_pull_request() {
            return Err(ForgeError::WrongKind { number, is: "a pull request, not an issue" });
        }
        Ok(issue.into_issue())
    }

    async fn read_pr(
        &self,
        repo: &RepoName,
        number: IssueNumber,
    ) -> Result<PullRequest, ForgeError> {
        let what = format!("read the pull request {repo}#{number}");
        match self.http.get::<WirePull>(&Address::pull(repo, number), &what).await {
            Ok(pull) => Ok(pull.into_pull()),
            Err(error) => Err(self.why_no_pull(repo, number, error).await),
        }
    }

    async fn read_comments(
        &self,
        repo: &RepoName,
        number: IssueNumber,
    ) -> Result<Vec<Comment>, ForgeError> {
        // The whole list comes at once: Gitea knows no pages here, and ignores `page` and `limit`.
        let address = Address::issue(repo, number).word("comments");
        let what = format!("read the comments of {repo}#{number}");
        let comments: Option<Vec<WireComment>> = self.http.get(&address, &what).await?;
        let comments = comments.unwrap_or_default().into_iter().map(WireComment::into_comment);
        let mut comments: Vec<Comment> = comments.collect();
        comments.sort_by_key(|comment| (comment.created_at, comment.id));
        Ok(comments)
    }

    async fn read_comment(&self, repo: &RepoName, id: u64) -> Result<Comment, ForgeError> {
        let address = Address::repo(repo).word("issues").word("comments").number(id);
        let what = format!("read comment {id} of {repo}");
        let answer = self.http.ask(&address, &what).await?;
        if answer.status == StatusCode::NO_CONTENT {
            // What has this id is an entry of the timeline, not a comment.
            return Err(ForgeError::Gone { what });
        }
        self.http.json::<WireComment>(&answer, &what).map(WireComment::into_comment)
    }

    async fn read_reviews(
        &self,
        repo: &RepoName,
        number: IssueNumber,
    ) -> Result<Vec<Review>, ForgeError> {
        let address = Address::pull(repo, number).word("reviews");
        let what = format!("read the reviews of {repo}#{number}");
        let listed =
            Pages::new(&self.http, address, &what, |review: &WireReview| review.id).all().await;
        let listed = match listed {
            Ok(listed) => listed,
            Err(error) => return Err(self.why_no_pull(repo, number, error).await),
        };
        let mut reviews = Vec::new();
        for review in listed.into_iter().filter(WireReview::is_handed_in) {
            let remarks = match review.has_remarks() {
                true => self.remarks(repo, number, review.id).await?,
                false => Vec::new(),
            };
            reviews.push(
                review.into_review(remarks.into_iter().map(WireRemark::into_remark).collect()),
            );
        }
        reviews.sort_by_key(|review| (review.submitted_at, review.id));
        Ok(reviews)
    }

    async fn read_ci(&self, repo: &RepoName, number: IssueNumber) -> Result<CiReport, ForgeError> {
        let what = format!("read the checks of {repo}#{number}");
        let sha = self.read_pr(repo, number).await?.head_sha;
        let commit = Sha::parse(&sha)
            .ok_or_else(|| bad_answer(&what, "the head is no commit".to_owned()))?;
        let address = Address::repo(repo).word("commits").sha(&commit).word("status");
        let checks = checks::read(&self.http, &address, &what).await?;
        Ok(CiReport { sha, state: checks::worst(&checks), checks })
    }

    async fn list_issues(
        &self,
        repo: &RepoName,
        label: Option<&str>,
    ) -> Result<Vec<Issue>, ForgeError> {
        let mut address =
            Address::repo(repo).word("issues").query("state", "open").query("type", "issues");
        // The parameter is a list with commas; a name with one is looked for below only.
        if let Some(label) = label.filter(|label| !label.contains(',')) {
            address = address.query("labels", label);
        }
        let what = format!("list the issues of {repo}");
        let listed = Pages::new(&self.http, address, &what, WireIssue::id).all().await?;
        let issues =
            listed.into_iter().filter(|issue| !issue.is_pull_request()).map(WireIssue::into_issue);
        // Gitea leaves out the filter when the repository has no such label.
        let has_label =
            |issue: &Issue| label.is_none_or(|label| issue.labels.iter().any(|name| name == label));
        let mut issues: Vec<Issue> = issues.filter(has_label).collect();
        issues.sort_by_key(|issue| Reverse((issue.updated_at, issue.number)));
        Ok(issues)
    }

    async fn changed_since(
        &self,
        repo: &RepoName,
        since: Timestamp,
    ) -> Result<Option<Vec<Changed>>, ForgeError> {
        self.changes(repo, since).await
    }

    async fn new_name(&self, repo: &RepoName) -> Result<Option<RepoName>, ForgeError> {
        self.moved_to(repo).await
    }

    async fn post_comment(
        &self,
        repo: &RepoName,
        number: IssueNumber,
        body: &str,
    ) -> Result<Comment, ForgeError> {
        let address = Address::issue(repo, number).word("comments");
        let what = format!("comment on {repo}#{number}");
        match self
            .http
            .write::<WireComment>(Method::POST, &address, &json!({ "body": body }), &what)
            .await
        {
            Ok(comment) => Ok(comment.into_comment()),
            Err(error) => Err(self.why_no_comment(repo, number, error).await),
        }
    }

    async fn edit_comment(
        &self,
        repo: &RepoName,
        number: IssueNumber,
        id: u64,
        body: &str,
    ) -> Result<Comment, ForgeError> {
        let address = Address::repo(repo).word("issues").word("comments").number(id);
        let what = format!("edit comment {id} on {repo}#{number}");
        let comment: WireComment =
            self.http.write(Method::PATCH, &address, &json!({ "body": body }), &what).await?;
        Ok(comment.into_comment())
    }

    async fn update_description(
        &self,
        repo: &RepoName,
        number: IssueNumber,
        body: &str,
    ) -> Result<(), ForgeError> {
        // For pull requests too: they are issues to this call.
        let what = format!("change the description of {repo}#{number}");
        let body = json!({ "body": body });
        let IgnoredAny =
            self.http.write(Method::PATCH, &Address::issue(repo, number), &body, &what).await?;
        Ok(())
    }

    async fn open_pr(
        &self,
        repo: &RepoName,
        pr: &NewPullRequest,
    ) -> Result<PullRequest, ForgeError> {
        let what = format!("open a pull request in {repo} from {} to {}", pr.head, pr.base);
        let body = json!({
            "title": pr.title,
            "body": pr.body,
            "head": pr.head.as_str(),
            "base": pr.base.as_str(),
        });
        let address = Address::repo(repo).word("pulls");
        let pull: WirePull = self.http.write(Method::POST, &address, &body, &what).await?;
        Ok(pull.into_pull())
    }

    async fn pr_by_head(
        &self,
        repo: &RepoName,
        head: &BranchName,
    ) -> Result<Option<PullRequest>, ForgeError> {
        let of_head = |pull: &PullRequest| {
            pull.head_branch == head.as_str()
                && pull.head_repo.as_deref().is_some_and(|name| is_same(name, repo))
        };
        self.find_pull(repo, "open", of_head).await
    }

    async fn get_pr_for_issue(
        &self,
        repo: &RepoName,
        issue: IssueNumber,
    ) -> Result<Option<PullRequest>, ForgeError> {
        let closes = |pull: &PullRequest| closing::closes(&pull.body, issue);
        match self.find_pull(repo, "open", closes).await? {
            Some(open) => Ok(Some(open)),
            None => self.find_pull(repo, "all", closes).await,
        }
    }

    async fn is_pr_open(&self, repo: &RepoName, number: IssueNumber) -> Result<bool, ForgeError> {
        let what = format!("read the pull request {repo}#{number}");
        let answer = self.http.ask(&Address::pull(repo, number), &what).await?;
        if answer.is_missing() {
            return Ok(false);
        }
        let pull: WirePull = self.http.json(&answer, &what)?;
        Ok(pull.into_pull().state == PullState::Open)
    }

    async fn is_org_member(&self, org: &Login, user: &Login) -> Result<bool, ForgeError> {
        let what = format!("look up {user} among the members of {org}");
        let address = Address::of("orgs").login(org).word("members").login(user);
        let answer = self.http.ask(&address, &what).await?;
        match answer.status {
            StatusCode::NO_CONTENT => Ok(true),
            _ if answer.is_missing() => Ok(false),
            // The public members would hide the others.
            _ if leads_to_public_members(&answer) => Err(ForgeError::NoPermission {
                what,
                message: format!(
                    "only members of {org} see all its members; make this account one"
                ),
            }),
            _ => Err(self.http.failure(&answer, &what)),
        }
    }

    async fn permission_of(&self, repo: &RepoName, user: &Login) -> Result<Permission, ForgeError> {
        let what = format!("read what {user} may do in {repo}");
        let address = Address::repo(repo).word("collaborators").login(user).word("permission");
        let answer = self.http.ask(&address, &what).await?;
        if answer.is_missing() {
            return Ok(Permission::None);
        }
        if answer.is_unknown_call() {
            return self.permission_before_1_16(repo, user).await;
        }
        self.http.json::<WirePermission>(&answer, &what).map(WirePermission::into_permission)
    }
}

/// Whether a forge shows the way to an organisation's public members, as Gitea does to those who
/// may not see all of them. Other redirects are not about membership.
fn leads_to_public_members(answer: &Answer) -> bool {
    let location = answer.headers.get(header::LOCATION).and_then(|value| value.to_str().ok());
    answer.status.is_redirection()
        && location.is_some_and(|location| location.contains("/public_members/"))
}

/// Whether a forge's name means this repository; forges do not tell case apart.
fn is_same(name: &str, repo: &RepoName) -> bool {
    name.eq_ignore_ascii_case(&repo.to_string())
}
