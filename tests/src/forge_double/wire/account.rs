//! Users, organisations and teams.

use serde_json::{Value, json};

use super::ZERO_TIME;
use crate::forge_double::registry::{Org, Registry, Team};

impl Registry {
    /// A user or organisation as others see it. An unknown name gives null.
    pub(crate) fn account_json(&self, login: &str) -> Value {
        let (id, email, created) = if let Some(user) = self.users.get(login) {
            (user.id, user.email.as_str(), user.created)
        } else if let Some(org) = self.orgs.get(login) {
            (org.id, "", org.created)
        } else {
            return Value::Null;
        };
        json!({
            "id": id,
            "login": login,
            "full_name": "",
            "email": email,
            "avatar_url": format!("{}/user/avatar/{login}/-1", self.base_url),
            "language": "",
            "is_admin": false,
            "last_login": ZERO_TIME,
            "created": created.text(),
            "restricted": false,
            "active": false,
            "prohibit_login": self.users.get(login).is_some_and(|user| user.is_suspended),
            "location": "",
            "website": "",
            "description": "",
            "visibility": "public",
            "followers_count": 0,
            "following_count": 0,
            "starred_repos_count": 0,
            "username": login,
        })
    }

    /// A user as `viewer` sees it: oneself with the private fields filled.
    pub(crate) fn user_seen_by(&self, login: &str, viewer: Option<&str>) -> Value {
        let mut user = self.account_json(login);
        if viewer != Some(login) {
            return user;
        }
        if let (Some(fields), Some(record)) = (user.as_object_mut(), self.users.get(login)) {
            fields.insert("active".to_owned(), json!(true));
            fields.insert("last_login".to_owned(), json!("1970-01-01T00:00:00Z"));
            fields.insert("is_admin".to_owned(), json!(record.is_site_admin));
        }
        user
    }

    /// An organisation.
    pub(crate) fn org_json(&self, org: &Org) -> Value {
        json!({
            "id": org.id,
            "username": org.name,
            "full_name": "",
            "avatar_url": format!("{}/user/avatar/{}/-1", self.base_url, org.name),
            "description": "",
            "website": "",
            "location": "",
            "visibility": "public",
            "repo_admin_change_team_access": false,
        })
    }
}

/// A team.
pub(crate) fn team_json(team: &Team) -> Value {
    json!({
        "id": team.id,
        "name": team.name,
        "description": "",
        "organization": null,
        "includes_all_repositories": true,
        "permission": team.access.map_or("owner", |access| access.word()),
        "units": [
            "repo.code", "repo.issues", "repo.pulls", "repo.releases", "repo.wiki",
            "repo.ext_wiki", "repo.ext_issues", "repo.projects",
        ],
        "can_create_org_repo": team.access.is_none(),
    })
}
