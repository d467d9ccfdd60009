//! A forge in memory that records each call and can get into trouble.

use std::sync::Mutex;

use async_trait::async_trait;
use forge::{Forge, ForgeError, NewPullRequest, Repository};
use jiff::Timestamp;
use protocol::{
    ids::{BranchName, IssueNumber, Login, RepoName},
    item::{CiReport, Comment, Issue, Permission, PullRequest, PullState, Review},
};

/// The branch of the bottle under test.
pub(crate) const BRANCH: &str = "bot-bottle/implementer-k3v9q";

/// What happens to the next pull request that is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Trouble {
    #[default]
    Nothing,
    OpensButAnswers500,
    OpensButAnswersNonsense,
    SomebodyWasFaster,
    Answers500,
    Forbids,
    /// `main` was renamed to `trunk`.
    BaseRenamed,
    /// No such branch, whatever the base.
    NoBranch,
    /// The branch is the base.
    NoChanges,
    /// As GitHub says that it exists already.
    SaysItExists,
}

#[derive(Debug, Default)]
pub(crate) struct Fake {
    pulls: Mutex<Vec<PullRequest>>,
    calls: Mutex<Vec<String>>,
    written: Mutex<Vec<IssueNumber>>,
    repos: Mutex<Vec<String>>,
    trouble: Trouble,
    finds_nothing: bool,
    /// Looks by head that do not find yet what was opened.
    lag: Mutex<usize>,
}

/// A pull request of this number, author and head.
pub(crate) fn pull(number: u64, author: &str, branch: &str, repo: Option<&str>) -> PullRequest {
    PullRequest {
        number: number.try_into().unwrap(),
        title: String::new(),
        body: String::new(),
        state: PullState::Open,
        author: author.parse().unwrap(),
        head_branch: branch.to_owned(),
        head_repo: repo.map(str::to_owned),
        head_sha: String::new(),
        base_branch: "main".to_owned(),
        mergeable: None,
        created_at: Timestamp::UNIX_EPOCH,
        updated_at: Timestamp::UNIX_EPOCH,
        url: String::new(),
    }
}

impl Fake {
    pub(crate) fn with(pulls: Vec<PullRequest>) -> Self {
        Self { pulls: Mutex::new(pulls), ..Self::default() }
    }

    pub(crate) fn in_trouble(self, trouble: Trouble) -> Self {
        Self { trouble, ..self }
    }

    /// Its look-up by head never finds one.
    pub(crate) fn without_finding(self) -> Self {
        Self { finds_nothing: true, ..self }
    }

    /// A replica that lags behind by so many looks, once something was opened.
    pub(crate) fn lagging(self, looks: usize) -> Self {
        Self { lag: Mutex::new(looks), ..self }
    }

    pub(crate) fn calls(&self) -> Vec<String> {
        self.calls.lock().unwrap().clone()
    }

    /// The numbers that were written to.
    pub(crate) fn written(&self) -> Vec<IssueNumber> {
        self.written.lock().unwrap().clone()
    }

    /// The repositories of all calls.
    pub(crate) fn repos(&self) -> Vec<String> {
        self.repos.lock().unwrap().clone()
    }

    pub(crate) fn repoint(&self, number: IssueNumber, branch: &str) {
        for pull in self.pulls.lock().unwrap().iter_mut().filter(|pull| pull.number == number) {
            branch.clone_into(&mut pull.head_branch);
        }
    }

    fn note(&self, repo: &RepoName, call: String) {
        self.repos.lock().unwrap().push(repo.to_string());
        self.calls.lock().unwrap().push(call);
    }

    fn write(&self, repo: &RepoName, call: &str, number: IssueNumber) {
        self.note(repo, format!("{call} #{number}"));
        self.written.lock().unwrap().push(number);
    }

    fn add(&self, pr: &NewPullRequest) -> PullRequest {
        let mut pulls = self.pulls.lock().unwrap();
        let new = pull(100 + pulls.len() as u64, "bot", pr.head.as_str(), Some("alice/widget"));
        pulls.push(new.clone());
        new
    }
}

fn comment(body: &str) -> Comment {
    Comment {
        id: 5,
        author: "bot".parse().unwrap(),
        body: body.to_owned(),
        created_at: Timestamp::UNIX_EPOCH,
        updated_at: Timestamp::UNIX_EPOCH,
        url: String::new(),
    }
}

fn failure(make: fn(String, String) -> ForgeError) -> ForgeError {
    make("open".to_owned(), "trouble".to_owned())
}

#[async_trait]
impl Forge for Fake {
    async fn whoami(&self) -> Result<Login, ForgeError> {
        Ok("Bot".parse().unwrap())
    }

    async fn repository(&self, repo: &RepoName) -> Result<Repository, ForgeError> {
        let renamed = self.trouble == Trouble::BaseRenamed;
        let default_branch = if renamed { "trunk" } else { "main" }.to_owned();
        Ok(Repository {
            name: repo.clone(),
            default_branch,
            archived: false,
            has_issues: true,
            has_pull_requests: true,
        })
    }

    async fn read_issue(&self, _: &RepoName, _: IssueNumber) -> Result<Issue, ForgeError> {
        unimplemented!("not asked for by these tests")
    }

    async fn read_pr(
        &self,
        repo: &RepoName,
        number: IssueNumber,
    ) -> Result<PullRequest, ForgeError> {
        self.note(repo, format!("read_pr #{number}"));
        let late = self.lag.lock().unwrap().checked_sub(1);
        if let Some(left) = late {
            *self.lag.lock().unwrap() = left;
            return Err(ForgeError::Gone { what: format!("read #{number}") });
        }
        let found = self.pulls.lock().unwrap().iter().find(|pull| pull.number == number).cloned();
        found.ok_or_else(|| ForgeError::Gone { what: format!("read #{number}") })
    }

    async fn read_comments(
        &self,
        _: &RepoName,
        _: IssueNumber,
    ) -> Result<Vec<Comment>, ForgeError> {
        unimplemented!("not asked for by these tests")
    }

    async fn read_comment(&self, _: &RepoName, _: u64) -> Result<Comment, ForgeError> {
        unimplemented!("not asked for by these tests")
    }

    async fn read_reviews(&self, _: &RepoName, _: IssueNumber) -> Result<Vec<Review>, ForgeError> {
        unimplemented!("not asked for by these tests")
    }

    async fn read_ci(&self, _: &RepoName, _: IssueNumber) -> Result<CiReport, ForgeError> {
        unimplemented!("not asked for by these tests")
    }

    async fn list_issues(&self, _: &RepoName, _: Option<&str>) -> Result<Vec<Issue>, ForgeError> {
        unimplemented!("not asked for by these tests")
    }

    async fn post_comment(
        &self,
        repo: &RepoName,
        number: IssueNumber,
        body: &str,
    ) -> Result<Comment, ForgeError> {
        self.write(repo, "post_comment", number);
        Ok(comment(body))
    }

    async fn edit_comment(
        &self,
        repo: &RepoName,
        number: IssueNumber,
        _: u64,
        body: &str,
    ) -> Result<Comment, ForgeError> {
        self.write(repo, "edit_comment", number);
        Ok(comment(body))
    }

    async fn update_description(
        &self,
        repo: &RepoName,
        number: IssueNumber,
        _: &str,
    ) -> Result<(), ForgeError> {
        self.write(repo, "update_description", number);
        Ok(())
    }

    async fn open_pr(
        &self,
        repo: &RepoName,
        pr: &NewPullRequest,
    ) -> Result<PullRequest, ForgeError> {
        self.note(repo, format!("open_pr {} {} {}", pr.head, pr.base, pr.title));
        let unknown = |what, message| ForgeError::Server { what, message };
        match self.trouble {
            Trouble::Nothing => Ok(self.add(pr)),
            Trouble::OpensButAnswers500 => {
                self.add(pr);
                Err(failure(unknown))
            }
            Trouble::OpensButAnswersNonsense => {
                self.add(pr);
                Err(failure(|what, message| ForgeError::BadAnswer { what, message }))
            }
            Trouble::SomebodyWasFaster => {
                self.add(pr);
                Err(failure(|what, message| ForgeError::Conflict { what, message }))
            }
            Trouble::Answers500 => Err(failure(unknown)),
            Trouble::BaseRenamed if pr.base.as_str() == "trunk" => Ok(self.add(pr)),
            Trouble::BaseRenamed | Trouble::NoBranch => {
                Err(ForgeError::Gone { what: "open".to_owned() })
            }
            Trouble::NoChanges => Err(ForgeError::Rejected {
                what: "open".to_owned(),
                message: "There are no changes between the head and the base".to_owned(),
            }),
            Trouble::SaysItExists => {
                self.add(pr);
                Err(failure(|what, message| ForgeError::Rejected { what, message }))
            }
            Trouble::Forbids => {
                Err(failure(|what, message| ForgeError::NoPermission { what, message }))
            }
        }
    }

    async fn pr_by_head(
        &self,
        repo: &RepoName,
        head: &BranchName,
    ) -> Result<Option<PullRequest>, ForgeError> {
        self.note(repo, format!("pr_by_head {head}"));
        let pulls = self.pulls.lock().unwrap();
        let mut lag = self.lag.lock().unwrap();
        if *lag > 0 && !pulls.is_empty() {
            *lag -= 1;
            return Ok(None);
        }
        let is_it = |pull: &&PullRequest| {
            pull.head_branch == head.as_str()
                && pull.state == PullState::Open
                && !self.finds_nothing
        };
        let found = pulls.iter().find(is_it);
        Ok(found.cloned())
    }

    async fn get_pr_for_issue(
        &self,
        _: &RepoName,
        _: IssueNumber,
    ) -> Result<Option<PullRequest>, ForgeError> {
        unimplemented!("not asked for by these tests")
    }

    async fn is_pr_open(&self, _: &RepoName, _: IssueNumber) -> Result<bool, ForgeError> {
        unimplemented!("not asked for by these tests")
    }

    async fn is_org_member(&self, _: &Login, _: &Login) -> Result<bool, ForgeError> {
        unimplemented!("not asked for by these tests")
    }

    async fn permission_of(&self, _: &RepoName, _: &Login) -> Result<Permission, ForgeError> {
        unimplemented!("not asked for by these tests")
    }
}
