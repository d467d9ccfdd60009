//! Users, organisations, teams.

use std::sync::Arc;

use axum::{
    extract::{Path, State},
    http::StatusCode,
};
use serde::Deserialize;
use serde_json::json;

use super::request::{Caller, Form, Signed};
use crate::forge_double::{
    answer::{Answer, Outcome, Refusal},
    forge::Forge,
    registry::{Org, Registry},
    wire::account::team_json,
};

/// The version the recordings were made with.
pub(crate) const VERSION: &str = "1.15.11";

pub(super) async fn version() -> Answer {
    Answer::ok(json!({ "version": VERSION }))
}

pub(super) async fn own_user(State(forge): State<Arc<Forge>>, Signed(me): Signed) -> Answer {
    Answer::ok(forge.read(|registry| registry.user_seen_by(&me, Some(&me))))
}

pub(super) async fn own_orgs(State(forge): State<Arc<Forge>>, Signed(me): Signed) -> Answer {
    Answer::ok(forge.read(|registry| {
        let orgs = registry.orgs.values().filter(|org| org.has_member(&me));
        orgs.map(|org| registry.org_json(org)).collect()
    }))
}

pub(super) async fn user(
    State(forge): State<Arc<Forge>>,
    caller: Caller,
    Path(login): Path<String>,
) -> Outcome {
    forge.read(|registry| {
        registry.user(&login)?;
        Ok(Answer::ok(registry.user_seen_by(&login, caller.login())))
    })
}

#[derive(Debug, Deserialize)]
pub(super) struct NewOrg {
    username: String,
}

pub(super) async fn create_org(
    State(forge): State<Arc<Forge>>,
    Signed(me): Signed,
    Form(new): Form<NewOrg>,
) -> Outcome {
    forge.create_org(&me, &new.username)?;
    forge
        .read(|registry| Ok(Answer::created(registry.org_json(find_org(registry, &new.username)?))))
}

pub(super) async fn org(State(forge): State<Arc<Forge>>, Path(name): Path<String>) -> Outcome {
    forge.read(|registry| Ok(Answer::ok(registry.org_json(find_org(registry, &name)?))))
}

pub(super) async fn teams(
    State(forge): State<Arc<Forge>>,
    Signed(me): Signed,
    Path(name): Path<String>,
) -> Outcome {
    forge.read(|registry| {
        let org = find_org(registry, &name)?;
        if !org.has_member(&me) && !registry.owns(&me, org) {
            return Err(Refusal::Forbidden);
        }
        Ok(Answer::ok(org.teams.iter().map(team_json).collect()))
    })
}

pub(super) async fn members(
    State(forge): State<Arc<Forge>>,
    caller: Caller,
    Path(name): Path<String>,
) -> Outcome {
    forge.read(|registry| {
        let org = find_org(registry, &name)?;
        let mut logins: Vec<&String> = org.teams.iter().flat_map(|team| &team.members).collect();
        logins.sort();
        logins.dedup();
        // Memberships are private unless made public, which the double does not know.
        if !may_see_members(registry, org, caller.login()) {
            logins.clear();
        }
        Ok(Answer::ok(logins.into_iter().map(|login| registry.account_json(login)).collect()))
    })
}

/// 204 for a member; 404 for others, and also for members when the asker is an outsider.
pub(super) async fn is_member(
    State(forge): State<Arc<Forge>>,
    caller: Caller,
    Path((name, login)): Path<(String, String)>,
) -> Outcome {
    forge.read(|registry| {
        let org = find_org(registry, &name)?;
        registry.user(&login)?;
        if org.has_member(&login) && may_see_members(registry, org, caller.login()) {
            Ok(Answer::empty(StatusCode::NO_CONTENT))
        } else {
            Err(Refusal::not_found())
        }
    })
}

pub(super) async fn add_team_member(
    State(forge): State<Arc<Forge>>,
    Signed(me): Signed,
    Path((team, login)): Path<(u64, String)>,
) -> Outcome {
    forge.add_team_member(&me, team, &login)?;
    Ok(Answer::empty(StatusCode::NO_CONTENT))
}

pub(super) async fn remove_team_member(
    State(forge): State<Arc<Forge>>,
    Signed(me): Signed,
    Path((team, login)): Path<(u64, String)>,
) -> Outcome {
    forge.remove_team_member(&me, team, &login)?;
    Ok(Answer::empty(StatusCode::NO_CONTENT))
}

fn find_org<'a>(registry: &'a Registry, name: &str) -> Result<&'a Org, Refusal> {
    registry.orgs.get(name).ok_or_else(|| Refusal::no_org(name))
}

fn may_see_members(registry: &Registry, org: &Org, asker: Option<&str>) -> bool {
    asker.is_some_and(|asker| org.has_member(asker) || registry.owns(asker, org))
}
