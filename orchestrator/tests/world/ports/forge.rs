//! The forge, as the daemon reads it.

use ::forge::{Changed, Forge, ForgeError, NewPullRequest, Repository};
use async_trait::async_trait;
use jiff::Timestamp;
use protocol::{
    ids::{BranchName, IssueNumber, Login, RepoName},
    item::{CiReport, Comment, Issue, IssueState, Permission, PullRequest, PullState, Review},
};

use super::World;
use crate::{
    gate::Cut,
    outside::{State, written_at},
    story,
};

impl From<Cut> for ForgeError {
    fn from(_: Cut) -> Self {
        Self::Server { what: "a call".to_owned(), message: "cut".to_owned() }
    }
}

fn unused<T>(what: &str) -> Result<T, ForgeError> {
    Err(ForgeError::Rejected { what: what.to_owned(), message: "the daemon only reads".to_owned() })
}

#[async_trait]
impl Forge for World {
    async fn whoami(&self) -> Result<Login, ForgeError> {
        Ok(self.ask("whoami", |_| "orchestrator-bot".parse().unwrap())?)
    }

    async fn repository(&self, repo: &RepoName) -> Result<Repository, ForgeError> {
        Ok(self.ask("repository", |_| Repository {
            name: repo.clone(),
            default_branch: "main".to_owned(),
            archived: false,
            has_issues: true,
            has_pull_requests: true,
        })?)
    }

    async fn read_issue(&self, _: &RepoName, number: IssueNumber) -> Result<Issue, ForgeError> {
        if number != story::issue() {
            return Err(ForgeError::WrongKind { number, is: "a pull request, not an issue" });
        }
        Ok(self.ask("read_issue", issue)?)
    }

    async fn read_pr(&self, _: &RepoName, number: IssueNumber) -> Result<PullRequest, ForgeError> {
        if number == story::issue() {
            return Err(ForgeError::WrongKind { number, is: "an issue, not a pull request" });
        }
        self.ask("read_pr", pull)?.ok_or_else(|| ForgeError::Gone { what: "read_pr".to_owned() })
    }

    async fn read_comments(
        &self,
        _: &RepoName,
        number: IssueNumber,
    ) -> Result<Vec<Comment>, ForgeError> {
        let on_pull = number == story::pull();
        Ok(self.ask(
            "read_comments",
            |state| {
                if on_pull { state.comments.clone() } else { vec![] }
            },
        )?)
    }

    async fn read_comment(&self, _: &RepoName, id: u64) -> Result<Comment, ForgeError> {
        let found = self.ask("read_comment", |state| {
            state.comments.iter().find(|comment| comment.id == id).cloned()
        })?;
        found.ok_or_else(|| ForgeError::Gone { what: "read_comment".to_owned() })
    }

    async fn read_reviews(&self, _: &RepoName, _: IssueNumber) -> Result<Vec<Review>, ForgeError> {
        Ok(self.ask("read_reviews", |_| vec![])?)
    }

    async fn read_ci(&self, _: &RepoName, _: IssueNumber) -> Result<CiReport, ForgeError> {
        unused("read_ci")
    }

    async fn list_issues(
        &self,
        _: &RepoName,
        label: Option<&str>,
    ) -> Result<Vec<Issue>, ForgeError> {
        Ok(self.ask("list_issues", |state| {
            let open = !state.merged;
            let wanted = |issue: &Issue| {
                label.is_none_or(|label| issue.labels.iter().any(|known| known == label))
            };
            Some(issue(state)).filter(|issue| open && wanted(issue)).into_iter().collect()
        })?)
    }

    async fn changed_since(
        &self,
        _: &RepoName,
        _: Timestamp,
    ) -> Result<Option<Vec<Changed>>, ForgeError> {
        Ok(self.ask("changed_since", |_| None)?)
    }

    async fn post_comment(
        &self,
        _: &RepoName,
        _: IssueNumber,
        _: &str,
    ) -> Result<Comment, ForgeError> {
        unused("post_comment")
    }

    async fn edit_comment(
        &self,
        _: &RepoName,
        _: IssueNumber,
        _: u64,
        _: &str,
    ) -> Result<Comment, ForgeError> {
        unused("edit_comment")
    }

    async fn update_description(
        &self,
        _: &RepoName,
        _: IssueNumber,
        _: &str,
    ) -> Result<(), ForgeError> {
        unused("update_description")
    }

    async fn open_pr(&self, _: &RepoName, _: &NewPullRequest) -> Result<PullRequest, ForgeError> {
        unused("open_pr")
    }

    async fn pr_by_head(
        &self,
        _: &RepoName,
        head: &BranchName,
    ) -> Result<Option<PullRequest>, ForgeError> {
        let head = head.as_str().to_owned();
        Ok(self.ask("pr_by_head", |state| {
            pull(state).filter(|pull| pull.head_branch == head && !state.merged)
        })?)
    }

    async fn get_pr_for_issue(
        &self,
        _: &RepoName,
        _: IssueNumber,
    ) -> Result<Option<PullRequest>, ForgeError> {
        Ok(self.ask("get_pr_for_issue", pull)?)
    }

    async fn is_pr_open(&self, _: &RepoName, _: IssueNumber) -> Result<bool, ForgeError> {
        Ok(self.ask("is_pr_open", |state| state.branch.is_some() && !state.merged)?)
    }

    async fn is_org_member(&self, _: &Login, _: &Login) -> Result<bool, ForgeError> {
        Ok(self.ask("is_org_member", |_| true)?)
    }

    async fn permission_of(&self, _: &RepoName, _: &Login) -> Result<Permission, ForgeError> {
        Ok(self.ask("permission_of", |_| Permission::Write)?)
    }
}

fn issue(state: &State) -> Issue {
    let asked = |word: &str| if state.asked { vec![word.to_owned()] } else { vec![] };
    Issue {
        number: story::issue(),
        title: "Add a greeting".to_owned(),
        body: story::WISH.to_owned(),
        state: if state.merged { IssueState::Closed } else { IssueState::Open },
        author: "ann".parse().unwrap(),
        labels: asked("bot-bottle:implementer"),
        assignees: asked(story::BOT).iter().map(|login| login.parse().unwrap()).collect(),
        comments: 0,
        created_at: written_at(),
        updated_at: written_at(),
        url: "https://git.example.org/team/project/issues/7".to_owned(),
    }
}

fn pull(state: &State) -> Option<PullRequest> {
    Some(PullRequest {
        number: story::pull(),
        title: "Add a greeting".to_owned(),
        body: String::new(),
        state: if state.merged { PullState::Merged } else { PullState::Open },
        author: story::BOT.parse().unwrap(),
        head_branch: state.branch.clone()?,
        head_repo: Some("team/project".to_owned()),
        head_sha: "a".repeat(40),
        base_branch: "main".to_owned(),
        mergeable: Some(true),
        created_at: written_at(),
        updated_at: written_at(),
        url: "https://git.example.org/team/project/pulls/8".to_owned(),
    })
}
