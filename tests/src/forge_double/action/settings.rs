//! What owners change about a repository: its name, its owner, its branches, whether it is archived.

use serde::Deserialize;

use super::account::check_name;
use crate::forge_double::{
    access::Access,
    answer::Refusal,
    forge::Forge,
    registry::{Registry, Repo, RepoPath, Unit},
};

/// Changes to a repository; what is `None` stays.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct RepoEdit {
    pub(crate) name: Option<String>,
    pub(crate) private: Option<bool>,
    pub(crate) archived: Option<bool>,
    pub(crate) default_branch: Option<String>,
    pub(crate) has_issues: Option<bool>,
    pub(crate) has_pull_requests: Option<bool>,
}

impl Forge {
    /// Changes a repository; gives what it is called then.
    ///
    /// # Errors
    /// 403, 404, 422 for an impossible or taken name, or a branch that is not there.
    pub(crate) async fn edit_repo(
        &self,
        actor: &str,
        path: &RepoPath,
        edit: &RepoEdit,
    ) -> Result<RepoPath, Refusal> {
        self.read(|registry| registry.repo_for(Some(actor), path, Access::Admin).map(|_| ()))?;
        if let Some(branch) = &edit.default_branch {
            if self.git.branch(path, branch).await.is_none() {
                return Err(Refusal::Unprocessable(format!("branch {branch} does not exist")));
            }
            self.git.set_head(path, branch).await?;
        }
        let now = match edit.name.as_ref().filter(|name| **name != path.name) {
            Some(name) => self.move_repo(path, RepoPath::new(&path.owner, name)).await?,
            None => path.clone(),
        };
        self.act(|registry| {
            let repo = registry.repo_mut(&now)?;
            repo.is_private = edit.private.unwrap_or(repo.is_private);
            repo.is_archived = edit.archived.unwrap_or(repo.is_archived);
            let units =
                [(Unit::Issues, edit.has_issues), (Unit::PullRequests, edit.has_pull_requests)];
            for (unit, is_on) in units {
                match is_on {
                    Some(true) => {
                        repo.units_off.remove(&unit);
                    }
                    Some(false) => {
                        repo.units_off.insert(unit);
                    }
                    None => {}
                }
            }
            if let Some(branch) = &edit.default_branch {
                branch.clone_into(&mut repo.default_branch);
            }
            Ok(())
        })?;
        Ok(now)
    }

    /// Gives a repository to another account at once; gives what it is called then. Gitea asks an
    /// account that is not the actor's first; the double does not.
    ///
    /// # Errors
    /// 403, 404, 422 when the account has one of that name.
    pub(crate) async fn transfer_repo(
        &self,
        actor: &str,
        path: &RepoPath,
        owner: &str,
    ) -> Result<RepoPath, Refusal> {
        self.read(|registry| {
            registry.repo_for(Some(actor), path, Access::Admin)?;
            let is_known = registry.users.contains_key(owner) || registry.orgs.contains_key(owner);
            is_known.then_some(()).ok_or_else(Refusal::not_found)
        })?;
        self.move_repo(path, RepoPath::new(owner, &path.name)).await
    }

    /// Renames a branch, also where pull requests and the default branch name it.
    ///
    /// # Errors
    /// 403, 404, 422 when there is one of that name.
    pub(crate) async fn rename_branch(
        &self,
        actor: &str,
        path: &RepoPath,
        (old, new): (&str, &str),
    ) -> Result<(), Refusal> {
        self.read(|registry| {
            registry.repo_to_change(Some(actor), path, Access::Write).map(|_| ())
        })?;
        self.git.branch(path, old).await.ok_or_else(Refusal::not_found)?;
        if self.git.branch(path, new).await.is_some() {
            return Err(Refusal::Unprocessable("branch already exists".to_owned()));
        }
        self.git.ask(path, &["branch", "-m", "--end-of-options", old, new]).await?;
        self.act(|registry| {
            let repo = registry.repo_mut(path)?;
            rename_in(repo, old, new);
            Ok(())
        })
    }

    /// Removes a webhook.
    ///
    /// # Errors
    /// 403 or 404.
    pub(crate) fn delete_hook(&self, actor: &str, path: &RepoPath, id: u64) -> Result<(), Refusal> {
        self.act(|registry| {
            registry.repo_for(Some(actor), path, Access::Admin)?;
            let hooks = &mut registry.repo_mut(path)?.hooks;
            let place = hooks.iter().position(|hook| hook.id == id);
            hooks.remove(place.ok_or_else(Refusal::not_found)?);
            Ok(())
        })
    }

    /// Moves a repository; its old name leads to the new one from then on.
    async fn move_repo(&self, old: &RepoPath, new: RepoPath) -> Result<RepoPath, Refusal> {
        check_name(&new.name)?;
        if self.read(|registry| registry.repos.contains_key(&new)) {
            return Err(Refusal::Unprocessable(format!("repository already exists [{new}]")));
        }
        self.git.rename(old, &new).await?;
        self.act(|registry| {
            registry.enter_move(old, &new);
            Ok(new)
        })
    }
}

impl Registry {
    fn enter_move(&mut self, old: &RepoPath, new: &RepoPath) {
        let Some(mut repo) = self.repos.remove(old) else { return };
        new.clone_into(&mut repo.path);
        self.moved.remove(new);
        self.moved.insert(old.clone(), repo.id);
        self.repos.insert(new.clone(), repo);
    }

    /// What a repository that was called `path` is called now.
    pub(crate) fn moved_to(&self, path: &RepoPath) -> Option<&RepoPath> {
        let id = self.moved.get(path)?;
        self.repos.values().find(|repo| repo.id == *id).map(|repo| &repo.path)
    }
}

fn rename_in(repo: &mut Repo, old: &str, new: &str) {
    let rename = |name: &mut String| {
        if name == old {
            new.clone_into(name);
        }
    };
    rename(&mut repo.default_branch);
    for pull in repo.issues.values_mut().filter_map(|issue| issue.pull.as_mut()) {
        rename(&mut pull.base);
        rename(&mut pull.head);
    }
}
