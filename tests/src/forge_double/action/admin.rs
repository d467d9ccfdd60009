//! What the site's admin does to accounts, and how an account gets its token.

use serde::Deserialize;

use super::account::check_name;
use crate::forge_double::{
    answer::Refusal,
    forge::Forge,
    registry::{Registry, Repo},
};

/// An account to make.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct NewAccount {
    pub(crate) username: String,
    #[serde(default)]
    pub(crate) password: String,
}

impl Forge {
    /// Makes an account with a password.
    ///
    /// # Errors
    /// 403 for others than admins, 422 when the name is taken or impossible.
    pub(crate) fn create_account(&self, actor: &str, new: &NewAccount) -> Result<(), Refusal> {
        self.read(|registry| registry.check_site_admin(actor))?;
        self.create_user(&new.username, false)?;
        self.act(|registry| {
            new.password.clone_into(&mut registry.user_mut(&new.username)?.password);
            Ok(())
        })
    }

    /// Suspends an account or lets it in again. `actor` is nobody for the site itself.
    ///
    /// # Errors
    /// 403 for others than admins, 404.
    pub(crate) fn suspend(
        &self,
        actor: Option<&str>,
        login: &str,
        is_suspended: bool,
    ) -> Result<(), Refusal> {
        self.act(|registry| {
            actor.map_or(Ok(()), |actor| registry.check_site_admin(actor))?;
            registry.user_mut(login)?.is_suspended = is_suspended;
            Ok(())
        })
    }

    /// Gives an account another name, in all that it has done as well. The double cannot rename
    /// accounts with repositories of their own.
    ///
    /// # Errors
    /// 403 for others than admins, 404, 422 when the name is taken or impossible.
    pub(crate) fn rename_user(
        &self,
        actor: Option<&str>,
        (old, new): (&str, &str),
    ) -> Result<(), Refusal> {
        check_name(new)?;
        self.act(|registry| {
            actor.map_or(Ok(()), |actor| registry.check_site_admin(actor))?;
            registry.check_free(new)?;
            if registry.repos.keys().any(|path| path.owner == old) {
                return Err(Refusal::Unprocessable(format!("{old} has repositories")));
            }
            let mut user = registry.users.remove(old).ok_or_else(|| Refusal::no_user(old))?;
            new.clone_into(&mut user.login);
            registry.users.insert(new.to_owned(), user);
            registry.rename_everywhere(old, new);
            Ok(())
        })
    }

    /// Removes an account; with `purge` its repositories as well.
    ///
    /// # Errors
    /// 403 for others than admins, 404, 422 when repositories are left.
    pub(crate) fn delete_user(&self, actor: &str, login: &str, purge: bool) -> Result<(), Refusal> {
        self.act(|registry| {
            registry.check_site_admin(actor)?;
            registry.user(login)?;
            if !purge && registry.repos.keys().any(|path| path.owner == login) {
                return Err(Refusal::Unprocessable(
                    "user still has ownership of repositories".into(),
                ));
            }
            registry.repos.retain(|path, _| path.owner != login);
            registry.users.remove(login);
            for team in registry.orgs.values_mut().flat_map(|org| &mut org.teams) {
                team.members.remove(login);
            }
            for repo in registry.repos.values_mut() {
                repo.collaborators.remove(login);
            }
            Ok(())
        })
    }

    /// Removes an organisation without repositories.
    ///
    /// # Errors
    /// 403 for others than owners, 404, 500 when repositories are left, as in Gitea.
    pub(crate) fn delete_org(&self, actor: &str, name: &str) -> Result<(), Refusal> {
        self.act(|registry| {
            let org = registry.orgs.get(name).ok_or_else(|| Refusal::no_org(name))?;
            if !registry.owns(actor, org) {
                return Err(Refusal::Forbidden);
            }
            if registry.repos.keys().any(|path| path.owner == name) {
                return Err(Refusal::Internal("organisation has repositories".to_owned()));
            }
            registry.orgs.remove(name);
            Ok(())
        })
    }
}

impl Registry {
    fn check_site_admin(&self, login: &str) -> Result<(), Refusal> {
        if self.users.get(login).is_some_and(|user| user.is_site_admin) {
            return Ok(());
        }
        Err(Refusal::ForbiddenSaying("user should be the site admin".to_owned()))
    }

    fn rename_everywhere(&mut self, old: &str, new: &str) {
        for team in self.orgs.values_mut().flat_map(|org| &mut org.teams) {
            if team.members.remove(old) {
                team.members.insert(new.to_owned());
            }
        }
        for repo in self.repos.values_mut() {
            if let Some(access) = repo.collaborators.remove(old) {
                repo.collaborators.insert(new.to_owned(), access);
            }
            for name in names_in(repo).filter(|name| *name == old) {
                new.clone_into(name);
            }
        }
    }
}

/// Every login that a repository's records name.
fn names_in(repo: &mut Repo) -> impl Iterator<Item = &mut String> {
    let issues = repo.issues.values_mut().flat_map(|issue| {
        let pull = issue.pull.as_mut();
        let (reviews, merged) =
            pull.map_or((None, None), |pull| (Some(&mut pull.reviews), pull.merged.as_mut()));
        let reviews = reviews.into_iter().flatten().flat_map(|review| {
            let lines = review.comments.iter_mut().map(|comment| &mut comment.author);
            std::iter::once(&mut review.author).chain(lines)
        });
        let comments = issue.comments.iter_mut().map(|comment| &mut comment.author);
        std::iter::once(&mut issue.author)
            .chain(&mut issue.assignees)
            .chain(comments)
            .chain(reviews)
            .chain(merged.map(|merged| &mut merged.by))
    });
    issues.chain(repo.statuses.iter_mut().map(|status| &mut status.creator))
}
