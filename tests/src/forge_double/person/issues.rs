//! Issues and comments.

use super::Done;
use crate::forge_double::{
    ForgeDouble, NewIssue, Refusal, RepoPath,
    action::{issue::IssueEdit, label::LabelChange},
    registry::next,
};

impl ForgeDouble {
    /// Opens an issue; gives its number.
    pub async fn create_issue(&self, actor: &str, repo: &str, new: &NewIssue) -> Done<u64> {
        self.forge.create_issue(actor, &repo.parse()?, new)
    }

    /// Puts a label (by name) on an issue or pull request.
    pub async fn label(&self, actor: &str, repo: &str, number: u64, label: &str) -> Done {
        let path: RepoPath = repo.parse()?;
        let id = self.label_id(&path, label)?;
        self.forge.change_labels(actor, &path, number, LabelChange::Add(vec![id.into()]))
    }

    /// Takes a label off.
    pub async fn unlabel(&self, actor: &str, repo: &str, number: u64, label: &str) -> Done {
        let path: RepoPath = repo.parse()?;
        let id = self.label_id(&path, label)?;
        self.forge.change_labels(actor, &path, number, LabelChange::Remove(id))
    }

    /// Assigns one more user.
    pub async fn assign(&self, actor: &str, repo: &str, number: u64, login: &str) -> Done {
        self.change_assignees(actor, repo, number, |logins| {
            if !logins.iter().any(|assigned| assigned == login) {
                logins.push(login.to_owned());
            }
        })
    }

    /// Unassigns a user.
    pub async fn unassign(&self, actor: &str, repo: &str, number: u64, login: &str) -> Done {
        self.change_assignees(actor, repo, number, |logins| {
            logins.retain(|assigned| assigned != login);
        })
    }

    /// Replaces title or body; `None` leaves it.
    pub async fn edit_text(
        &self,
        actor: &str,
        repo: &str,
        number: u64,
        (title, body): (Option<&str>, Option<&str>),
    ) -> Done {
        let (title, body) = (title.map(str::to_owned), body.map(str::to_owned));
        let edit = IssueEdit { title, body, ..IssueEdit::default() };
        self.forge.edit_issue(actor, &repo.parse()?, number, &edit)
    }

    /// Closes an issue or pull request.
    pub async fn close(&self, actor: &str, repo: &str, number: u64) -> Done {
        self.set_state(actor, repo, number, "closed")
    }

    /// Reopens an issue or pull request.
    pub async fn reopen(&self, actor: &str, repo: &str, number: u64) -> Done {
        self.set_state(actor, repo, number, "open")
    }

    /// Removes an issue; from now on it answers 404.
    pub async fn delete_issue(&self, actor: &str, repo: &str, number: u64) -> Done {
        self.forge.delete_issue(actor, &repo.parse()?, number)
    }

    /// Lets only writers comment from now on.
    pub async fn lock(&self, actor: &str, repo: &str, number: u64) -> Done {
        self.forge.lock_issue(actor, &repo.parse()?, number, true)
    }

    /// Comments; gives the comment's id.
    pub async fn comment(&self, actor: &str, repo: &str, number: u64, body: &str) -> Done<u64> {
        self.forge.create_comment(actor, &repo.parse()?, number, body)
    }

    /// Replaces the body of a comment.
    pub async fn edit_comment(&self, actor: &str, repo: &str, id: u64, body: &str) -> Done {
        self.forge.edit_comment(actor, &repo.parse()?, id, body)
    }

    /// Removes a comment.
    pub async fn delete_comment(&self, actor: &str, repo: &str, id: u64) -> Done {
        self.forge.delete_comment(actor, &repo.parse()?, id)
    }

    /// Uses up comment ids, as entries of a timeline do that the double does not make.
    pub fn skip_comment_ids(&self, count: u64) {
        if let Err(refusal) = self.forge.act(|registry| {
            for _ in 0..count {
                next(&mut registry.ids.comment);
            }
            Ok(())
        }) {
            tracing::error!(%refusal, "counting was refused");
        }
    }

    fn set_state(&self, actor: &str, repo: &str, number: u64, state: &str) -> Done {
        let edit = IssueEdit { state: Some(state.to_owned()), ..IssueEdit::default() };
        self.forge.edit_issue(actor, &repo.parse()?, number, &edit)
    }

    fn change_assignees(
        &self,
        actor: &str,
        repo: &str,
        number: u64,
        change: impl FnOnce(&mut Vec<String>),
    ) -> Done {
        let path: RepoPath = repo.parse()?;
        let mut logins = self.forge.read(|registry| -> Done<Vec<String>> {
            Ok(registry.repo(&path)?.issue(number)?.assignees.clone())
        })?;
        change(&mut logins);
        let edit = IssueEdit { assignees: Some(logins), ..IssueEdit::default() };
        self.forge.edit_issue(actor, &path, number, &edit)
    }

    fn label_id(&self, path: &RepoPath, name: &str) -> Done<u64> {
        self.forge.read(|registry| {
            let label = registry.repo(path)?.labels.iter().find(|label| label.name == name);
            Ok(label.ok_or_else(Refusal::not_found)?.id)
        })
    }
}
