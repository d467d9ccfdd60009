//! Accounts as the site's admin makes and changes them. From the API description and Gitea's
//! source; not among the recordings.

use std::sync::Arc;

use axum::{
    extract::{Path, Query, State},
    http::{HeaderMap, StatusCode, header},
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Deserialize;
use serde_json::json;

use super::request::{Form, Signed};
use crate::forge_double::{
    action::admin::NewAccount,
    answer::{Answer, Outcome, Refusal},
    forge::Forge,
};

pub(super) async fn create_user(
    State(forge): State<Arc<Forge>>,
    Signed(me): Signed,
    Form(new): Form<NewAccount>,
) -> Outcome {
    forge.create_account(&me, &new)?;
    let login = new.username;
    Ok(Answer::created(forge.read(|registry| registry.user_seen_by(&login, Some(&login)))))
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct UserEdit {
    prohibit_login: Option<bool>,
}

pub(super) async fn edit_user(
    State(forge): State<Arc<Forge>>,
    Signed(me): Signed,
    Path(login): Path<String>,
    Form(edit): Form<UserEdit>,
) -> Outcome {
    let before = forge.read(|registry| registry.user(&login).map(|user| user.is_suspended))?;
    forge.suspend(Some(&me), &login, edit.prohibit_login.unwrap_or(before))?;
    Ok(Answer::ok(forge.read(|registry| registry.user_seen_by(&login, Some(&login)))))
}

#[derive(Debug, Deserialize)]
pub(super) struct Renaming {
    new_username: String,
}

pub(super) async fn rename_user(
    State(forge): State<Arc<Forge>>,
    Signed(me): Signed,
    Path(login): Path<String>,
    Form(renaming): Form<Renaming>,
) -> Outcome {
    forge.rename_user(Some(&me), (&login, &renaming.new_username))?;
    Ok(Answer::empty(StatusCode::NO_CONTENT))
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Deletion {
    purge: bool,
}

pub(super) async fn delete_user(
    State(forge): State<Arc<Forge>>,
    Signed(me): Signed,
    Path(login): Path<String>,
    Query(deletion): Query<Deletion>,
) -> Outcome {
    forge.delete_user(&me, &login, deletion.purge)?;
    Ok(Answer::empty(StatusCode::NO_CONTENT))
}

pub(super) async fn delete_org(
    State(forge): State<Arc<Forge>>,
    Signed(me): Signed,
    Path(name): Path<String>,
) -> Outcome {
    forge.delete_org(&me, &name)?;
    Ok(Answer::empty(StatusCode::NO_CONTENT))
}

#[derive(Debug, Deserialize)]
pub(super) struct NewToken {
    name: String,
    #[serde(default)]
    scopes: Vec<String>,
}

/// Gives the account's token to whoever knows its password. The double has one for each account.
pub(super) async fn create_token(
    State(forge): State<Arc<Forge>>,
    Path(login): Path<String>,
    headers: HeaderMap,
    Form(new): Form<NewToken>,
) -> Outcome {
    let password = password_for(&login, &headers).ok_or(Refusal::Unauthorized)?;
    forge.read(|registry| {
        let user = registry.user(&login)?;
        if user.password != password {
            return Err(Refusal::Unauthorized);
        }
        let (token, created) = (&user.token, user.created.text());
        Ok(Answer::created(json!({
            "id": user.id,
            "name": new.name,
            "sha1": token,
            "token_last_eight": token.get(token.len().saturating_sub(8)..),
            "scopes": new.scopes,
            "created_at": created,
            "last_used_at": created,
        })))
    })
}

/// The password in a Basic header, if it is for this account.
fn password_for(login: &str, headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let decoded = STANDARD.decode(value.strip_prefix("Basic ")?.trim()).ok()?;
    let text = String::from_utf8(decoded).ok()?;
    let (user, password) = text.split_once(':')?;
    (user == login).then(|| password.to_owned())
}
