//! Who may do what: the four levels of access to a repository.

use super::{
    answer::Refusal,
    registry::{Registry, Repo, RepoPath},
};

/// Access of one account to one repository; a higher level includes the lower ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Access {
    /// Does not even see it.
    None,
    /// Reads, opens issues, comments.
    Read,
    /// Pushes, labels, assigns, merges.
    Write,
    /// Manages collaborators and webhooks.
    Admin,
}

impl Access {
    /// The API's word for it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Read => "read",
            Self::Write => "write",
            Self::Admin => "admin",
        }
    }

    /// Reads the `permission` of a request.
    pub(crate) fn parse(word: &str) -> Option<Self> {
        [Self::Read, Self::Write, Self::Admin].into_iter().find(|access| access.word() == word)
    }
}

impl Registry {
    /// What the account (or nobody) may do in the repository.
    pub(crate) fn access(&self, who: Option<&str>, repo: &Repo) -> Access {
        let public = if repo.is_private { Access::None } else { Access::Read };
        let Some(login) = who else { return public };
        let is_site_admin = self.users.get(login).is_some_and(|user| user.is_site_admin);
        if is_site_admin || repo.path.owner == login {
            return Access::Admin;
        }
        let as_collaborator = repo.collaborators.get(login).copied().unwrap_or(Access::None);
        let by_team =
            self.orgs.get(&repo.path.owner).map_or(Access::None, |org| org.access_of(login));
        public.max(as_collaborator).max(by_team)
    }

    /// The repository, if `who` has at least this access.
    ///
    /// # Errors
    /// 404 for what one may not see, 403 without a body for what one may not do.
    pub(crate) fn repo_for(
        &self,
        who: Option<&str>,
        path: &RepoPath,
        needed: Access,
    ) -> Result<&Repo, Refusal> {
        let repo = self.repo(path)?;
        let has = self.access(who, repo);
        if has == Access::None {
            return Err(Refusal::not_found());
        }
        if has < needed {
            return Err(Refusal::Forbidden);
        }
        Ok(repo)
    }

    /// As `repo_for`, for what an archived repository does not take any more.
    ///
    /// # Errors
    /// As `repo_for`, and 423.
    pub(crate) fn repo_to_change(
        &self,
        who: Option<&str>,
        path: &RepoPath,
        needed: Access,
    ) -> Result<&Repo, Refusal> {
        let repo = self.repo_for(who, path, needed)?;
        if repo.is_archived {
            return Err(Refusal::Locked(format!("{path} is archived")));
        }
        Ok(repo)
    }
}
