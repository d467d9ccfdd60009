//! A forge that answers at once: every issue is there, asks for its bottle, and has one comment.

use async_trait::async_trait;
use forge::{Forge, ForgeError, NewPullRequest, Repository};
use jiff::Timestamp;
use protocol::{
    ids::{BranchName, IssueNumber, Login, RepoName},
    item::{CiReport, Comment, Issue, IssueState, Permission, PullRequest, Review},
};

/// See the module.
#[derive(Debug, Clone)]
pub(crate) struct InstantForge {
    daemon: Login,
    bot: Login,
}

impl InstantForge {
    pub(crate) fn new() -> Result<Self, crate::Fault> {
        Ok(Self { daemon: "bottle-daemon".parse()?, bot: "implementer-bot".parse()? })
    }

    fn issue(&self, number: IssueNumber) -> Issue {
        Issue {
            number,
            title: "Add a greeting".to_owned(),
            body: "Please add `hello.txt`, saying hello to whoever reads it.\n".repeat(8),
            state: IssueState::Open,
            author: self.daemon.clone(),
            labels: vec!["bot-bottle:implementer".to_owned()],
            assignees: vec![self.bot.clone()],
            comments: 0,
            created_at: Timestamp::UNIX_EPOCH,
            updated_at: Timestamp::UNIX_EPOCH,
            url: format!("http://127.0.0.1:9/alice/widget/issues/{number}"),
        }
    }
}

/// Writes are not measured.
fn unwritable<T>() -> Result<T, ForgeError> {
    Err(ForgeError::NoPermission {
        what: "write".to_owned(),
        message: "this forge is only read".to_owned(),
    })
}

fn gone<T>(what: &str) -> Result<T, ForgeError> {
    Err(ForgeError::Gone { what: what.to_owned() })
}

#[async_trait]
impl Forge for InstantForge {
    async fn whoami(&self) -> Result<Login, ForgeError> {
        Ok(self.daemon.clone())
    }

    async fn repository(&self, repo: &RepoName) -> Result<Repository, ForgeError> {
        Ok(Repository {
            name: repo.clone(),
            default_branch: "main".to_owned(),
            archived: false,
            has_issues: true,
            has_pull_requests: true,
        })
    }

    async fn read_issue(&self, _: &RepoName, number: IssueNumber) -> Result<Issue, ForgeError> {
        Ok(self.issue(number))
    }

    async fn read_pr(&self, _: &RepoName, _: IssueNumber) -> Result<PullRequest, ForgeError> {
        gone("a pull request")
    }

    async fn read_comments(
        &self,
        _: &RepoName,
        _: IssueNumber,
    ) -> Result<Vec<Comment>, ForgeError> {
        Ok(vec![])
    }

    async fn read_comment(&self, _: &RepoName, _: u64) -> Result<Comment, ForgeError> {
        gone("a comment")
    }

    async fn read_reviews(&self, _: &RepoName, _: IssueNumber) -> Result<Vec<Review>, ForgeError> {
        Ok(vec![])
    }

    async fn read_ci(&self, _: &RepoName, _: IssueNumber) -> Result<CiReport, ForgeError> {
        gone("checks")
    }

    async fn list_issues(&self, _: &RepoName, _: Option<&str>) -> Result<Vec<Issue>, ForgeError> {
        Ok(vec![])
    }

    async fn post_comment(
        &self,
        _: &RepoName,
        _: IssueNumber,
        _: &str,
    ) -> Result<Comment, ForgeError> {
        unwritable()
    }

    async fn edit_comment(
        &self,
        _: &RepoName,
        _: IssueNumber,
        _: u64,
        _: &str,
    ) -> Result<Comment, ForgeError> {
        unwritable()
    }

    async fn update_description(
        &self,
        _: &RepoName,
        _: IssueNumber,
        _: &str,
    ) -> Result<(), ForgeError> {
        unwritable()
    }

    async fn open_pr(&self, _: &RepoName, _: &NewPullRequest) -> Result<PullRequest, ForgeError> {
        unwritable()
    }

    async fn pr_by_head(
        &self,
        _: &RepoName,
        _: &BranchName,
    ) -> Result<Option<PullRequest>, ForgeError> {
        Ok(None)
    }

    async fn get_pr_for_issue(
        &self,
        _: &RepoName,
        _: IssueNumber,
    ) -> Result<Option<PullRequest>, ForgeError> {
        Ok(None)
    }

    async fn is_pr_open(&self, _: &RepoName, _: IssueNumber) -> Result<bool, ForgeError> {
        Ok(false)
    }

    async fn is_org_member(&self, _: &Login, _: &Login) -> Result<bool, ForgeError> {
        Ok(true)
    }

    async fn permission_of(&self, _: &RepoName, _: &Login) -> Result<Permission, ForgeError> {
        Ok(Permission::Write)
    }
}
