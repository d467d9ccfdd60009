//! Repositories, access, labels, webhooks.

use super::{Done, HookTarget};
use crate::forge_double::{
    Access, ForgeDouble, RepoPath,
    action::{
        label::NewLabel,
        repo::{HookConfig, NewHook, NewRepo},
    },
};

impl ForgeDouble {
    /// Makes a public repository with a first commit (`README.md`) on `main`.
    pub async fn create_repo(&self, actor: &str, repo: &str) -> Done {
        let path: RepoPath = repo.parse()?;
        let new = NewRepo { name: path.name, auto_init: true, ..NewRepo::default() };
        self.forge.create_repo(actor, &path.owner, new).await.map(|_| ())
    }

    /// Makes a private repository with a first commit.
    pub async fn create_private_repo(&self, actor: &str, repo: &str) -> Done {
        let path: RepoPath = repo.parse()?;
        let new = NewRepo { name: path.name, auto_init: true, private: true, ..NewRepo::default() };
        self.forge.create_repo(actor, &path.owner, new).await.map(|_| ())
    }

    /// Removes a repository; from now on it answers 404.
    pub async fn delete_repo(&self, actor: &str, repo: &str) -> Done {
        self.forge.delete_repo(actor, &repo.parse()?)
    }

    /// Gives a user access; `Access::None` takes it away.
    pub async fn add_collaborator(
        &self,
        actor: &str,
        repo: &str,
        login: &str,
        access: Access,
    ) -> Done {
        self.forge.set_collaborator(actor, &repo.parse()?, login, access)
    }

    /// Makes a label; gives its id.
    pub async fn create_label(&self, actor: &str, repo: &str, name: &str) -> Done<u64> {
        let (name, color) = (name.to_owned(), "00aabb".to_owned());
        let new = NewLabel { name, color, description: String::new() };
        self.forge.create_label(actor, &repo.parse()?, &new)
    }

    /// Sets up a webhook; gives its id.
    pub async fn create_hook(&self, actor: &str, repo: &str, target: HookTarget) -> Done<u64> {
        let config = HookConfig { url: target.url, secret: target.secret };
        let new = NewHook { active: true, events: target.events, config };
        self.forge.create_hook(actor, &repo.parse()?, &new)
    }

    /// Switches a webhook off or on. What happens meanwhile is not sent later.
    pub async fn switch_hook(&self, actor: &str, repo: &str, id: u64, is_active: bool) -> Done {
        self.forge.switch_hook(actor, &repo.parse()?, id, is_active)
    }
}
