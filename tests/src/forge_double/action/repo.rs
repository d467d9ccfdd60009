//! Repositories, collaborators, hooks.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::account::check_name;
use crate::forge_double::{
    access::Access,
    answer::Refusal,
    clock::Moment,
    forge::Forge,
    git::commit::FileChange,
    hook::subscriptions,
    registry::{Hook, Repo, RepoPath, next},
};

/// A repository to make.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct NewRepo {
    pub(crate) name: String,
    pub(crate) auto_init: bool,
    pub(crate) default_branch: String,
    pub(crate) private: bool,
}

/// A webhook to set up.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct NewHook {
    #[serde(default)]
    pub(crate) active: bool,
    #[serde(default)]
    pub(crate) events: Vec<String>,
    pub(crate) config: HookConfig,
}

/// Where a webhook goes.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct HookConfig {
    pub(crate) url: String,
    #[serde(default)]
    pub(crate) secret: String,
}

impl Forge {
    /// Makes a repository of `owner`, a user (who must be `actor`) or an organisation of
    /// theirs; `auto_init` gives it a first commit with a README.
    ///
    /// # Errors
    /// 403, 409 when it exists, 422 for an impossible name, 500 when git fails.
    pub(crate) async fn create_repo(
        &self,
        actor: &str,
        owner: &str,
        new: NewRepo,
    ) -> Result<RepoPath, Refusal> {
        check_name(&new.name)?;
        let path = RepoPath::new(owner, &new.name);
        let email = self.read(|registry| -> Result<String, Refusal> {
            let user = registry.user(actor)?;
            let org = registry.orgs.get(owner);
            let may = owner == actor || org.is_some_and(|org| registry.owns(actor, org));
            if !may {
                return Err(Refusal::Forbidden);
            }
            if registry.repos.contains_key(&path) {
                return Err(Refusal::Conflict(
                    "The repository with the same name already exists.".into(),
                ));
            }
            Ok(user.email.clone())
        })?;
        let branch = if new.default_branch.is_empty() { "main" } else { &new.default_branch };
        self.git.create(&path, branch).await?;
        if new.auto_init {
            let readme = format!("# {}\n\n", path.name);
            let change = FileChange {
                branch,
                start: branch,
                path: "README.md",
                content: readme.as_bytes(),
                message: "Initial commit\n",
                by: (actor, &email),
            };
            self.git.commit_file(&path, &change).await?;
        }
        self.enter_repo(path.clone(), &new, branch)?;
        Ok(path)
    }

    fn enter_repo(&self, path: RepoPath, new: &NewRepo, branch: &str) -> Result<(), Refusal> {
        self.act(|registry| {
            let now = Moment::now();
            let repo = Repo {
                id: next(&mut registry.ids.repo),
                path: path.clone(),
                is_private: new.private,
                is_archived: false,
                units_off: BTreeSet::new(),
                default_branch: branch.to_owned(),
                collaborators: BTreeMap::new(),
                labels: Vec::new(),
                issues: BTreeMap::new(),
                last_number: 0,
                statuses: Vec::new(),
                hooks: Vec::new(),
                created: now,
                updated: now,
            };
            // A new repository takes its name from one that has moved away.
            registry.moved.remove(&path);
            registry.repos.insert(path, repo);
            Ok(())
        })
    }

    /// Removes a repository from the forge; its folder goes with the forge's own.
    ///
    /// # Errors
    /// 403 or 404.
    pub(crate) fn delete_repo(&self, actor: &str, path: &RepoPath) -> Result<(), Refusal> {
        self.act(|registry| {
            registry.repo_for(Some(actor), path, Access::Admin)?;
            registry.repos.remove(path);
            Ok(())
        })
    }

    /// Gives a user access to a repository; `Access::None` takes it away.
    ///
    /// # Errors
    /// 403, 404, 422 for an unknown user.
    pub(crate) fn set_collaborator(
        &self,
        actor: &str,
        path: &RepoPath,
        login: &str,
        access: Access,
    ) -> Result<(), Refusal> {
        self.act(|registry| {
            registry.repo_for(Some(actor), path, Access::Admin)?;
            if !registry.users.contains_key(login) {
                return Err(Refusal::Unprocessable(format!("user does not exist [name: {login}]")));
            }
            let repo = registry.repo_mut(path)?;
            if access == Access::None {
                repo.collaborators.remove(login);
            } else {
                repo.collaborators.insert(login.to_owned(), access);
            }
            Ok(())
        })
    }

    /// Sets up a webhook; gives its id.
    ///
    /// # Errors
    /// 403 or 404.
    pub(crate) fn create_hook(
        &self,
        actor: &str,
        path: &RepoPath,
        new: &NewHook,
    ) -> Result<u64, Refusal> {
        self.act(|registry| {
            registry.repo_for(Some(actor), path, Access::Admin)?;
            let id = next(&mut registry.ids.hook);
            let hook = Hook {
                id,
                url: new.config.url.clone(),
                secret: new.config.secret.clone(),
                is_active: new.active,
                events: subscriptions(&new.events),
                created: Moment::now(),
            };
            registry.repo_mut(path)?.hooks.push(hook);
            Ok(id)
        })
    }

    /// Changes a webhook's switch; a hook that is off gets nothing and loses it for good.
    ///
    /// # Errors
    /// 403 or 404.
    pub(crate) fn switch_hook(
        &self,
        actor: &str,
        path: &RepoPath,
        id: u64,
        is_active: bool,
    ) -> Result<(), Refusal> {
        self.act(|registry| {
            registry.repo_for(Some(actor), path, Access::Admin)?;
            let hooks = &mut registry.repo_mut(path)?.hooks;
            let hook = hooks.iter_mut().find(|hook| hook.id == id);
            hook.ok_or_else(Refusal::not_found)?.is_active = is_active;
            Ok(())
        })
    }
}
