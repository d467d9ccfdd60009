//! Opening, editing, assigning, closing issues (and what pull requests share with them).

use std::collections::BTreeSet;

use serde::Deserialize;

use crate::forge_double::{
    access::Access,
    answer::Refusal,
    clock::Moment,
    forge::Forge,
    hook::{Aspect, IssueChange},
    issue::{Issue, Pull},
    registry::{Registry, RepoPath, next},
};

/// An issue to open.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct NewIssue {
    /// Required.
    #[serde(default)]
    pub title: String,
    /// May be null.
    #[serde(default)]
    pub body: Option<String>,
    /// Label ids; ignored from those who may not write, as Gitea does.
    #[serde(default)]
    pub labels: Option<Vec<u64>>,
    /// Logins; ignored from those who may not write.
    #[serde(default)]
    pub assignees: Option<Vec<String>>,
}

/// Changes to an issue or pull request; what is `None` stays.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct IssueEdit {
    pub(crate) title: Option<String>,
    pub(crate) body: Option<String>,
    pub(crate) state: Option<String>,
    pub(crate) assignees: Option<Vec<String>>,
    /// Older form of `assignees`.
    pub(crate) assignee: Option<String>,
    /// Label ids; only pull requests take them here.
    pub(crate) labels: Option<Vec<u64>>,
}

impl Forge {
    /// Opens an issue; gives its number. Sends `assigned`, `opened`, `label_updated`, each
    /// already showing all of it.
    ///
    /// # Errors
    /// 404, 423 when archived, 422 for an empty title or an assignee who may not be assigned.
    pub(crate) fn create_issue(
        &self,
        actor: &str,
        path: &RepoPath,
        new: &NewIssue,
    ) -> Result<u64, Refusal> {
        self.act(|registry| {
            registry.repo_to_change(Some(actor), path, Access::Read)?;
            registry.open_issue(actor, path, new, None)
        })
    }

    /// Removes an issue for good; its number is not given again.
    ///
    /// # Errors
    /// 403 or 404.
    pub(crate) fn delete_issue(
        &self,
        actor: &str,
        path: &RepoPath,
        number: u64,
    ) -> Result<(), Refusal> {
        self.act(|registry| {
            registry.repo_for(Some(actor), path, Access::Admin)?;
            let removed = registry.repo_mut(path)?.issues.remove(&number);
            removed.map(|_| ()).ok_or_else(Refusal::not_found)
        })
    }

    /// Edits an issue or pull request. Sends what Gitea sends: `assigned`, `unassigned`,
    /// `edited` for a title, `closed`, `reopened`; nothing for a body.
    ///
    /// # Errors
    /// 403 for others than the author and writers, 404, 412 for the state of a merged one, 422.
    pub(crate) fn edit_issue(
        &self,
        actor: &str,
        path: &RepoPath,
        number: u64,
        edit: &IssueEdit,
    ) -> Result<(), Refusal> {
        self.act(|registry| {
            let repo = registry.repo_for(Some(actor), path, Access::Read)?;
            let issue = repo.issue(number)?;
            let may_write = registry.access(Some(actor), repo) >= Access::Write;
            if !may_write && issue.author != actor {
                return Err(Refusal::Forbidden);
            }
            if edit.state.is_some() && issue.is_merged() {
                let text = "cannot change state of this pull request, it was already merged";
                return Err(Refusal::TooLate(text.to_owned()));
            }
            let change = IssueChange { repo: path, number, sender: actor };
            let single = edit.assignee.as_ref().filter(|login| !login.is_empty());
            let assignees = edit.assignees.clone().or_else(|| single.map(|one| vec![one.clone()]));
            if let Some(assignees) = assignees.filter(|_| may_write) {
                registry.set_assignees(change, assignees)?;
            }
            if let Some(labels) = edit.labels.clone().filter(|_| may_write) {
                registry.set_labels(change, labels.into_iter().collect())?;
            }
            registry.set_text(change, edit)?;
            if let Some(state) = &edit.state {
                registry.set_state(change, state == "closed")?;
            }
            Ok(())
        })
    }
}

impl Registry {
    /// Enters an issue, or with `pull` a pull request, and sends its webhooks.
    ///
    /// # Errors
    /// 404 or 422.
    pub(crate) fn open_issue(
        &mut self,
        actor: &str,
        path: &RepoPath,
        new: &NewIssue,
        pull: Option<Pull>,
    ) -> Result<u64, Refusal> {
        if new.title.trim().is_empty() {
            return Err(Refusal::Unprocessable("Required".to_owned()));
        }
        let repo = self.repo(path)?;
        let may_write = self.access(Some(actor), repo) >= Access::Write;
        let number = repo.last_number + 1;
        let assignees = new.assignees.clone().filter(|_| may_write).unwrap_or_default();
        self.check_assignees(path, &assignees)?;
        let known: BTreeSet<u64> = repo.labels.iter().map(|label| label.id).collect();
        let wanted: BTreeSet<u64> =
            new.labels.iter().filter(|_| may_write).flatten().copied().collect();
        let body = new.body.clone().unwrap_or_default();
        let mut issue = Issue::new(next(&mut self.ids.issue), number, actor, &new.title, &body);
        issue.labels = wanted.intersection(&known).copied().collect();
        issue.assignees = assignees;
        issue.pull = pull;
        let (assigned, labelled) = (issue.assignees.len(), issue.labels.len());
        let repo = self.repo_mut(path)?;
        repo.last_number = number;
        repo.issues.insert(number, issue);
        self.timeline_entries((assigned + labelled) as u64 + self.references(path, &body));
        let change = IssueChange { repo: path, number, sender: actor };
        for _ in 0..assigned {
            self.emit_issue(change, Aspect::Assign, "assigned")?;
        }
        self.emit_issue(change, Aspect::Itself, "opened")?;
        if labelled > 0 {
            self.emit_issue(change, Aspect::Label, "label_updated")?;
        }
        Ok(number)
    }

    /// Closes or reopens; does nothing when it is so already.
    ///
    /// # Errors
    /// 404.
    pub(crate) fn set_state(
        &mut self,
        change: IssueChange<'_>,
        is_closed: bool,
    ) -> Result<(), Refusal> {
        let issue = self.issue_mut(change.repo, change.number)?;
        if issue.closed.is_some() == is_closed {
            return Ok(());
        }
        issue.closed = is_closed.then(Moment::now);
        self.timeline_entries(1);
        self.emit_issue(change, Aspect::Itself, if is_closed { "closed" } else { "reopened" })
    }

    fn set_text(&mut self, change: IssueChange<'_>, edit: &IssueEdit) -> Result<(), Refusal> {
        let issue = self.issue_mut(change.repo, change.number)?;
        if let Some(body) = &edit.body {
            body.clone_into(&mut issue.body);
        }
        let title = edit.title.as_ref().filter(|title| !title.is_empty() && **title != issue.title);
        if let Some(title) = title {
            title.clone_into(&mut issue.title);
            self.timeline_entries(1);
            self.emit_issue(change, Aspect::Itself, "edited")?;
        }
        Ok(())
    }

    fn set_assignees(
        &mut self,
        change: IssueChange<'_>,
        wanted: Vec<String>,
    ) -> Result<(), Refusal> {
        self.check_assignees(change.repo, &wanted)?;
        let before = self.repo(change.repo)?.issue(change.number)?.assignees.clone();
        for gone in before.iter().filter(|login| !wanted.contains(login)) {
            let issue = self.issue_mut(change.repo, change.number)?;
            issue.assignees.retain(|login| login != gone);
            self.timeline_entries(1);
            self.emit_issue(change, Aspect::Assign, "unassigned")?;
        }
        for added in wanted.into_iter().filter(|login| !before.contains(login)) {
            self.issue_mut(change.repo, change.number)?.assignees.push(added);
            self.timeline_entries(1);
            self.emit_issue(change, Aspect::Assign, "assigned")?;
        }
        Ok(())
    }

    /// Gitea assigns only those who may write.
    fn check_assignees(&self, path: &RepoPath, logins: &[String]) -> Result<(), Refusal> {
        let repo = self.repo(path)?;
        for login in logins {
            if !self.users.contains_key(login) {
                let text = format!("Assignee does not exist: [name: {login}]");
                return Err(Refusal::Unprocessable(text));
            }
            if self.access(Some(login), repo) < Access::Write {
                let text = format!("user {login} does not have access to repo {path}");
                return Err(Refusal::Unprocessable(text));
            }
        }
        Ok(())
    }

    /// How many existing issues a text names with `#N`; each gets a timeline entry.
    pub(crate) fn references(&self, path: &RepoPath, text: &str) -> u64 {
        let Some(repo) = self.repos.get(path) else { return 0 };
        let numbers: BTreeSet<u64> = text.split('#').skip(1).filter_map(leading_number).collect();
        numbers.iter().filter(|number| repo.issues.contains_key(number)).count() as u64
    }
}

/// The number a text begins with.
pub(crate) fn leading_number(text: &str) -> Option<u64> {
    let digits: String = text.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}
