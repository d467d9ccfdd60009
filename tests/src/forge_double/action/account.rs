//! Accounts, organisations and teams.

use std::collections::BTreeSet;

use crate::forge_double::{
    access::Access,
    answer::Refusal,
    clock::Moment,
    forge::Forge,
    registry::{Org, Registry, Team, User, next},
};

/// Fails unless a name can be part of a path and of a URL.
///
/// # Errors
/// 422.
pub(crate) fn check_name(name: &str) -> Result<(), Refusal> {
    let is_fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.is_empty() || name.starts_with('.') || !name.chars().all(is_fine) {
        return Err(Refusal::Unprocessable(format!("name {name:?} is not allowed")));
    }
    Ok(())
}

/// 40 hex digits that nobody guesses.
pub(crate) fn new_token() -> String {
    hex::encode(rand::random::<[u8; 20]>())
}

impl Forge {
    /// Makes an account and its token (40 hex digits, like Gitea's).
    ///
    /// # Errors
    /// 422 when the name is taken or impossible.
    pub(crate) fn create_user(&self, login: &str, is_site_admin: bool) -> Result<String, Refusal> {
        check_name(login)?;
        self.act(|registry| {
            registry.check_free(login)?;
            let token = new_token();
            let user = User {
                id: next(&mut registry.ids.account),
                login: login.to_owned(),
                email: format!("{login}@example.test"),
                token: token.clone(),
                is_site_admin,
                password: new_token(),
                is_suspended: false,
                created: Moment::now(),
            };
            registry.users.insert(login.to_owned(), user);
            Ok(token)
        })
    }

    /// Makes an organisation owned by `actor`.
    ///
    /// # Errors
    /// 422 when the name is taken or impossible.
    pub(crate) fn create_org(&self, actor: &str, name: &str) -> Result<(), Refusal> {
        check_name(name)?;
        self.act(|registry| {
            registry.check_free(name)?;
            let owners = Team {
                id: next(&mut registry.ids.team),
                name: "Owners".to_owned(),
                access: None,
                members: BTreeSet::from([actor.to_owned()]),
            };
            let org = Org {
                id: next(&mut registry.ids.account),
                name: name.to_owned(),
                teams: vec![owners],
                created: Moment::now(),
            };
            registry.orgs.insert(name.to_owned(), org);
            Ok(())
        })
    }

    /// Puts a user into a team.
    ///
    /// # Errors
    /// 404 for an unknown team or user, 403 for whoever does not own the organisation.
    pub(crate) fn add_team_member(
        &self,
        actor: &str,
        team: u64,
        login: &str,
    ) -> Result<(), Refusal> {
        self.act(|registry| {
            registry.user(login)?;
            registry.team_for(actor, team)?.members.insert(login.to_owned());
            Ok(())
        })
    }

    /// Takes a user out of a team.
    ///
    /// # Errors
    /// As `add_team_member`.
    pub(crate) fn remove_team_member(
        &self,
        actor: &str,
        team: u64,
        login: &str,
    ) -> Result<(), Refusal> {
        self.act(|registry| {
            registry.user(login)?;
            registry.team_for(actor, team)?.members.remove(login);
            Ok(())
        })
    }

    /// The id of the organisation's team of plain members (access: read), made when missing.
    ///
    /// # Errors
    /// 404 for an unknown organisation.
    pub(crate) fn ensure_members_team(&self, org: &str) -> Result<u64, Refusal> {
        self.act(|registry| {
            let id = next(&mut registry.ids.team);
            let org = registry.orgs.get_mut(org).ok_or_else(|| Refusal::no_org(org))?;
            if let Some(team) = org.teams.iter().find(|team| team.name == "Members") {
                return Ok(team.id);
            }
            let name = "Members".to_owned();
            let members = BTreeSet::new();
            org.teams.push(Team { id, name, access: Some(Access::Read), members });
            Ok(id)
        })
    }
}

impl Registry {
    /// Whether the account may manage the organisation.
    pub(crate) fn owns(&self, actor: &str, org: &Org) -> bool {
        let is_site_admin = self.users.get(actor).is_some_and(|user| user.is_site_admin);
        is_site_admin || org.access_of(actor) == Access::Admin
    }

    pub(super) fn check_free(&self, name: &str) -> Result<(), Refusal> {
        if self.users.contains_key(name) || self.orgs.contains_key(name) {
            return Err(Refusal::Unprocessable(format!("user already exists [name: {name}]")));
        }
        Ok(())
    }

    fn team_for(&mut self, actor: &str, id: u64) -> Result<&mut Team, Refusal> {
        let has_team = |org: &&Org| org.teams.iter().any(|team| team.id == id);
        let org = self.orgs.values().find(has_team).ok_or_else(Refusal::not_found)?;
        if !self.owns(actor, org) {
            return Err(Refusal::Forbidden);
        }
        let mut teams = self.orgs.values_mut().flat_map(|org| &mut org.teams);
        teams.find(|team| team.id == id).ok_or_else(Refusal::not_found)
    }
}
