//! Comments on issues and pull requests.

use crate::forge_double::{
    access::Access,
    answer::Refusal,
    clock::Moment,
    forge::Forge,
    hook::IssueChange,
    issue::Comment,
    registry::{Registry, RepoPath, next},
};

impl Forge {
    /// Comments; gives the comment's id.
    ///
    /// # Errors
    /// 403 when locked, 404, 422 when empty; for a missing issue 500, as recorded.
    pub(crate) fn create_comment(
        &self,
        actor: &str,
        path: &RepoPath,
        number: u64,
        body: &str,
    ) -> Result<u64, Refusal> {
        if body.is_empty() {
            return Err(Refusal::Unprocessable("Required".to_owned()));
        }
        self.act(|registry| {
            let repo = registry.repo_to_change(Some(actor), path, Access::Read)?;
            let Some(issue) = repo.issues.get(&number) else {
                return Err(Refusal::Internal(format!("issue {number} does not exist")));
            };
            if issue.is_locked && registry.access(Some(actor), repo) < Access::Write {
                return Err(Refusal::ForbiddenSaying("CreateIssueComment".to_owned()));
            }
            let now = Moment::now();
            let comment = Comment {
                id: next(&mut registry.ids.comment),
                author: actor.to_owned(),
                body: body.to_owned(),
                created: now,
                updated: now,
            };
            let id = comment.id;
            let change = IssueChange { repo: path, number, sender: actor };
            // Before it is entered: the payload's issue does not count the new comment yet.
            registry.emit_comment(change, "created", &comment, None)?;
            registry.issue_mut(path, number)?.comments.push(comment);
            let references = registry.references(path, body);
            registry.timeline_entries(references);
            Ok(id)
        })
    }

    /// Replaces a comment's body.
    ///
    /// # Errors
    /// 403 for others than the author and admins, 404, 422 when empty.
    pub(crate) fn edit_comment(
        &self,
        actor: &str,
        path: &RepoPath,
        id: u64,
        body: &str,
    ) -> Result<(), Refusal> {
        if body.is_empty() {
            return Err(Refusal::Unprocessable("Required".to_owned()));
        }
        self.act(|registry| {
            registry.repo_to_change(Some(actor), path, Access::Read)?;
            let number = registry.check_comment_owner(actor, path, id)?;
            let issue = registry.issue_mut(path, number)?;
            let found = issue.comments.iter_mut().find(|comment| comment.id == id);
            let comment = found.ok_or_else(Refusal::not_found)?;
            let was = std::mem::replace(&mut comment.body, body.to_owned());
            comment.updated = Moment::now();
            let comment = comment.clone();
            let change = IssueChange { repo: path, number, sender: actor };
            registry.emit_comment(change, "edited", &comment, Some(&was))
        })
    }

    /// Removes a comment.
    ///
    /// # Errors
    /// 403 for others than the author and admins, 404.
    pub(crate) fn delete_comment(
        &self,
        actor: &str,
        path: &RepoPath,
        id: u64,
    ) -> Result<(), Refusal> {
        self.act(|registry| {
            let number = registry.check_comment_owner(actor, path, id)?;
            let comments = &mut registry.issue_mut(path, number)?.comments;
            let place = comments.iter().position(|comment| comment.id == id);
            let comment = comments.remove(place.ok_or_else(Refusal::not_found)?);
            let change = IssueChange { repo: path, number, sender: actor };
            registry.emit_comment(change, "deleted", &comment, None)
        })
    }

    /// Locks or unlocks the conversation of an issue.
    ///
    /// # Errors
    /// 403 or 404.
    pub(crate) fn lock_issue(
        &self,
        actor: &str,
        path: &RepoPath,
        number: u64,
        is_locked: bool,
    ) -> Result<(), Refusal> {
        self.act(|registry| {
            registry.repo_for(Some(actor), path, Access::Write)?;
            registry.issue_mut(path, number)?.is_locked = is_locked;
            Ok(())
        })
    }
}

impl Registry {
    /// The number of the issue a comment is on.
    ///
    /// # Errors
    /// 404.
    pub(crate) fn number_of_comment(&self, path: &RepoPath, id: u64) -> Result<u64, Refusal> {
        let mut issues = self.repo(path)?.issues.values();
        let found = issues.find(|issue| issue.comments.iter().any(|comment| comment.id == id));
        Ok(found.ok_or_else(Refusal::not_found)?.number)
    }

    fn check_comment_owner(&self, actor: &str, path: &RepoPath, id: u64) -> Result<u64, Refusal> {
        let repo = self.repo_for(Some(actor), path, Access::Read)?;
        let number = self.number_of_comment(path, id)?;
        let mut comments = repo.issue(number)?.comments.iter();
        let is_own = comments.any(|comment| comment.id == id && comment.author == actor);
        if !is_own && self.access(Some(actor), repo) < Access::Admin {
            return Err(Refusal::Forbidden);
        }
        Ok(number)
    }
}
