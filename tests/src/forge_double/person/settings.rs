//! What owners and the site's admin change behind a bot's back.

use super::Done;
use crate::forge_double::{ForgeDouble, Unit, action::settings::RepoEdit};

impl ForgeDouble {
    /// Renames a repository; its old name answers 301. Gives what it is called then.
    pub async fn rename_repo(&self, actor: &str, repo: &str, name: &str) -> Done<String> {
        let edit = RepoEdit { name: Some(name.to_owned()), ..RepoEdit::default() };
        Ok(self.forge.edit_repo(actor, &repo.parse()?, &edit).await?.to_string())
    }

    /// Gives a repository to another user or organisation; its old name answers 301. Gives what it
    /// is called then.
    pub async fn transfer_repo(&self, actor: &str, repo: &str, owner: &str) -> Done<String> {
        Ok(self.forge.transfer_repo(actor, &repo.parse()?, owner).await?.to_string())
    }

    /// Archives a repository, so that what changes it answers 423, or takes it back.
    pub async fn archive_repo(&self, actor: &str, repo: &str, archived: bool) -> Done {
        let edit = RepoEdit { archived: Some(archived), ..RepoEdit::default() };
        self.forge.edit_repo(actor, &repo.parse()?, &edit).await.map(|_| ())
    }

    /// Switches the issues or pull requests of a repository off, so that each answers 404, or on.
    pub async fn switch_unit(&self, actor: &str, repo: &str, unit: Unit, is_on: bool) -> Done {
        let mut edit = RepoEdit::default();
        match unit {
            Unit::Issues => edit.has_issues = Some(is_on),
            Unit::PullRequests => edit.has_pull_requests = Some(is_on),
        }
        self.forge.edit_repo(actor, &repo.parse()?, &edit).await.map(|_| ())
    }

    /// Makes another branch the default one.
    pub async fn set_default_branch(&self, actor: &str, repo: &str, branch: &str) -> Done {
        let edit = RepoEdit { default_branch: Some(branch.to_owned()), ..RepoEdit::default() };
        self.forge.edit_repo(actor, &repo.parse()?, &edit).await.map(|_| ())
    }

    /// Renames a branch, also the default one, and in pull requests.
    pub async fn rename_branch(&self, actor: &str, repo: &str, old: &str, new: &str) -> Done {
        self.forge.rename_branch(actor, &repo.parse()?, (old, new)).await
    }

    /// Removes a webhook.
    pub async fn delete_hook(&self, actor: &str, repo: &str, id: u64) -> Done {
        self.forge.delete_hook(actor, &repo.parse()?, id)
    }

    /// Suspends an account, so that its token answers 403, or lets it in again.
    pub async fn suspend_user(&self, login: &str, suspended: bool) -> Done {
        self.forge.suspend(None, login, suspended)
    }

    /// Renames an account that has no repositories of its own; its token stays.
    pub async fn rename_user(&self, old: &str, new: &str) -> Done {
        self.forge.rename_user(None, (old, new))
    }
}
