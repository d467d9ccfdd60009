//! What the double knows: accounts, repositories, issues and pull requests.
//!
//! One owner (`Forge`) keeps it behind a mutex that is never held over an await.
//! Commits and branches are not here; they live in real git repositories.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    str::FromStr,
};

use super::{
    access::Access, action::push::Push, answer::Refusal, clock::Moment, delivery::Outgoing,
    issue::Issue,
};

/// `owner/name` of a repository.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RepoPath {
    /// The user or organisation it belongs to.
    pub owner: String,
    /// Its name, without `.git`.
    pub name: String,
}

impl RepoPath {
    /// Joins two path segments; the name may carry the `.git` of a clone URL.
    pub(crate) fn new(owner: &str, name: &str) -> Self {
        let name = name.strip_suffix(".git").unwrap_or(name);
        Self { owner: owner.to_owned(), name: name.to_owned() }
    }
}

impl fmt::Display for RepoPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.owner, self.name)
    }
}

impl FromStr for RepoPath {
    type Err = Refusal;

    /// Reads `owner/name`.
    ///
    /// # Errors
    /// `Refusal::Unprocessable` when there is no slash.
    fn from_str(text: &str) -> Result<Self, Refusal> {
        let Some((owner, name)) = text.split_once('/') else {
            return Err(Refusal::Unprocessable(format!("{text:?} is not owner/name")));
        };
        Ok(Self::new(owner, name))
    }
}

/// A person or bot account.
#[derive(Debug, Clone)]
pub(crate) struct User {
    pub(crate) id: u64,
    pub(crate) login: String,
    pub(crate) email: String,
    pub(crate) token: String,
    pub(crate) is_site_admin: bool,
    /// Opens no doors but the one to a new token.
    pub(crate) password: String,
    /// May not sign in any more, with a token neither.
    pub(crate) is_suspended: bool,
    pub(crate) created: Moment,
}

/// A team of an organisation.
#[derive(Debug, Clone)]
pub(crate) struct Team {
    pub(crate) id: u64,
    pub(crate) name: String,
    /// `None` marks the owners' team, which Gitea calls `owner`.
    pub(crate) access: Option<Access>,
    pub(crate) members: BTreeSet<String>,
}

/// An organisation; its first team owns it.
#[derive(Debug, Clone)]
pub(crate) struct Org {
    pub(crate) id: u64,
    pub(crate) name: String,
    pub(crate) teams: Vec<Team>,
    pub(crate) created: Moment,
}

impl Org {
    /// Whether the user is in any team.
    pub(crate) fn has_member(&self, login: &str) -> bool {
        self.teams.iter().any(|team| team.members.contains(login))
    }

    /// The best access any of the user's teams gives.
    pub(crate) fn access_of(&self, login: &str) -> Access {
        self.teams
            .iter()
            .filter(|team| team.members.contains(login))
            .map(|team| team.access.unwrap_or(Access::Admin))
            .max()
            .unwrap_or(Access::None)
    }
}

/// A label of one repository.
#[derive(Debug, Clone)]
pub(crate) struct Label {
    pub(crate) id: u64,
    pub(crate) name: String,
    pub(crate) color: String,
    pub(crate) description: String,
}

/// A commit status (what CI reports).
#[derive(Debug, Clone)]
pub(crate) struct CommitStatus {
    pub(crate) id: u64,
    pub(crate) sha: String,
    pub(crate) state: String,
    pub(crate) context: String,
    pub(crate) description: String,
    pub(crate) target_url: String,
    pub(crate) creator: String,
    pub(crate) created: Moment,
}

/// A webhook of one repository.
#[derive(Debug, Clone)]
pub(crate) struct Hook {
    pub(crate) id: u64,
    pub(crate) url: String,
    pub(crate) secret: String,
    pub(crate) is_active: bool,
    /// Subscriptions as Gitea lists them after widening, see `hook::subscriptions`.
    pub(crate) events: Vec<&'static str>,
    pub(crate) created: Moment,
}

/// A part of a repository that its owner can switch off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unit {
    /// Its issues.
    Issues,
    /// Its pull requests.
    PullRequests,
}

/// A repository and all that hangs on it.
#[derive(Debug, Clone)]
pub(crate) struct Repo {
    pub(crate) id: u64,
    pub(crate) path: RepoPath,
    pub(crate) is_private: bool,
    pub(crate) is_archived: bool,
    /// What is switched off: it answers as if nothing of it were there.
    pub(crate) units_off: BTreeSet<Unit>,
    pub(crate) default_branch: String,
    pub(crate) collaborators: BTreeMap<String, Access>,
    pub(crate) labels: Vec<Label>,
    /// Issues and pull requests share one number sequence.
    pub(crate) issues: BTreeMap<u64, Issue>,
    /// The last number given; a number is not given twice, even after a deletion.
    pub(crate) last_number: u64,
    pub(crate) statuses: Vec<CommitStatus>,
    pub(crate) hooks: Vec<Hook>,
    pub(crate) created: Moment,
    pub(crate) updated: Moment,
}

impl Repo {
    /// The issue or pull request with this number.
    ///
    /// # Errors
    /// 404 as Gitea answers it.
    pub(crate) fn issue(&self, number: u64) -> Result<&Issue, Refusal> {
        let issue = self.issues.get(&number).filter(|issue| self.shows(issue));
        issue.ok_or_else(Refusal::not_found)
    }

    /// Whether the unit of an issue or pull request is on.
    pub(crate) fn shows(&self, issue: &Issue) -> bool {
        let unit = if issue.pull.is_some() { Unit::PullRequests } else { Unit::Issues };
        !self.units_off.contains(&unit)
    }
}

/// The id sequences Gitea keeps per table.
#[derive(Debug, Default)]
pub(crate) struct Sequences {
    pub(crate) account: u64,
    pub(crate) team: u64,
    pub(crate) repo: u64,
    pub(crate) issue: u64,
    pub(crate) pull: u64,
    pub(crate) label: u64,
    pub(crate) status: u64,
    pub(crate) hook: u64,
    pub(crate) review: u64,
    /// Comments, review comments and the timeline's own entries share this one.
    pub(crate) comment: u64,
}

/// Takes the next id of a sequence.
pub(crate) fn next(sequence: &mut u64) -> u64 {
    *sequence += 1;
    *sequence
}

/// Everything the double remembers.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    pub(crate) base_url: String,
    pub(crate) users: BTreeMap<String, User>,
    pub(crate) orgs: BTreeMap<String, Org>,
    pub(crate) repos: BTreeMap<RepoPath, Repo>,
    /// Old names of repositories that were renamed or transferred, with their ids.
    pub(crate) moved: BTreeMap<RepoPath, u64>,
    pub(crate) ids: Sequences,
    pub(crate) pushes: Vec<Push>,
    /// Webhooks of the change under way, in order; `Forge::act` sends them.
    pub(crate) outbox: Vec<Outgoing>,
}

impl Registry {
    /// The account.
    ///
    /// # Errors
    /// Gitea's 404 for a missing user.
    pub(crate) fn user(&self, login: &str) -> Result<&User, Refusal> {
        self.users.get(login).ok_or_else(|| Refusal::no_user(login))
    }

    /// The account, to change it.
    ///
    /// # Errors
    /// As `user`.
    pub(crate) fn user_mut(&mut self, login: &str) -> Result<&mut User, Refusal> {
        self.users.get_mut(login).ok_or_else(|| Refusal::no_user(login))
    }

    /// The repository, whoever asks.
    ///
    /// # Errors
    /// 404.
    pub(crate) fn repo(&self, path: &RepoPath) -> Result<&Repo, Refusal> {
        self.repos.get(path).ok_or_else(Refusal::not_found)
    }

    /// The repository, to change it.
    ///
    /// # Errors
    /// 404.
    pub(crate) fn repo_mut(&mut self, path: &RepoPath) -> Result<&mut Repo, Refusal> {
        self.repos.get_mut(path).ok_or_else(Refusal::not_found)
    }

    /// An issue or pull request, to change it; marks it updated now.
    ///
    /// # Errors
    /// 404.
    pub(crate) fn issue_mut(
        &mut self,
        path: &RepoPath,
        number: u64,
    ) -> Result<&mut Issue, Refusal> {
        let repo = self.repo_mut(path)?;
        let issue = repo.issues.get_mut(&number).ok_or_else(Refusal::not_found)?;
        issue.updated = Moment::now();
        Ok(issue)
    }

    /// Uses up ids of the comment sequence, as Gitea's timeline entries (label, assign,
    /// close, reference, push) do. Keeps comment ids comparable with recordings.
    pub(crate) fn timeline_entries(&mut self, count: u64) {
        self.ids.comment += count;
    }
}
