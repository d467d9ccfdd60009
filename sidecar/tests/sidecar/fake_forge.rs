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
        Ok("bot".parse().unwrap())
    }

    async fn repository(&self, _: &RepoName) -> Result<Repository, ForgeError> {
        Err(gone("repository"))
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
        let state = self.state.lock().unwrap();
        let on = |(on, comment): &(IssueNumber, Comment)| (*on == number).then(|| comment.clone());
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
        self.change(format!("comment #{number}"), |state| state.comment(number, "bot", body)).await
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
        let state = self.state.lock().unwrap();
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
