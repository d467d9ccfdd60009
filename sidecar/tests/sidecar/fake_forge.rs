//! A forge in memory that writes down what changes it, and fails when told to.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use forge::{Forge, ForgeError, NewPullRequest, Repository};
use jiff::Timestamp;
use protocol::{
    grant::ForgeAccess,
    ids::{BranchName, IssueNumber, Login, RepoName},
    item::{CiReport, Comment, Issue, IssueState, Permission, PullRequest, PullState, Review},
    secret::Secret,
};
use sidecar::phase::Forges;
use tokio::sync::Semaphore;

/// What becomes of the next change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// 500, and not done.
    ServerBefore,
    /// 500, but done.
    ServerAfter,
    /// 401.
    BadToken,
    /// 423 of an archived repository.
    Archived,
    /// 422 of somebody who thinks it is spam.
    Spam,
    /// Waits until [`Fake::go_on`] has a permit, then is done.
    Wait,
}

#[derive(Debug)]
pub(crate) struct Fake {
    state: Mutex<State>,
    pub(crate) go_on: Semaphore,
    pub(crate) is_waiting: tokio::sync::Notify,
}

#[derive(Debug, Default)]
struct State {
    comments: Vec<(IssueNumber, Comment)>,
    pulls: BTreeMap<IssueNumber, PullRequest>,
    descriptions: BTreeMap<IssueNumber, String>,
    changes: Vec<String>,
    faults: VecDeque<Fault>,
    tokens: Vec<String>,
    looks: VecDeque<Look>,
    mangle: Option<fn(&str) -> String>,
    account: Option<String>,
    default_branch: Option<String>,
}

/// What a look for something that was just written gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Look {
    /// Nothing of what is there: a replica lags behind.
    Stale,
    /// 500.
    Fails,
}

pub(crate) fn number(number: u64) -> IssueNumber {
    IssueNumber::try_from(number).unwrap()
}

impl Default for Fake {
    fn default() -> Self {
        Self {
            state: Mutex::default(),
            go_on: Semaphore::new(0),
            is_waiting: tokio::sync::Notify::new(),
        }
    }
}

impl Fake {
    /// What was changed, e.g. `comment #17`.
    pub(crate) fn changes(&self) -> Vec<String> {
        self.state.lock().unwrap().changes.clone()
    }

    pub(crate) fn fail_next(&self, faults: impl IntoIterator<Item = Fault>) {
        self.state.lock().unwrap().faults.extend(faults);
    }

    /// What becomes of the next lists of comments and pull requests.
    pub(crate) fn look_next(&self, looks: impl IntoIterator<Item = Look>) {
        self.state.lock().unwrap().looks.extend(looks);
    }

    /// How texts of comments are changed from now on when they are read.
    pub(crate) fn mangle(&self, how: fn(&str) -> String) {
        self.state.lock().unwrap().mangle = Some(how);
    }

    /// Gives the account another name, here and in what it wrote.
    pub(crate) fn rename_account(&self, name: &str) {
        let mut state = self.state.lock().unwrap();
        state.account = Some(name.to_owned());
        for (_, comment) in state.comments.iter_mut().filter(|(_, c)| c.author.as_str() == "bot") {
            comment.author = name.parse().unwrap();
        }
    }

    /// Renames `main`; what is opened towards it is not found any more.
    pub(crate) fn rename_default_branch(&self, name: &str) {
        self.state.lock().unwrap().default_branch = Some(name.to_owned());
    }

    pub(crate) fn comments(&self) -> Vec<Comment> {
        self.state.lock().unwrap().comments.iter().map(|(_, comment)| comment.clone()).collect()
    }

    /// Somebody's comment.
    pub(crate) fn add_comment(&self, on: u64, author: &str, body: &str) {
        self.state.lock().unwrap().comment(number(on), author, body);
    }

    pub(crate) fn remove_comments(&self) {
        self.state.lock().unwrap().comments.clear();
    }

    /// Points a pull request to another branch, as a person may.
    pub(crate) fn repoint(&self, pull: u64, branch: &str) {
        let mut state = self.state.lock().unwrap();
        state.pulls.get_mut(&number(pull)).unwrap().head_branch = branch.to_owned();
    }

    pub(crate) fn tokens(&self) -> Vec<String> {
        self.state.lock().unwrap().tokens.clone()
    }

    async fn change<T>(
        &self,
        name: String,
        make: impl FnOnce(&mut State) -> T,
    ) -> Result<T, ForgeError> {
        let fault = self.state.lock().unwrap().faults.pop_front();
        let server = || ForgeError::Server { what: name.clone(), message: "status 500".to_owned() };
        match fault {
            Some(Fault::ServerBefore) => return Err(server()),
            Some(Fault::BadToken) => return Err(ForgeError::BadToken { what: name }),
            Some(Fault::Archived) => {
                let message = "Repo is archived (status 423)".to_owned();
                return Err(ForgeError::NoPermission { what: name, message });
            }
            Some(Fault::Spam) => {
                let message = "too many mentions (status 422)".to_owned();
                return Err(ForgeError::Rejected { what: name, message });
            }
            Some(Fault::Wait) => {
                self.is_waiting.notify_one();
                self.go_on.acquire().await.unwrap().forget();
            }
            Some(Fault::ServerAfter) | None => {}
        }
        let mut state = self.state.lock().unwrap();
        state.changes.push(name.clone());
        let made = make(&mut state);
        if fault == Some(Fault::ServerAfter) { Err(server()) } else { Ok(made) }
    }
}

impl State {
    fn account(&self) -> String {
        self.account.clone().unwrap_or_else(|| "bot".to_owned())
    }

    /// Whether a look sees what is there.
    fn look(&mut self) -> Result<bool, ForgeError> {
        match self.looks.pop_front() {
            None => Ok(true),
            Some(Look::Stale) => Ok(false),
            Some(Look::Fails) => Err(ForgeError::Server {
                what: "look".to_owned(),
                message: "status 500".to_owned(),
            }),
        }
    }

    fn comment(&mut self, on: IssueNumber, author: &str, body: &str) -> Comment {
        let id = 1000 + self.comments.len() as u64;
        let now = Timestamp::UNIX_EPOCH;
        let url = format!("http://forge/{on}#{id}");
        let author = author.parse().unwrap();
        let comment =
            Comment { id, author, body: body.to_owned(), created_at: now, updated_at: now, url };
        self.comments.push((on, comment.clone()));
        comment
    }
}

fn pull(number: IssueNumber, repo: &RepoName, pr: &NewPullRequest) -> PullRequest {
    PullRequest {
        number,
        title: pr.title.clone(),
        body: pr.body.clone(),
        state: PullState::Open,
        author: "bot".parse().unwrap(),
        head_branch: pr.head.to_string(),
        head_repo: Some(repo.to_string()),
        head_sha: "a".repeat(40),
        base_branch: pr.base.to_string(),
        mergeable: None,
        created_at: Timestamp::UNIX_EPOCH,
        updated_at: Timestamp::UNIX_EPOCH,
        url: format!("http://forge/{number}"),
    }
}

fn gone(what: &str) -> ForgeError {
    ForgeError::Gone { what: what.to_owned() }
}

#[async_trait]
impl Forge for Fake {
    async fn whoami(&self) -> Result<Login, ForgeError> {
        Ok(self.state.lock().unwrap().account().parse().unwrap())
    }

    async fn repository(&self, repo: &RepoName) -> Result<Repository, ForgeError> {
        let default = self.state.lock().unwrap().default_branch.clone();
        let default_branch = default.unwrap_or_else(|| "main".to_owned());
        Ok(Repository {
            name: repo.clone(),
            default_branch,
            archived: false,
            has_issues: true,
            has_pull_requests: true,
        })
    }

    async fn read_issue(&self, _: &RepoName, number: IssueNumber) -> Result<Issue, ForgeError> {
        let state = self.state.lock().unwrap();
        if state.pulls.contains_key(&number) {
            return Err(ForgeError::WrongKind { number, is: "a pull request, not an issue" });
        }
        if number.get() > 600 {
            return Err(gone(&format!("read issue #{number}")));
        }
        Ok(Issue {
            number,
            title: "A title".to_owned(),
            body: state.descriptions.get(&number).cloned().unwrap_or_default(),
            state: IssueState::Open,
            author: "alice".parse().unwrap(),
            labels: vec![],
            assignees: vec![],
            comments: 0,
            created_at: Timestamp::UNIX_EPOCH,
            updated_at: Timestamp::UNIX_EPOCH,
            url: format!("http://forge/{number}"),
        })
    }

    async fn read_pr(&self, _: &RepoName, number: IssueNumber) -> Result<PullRequest, ForgeError> {
        self.state
            .lock()
            .unwrap()
            .pulls
            .get(&number)
            .cloned()
            .ok_or_else(|| gone("read pull request"))
    }

    async fn read_comments(
        &self,
        _: &RepoName,
        number: IssueNumber,
    ) -> Result<Vec<Comment>, ForgeError> {
        let mut state = self.state.lock().unwrap();
        if !state.look()? {
            return Ok(vec![]);
        }
        let mangle = state.mangle.unwrap_or(str::to_owned);
        let on = |(on, comment): &(IssueNumber, Comment)| {
            (*on == number).then(|| Comment { body: mangle(&comment.body), ..comment.clone() })
        };
        Ok(state.comments.iter().filter_map(on).collect())
    }

    async fn read_comment(&self, _: &RepoName, _: u64) -> Result<Comment, ForgeError> {
        Err(gone("read comment"))
    }

    async fn read_reviews(&self, _: &RepoName, _: IssueNumber) -> Result<Vec<Review>, ForgeError> {
        Ok(vec![])
    }

    async fn read_ci(&self, _: &RepoName, _: IssueNumber) -> Result<CiReport, ForgeError> {
        Ok(CiReport { sha: "a".repeat(40), state: None, checks: vec![] })
    }

    async fn list_issues(&self, _: &RepoName, _: Option<&str>) -> Result<Vec<Issue>, ForgeError> {
        Ok(vec![])
    }

    async fn post_comment(
        &self,
        _: &RepoName,
        number: IssueNumber,
        body: &str,
    ) -> Result<Comment, ForgeError> {
        self.change(format!("comment #{number}"), |state| {
            let account = state.account();
            state.comment(number, &account, body)
        })
        .await
    }

    async fn edit_comment(
        &self,
        _: &RepoName,
        number: IssueNumber,
        id: u64,
        body: &str,
    ) -> Result<Comment, ForgeError> {
        if !self.comments().iter().any(|comment| comment.id == id) {
            return Err(gone("edit comment"));
        }
        self.change(format!("edit #{number}"), |state| {
            let (_, comment) =
                state.comments.iter_mut().find(|(_, comment)| comment.id == id).unwrap();
            body.clone_into(&mut comment.body);
            comment.clone()
        })
        .await
    }

    async fn update_description(
        &self,
        _: &RepoName,
        number: IssueNumber,
        body: &str,
    ) -> Result<(), ForgeError> {
        self.change(format!("description #{number}"), |state| {
            state.descriptions.insert(number, body.to_owned());
        })
        .await
    }

    async fn open_pr(
        &self,
        repo: &RepoName,
        pr: &NewPullRequest,
    ) -> Result<PullRequest, ForgeError> {
        let (default, exists) = {
            let state = self.state.lock().unwrap();
            let exists = state.pulls.values().any(|pull| pull.head_branch == pr.head.as_str());
            (state.default_branch.clone(), exists)
        };
        if default.is_some_and(|default| default != pr.base.as_str()) {
            return Err(gone("open a pull request"));
        }
        if exists {
            let message = "pull request already exists for these targets".to_owned();
            return Err(ForgeError::Conflict { what: "open".to_owned(), message });
        }
        self.change("open pull request".to_owned(), |state| {
            let number = number(18 + state.pulls.len() as u64);
            let made = pull(number, repo, pr);
            state.pulls.insert(number, made.clone());
            made
        })
        .await
    }

    async fn pr_by_head(
        &self,
        _: &RepoName,
        head: &BranchName,
    ) -> Result<Option<PullRequest>, ForgeError> {
        let mut state = self.state.lock().unwrap();
        // Before anything was opened there is nothing to be late with.
        if !state.pulls.is_empty() && !state.look()? {
            return Ok(None);
        }
        Ok(state.pulls.values().find(|pull| pull.head_branch == head.as_str()).cloned())
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
        Ok(false)
    }

    async fn permission_of(&self, _: &RepoName, _: &Login) -> Result<Permission, ForgeError> {
        Ok(Permission::None)
    }
}

/// Gives out one fake, whoever asks.
#[derive(Debug, Clone)]
pub(crate) struct Fakes(pub(crate) Arc<Fake>);

impl Forges for Fakes {
    fn open(&self, _: &ForgeAccess, token: Secret) -> Result<Arc<dyn Forge>, String> {
        self.0.state.lock().unwrap().tokens.push(token.expose().to_owned());
        Ok(Arc::<Fake>::clone(&self.0))
    }
}
