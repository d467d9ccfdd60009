//! Accounts, tokens, organisations.

use super::Done;
use crate::forge_double::{ForgeDouble, Refusal, action::account::new_token};

impl ForgeDouble {
    /// Makes an account; gives its token.
    pub async fn create_user(&self, login: &str) -> Done<String> {
        self.forge.create_user(login, false)
    }

    /// Makes an account that may do everything; gives its token.
    pub async fn create_site_admin(&self, login: &str) -> Done<String> {
        self.forge.create_user(login, true)
    }

    /// The token of an account.
    pub fn token(&self, login: &str) -> Option<String> {
        self.forge.read(|registry| registry.users.get(login).map(|user| user.token.clone()))
    }

    /// Takes an account's token away and gives a new one; the old answers 401 from now on.
    pub async fn rotate_token(&self, login: &str) -> Done<String> {
        self.forge.act(|registry| {
            let user = registry.users.get_mut(login).ok_or_else(|| Refusal::no_user(login))?;
            user.token = new_token();
            Ok(user.token.clone())
        })
    }

    /// Makes an organisation owned by `actor`.
    pub async fn create_org(&self, actor: &str, org: &str) -> Done {
        self.forge.create_org(actor, org)
    }

    /// Makes a user a member (access: read) of an organisation owned by `actor`.
    pub async fn add_member(&self, actor: &str, org: &str, login: &str) -> Done {
        let team = self.forge.ensure_members_team(org)?;
        self.forge.add_team_member(actor, team, login)
    }

    /// Ends what `add_member` began.
    pub async fn remove_member(&self, actor: &str, org: &str, login: &str) -> Done {
        let team = self.forge.ensure_members_team(org)?;
        self.forge.remove_team_member(actor, team, login)
    }
}
