//! Webhooks, where the server can reach this machine.

use serde_json::{Value, json};

use super::Tried;
use crate::{
    contract::{
        Finding,
        ground::{Ground, LABEL, Role},
        inbox::Inbox,
    },
    forge_double::sha256_hex,
};

/// The receiver, where there is one.
fn inbox(ground: &Ground) -> Result<&Inbox, Finding> {
    let why = "set FORGE_HOOK_HOST to how the server reaches this machine";
    ground.inbox.as_ref().ok_or_else(|| Finding::Untried(why.to_owned()))
}

pub(super) async fn listed(ground: &Ground) -> Tried {
    let inbox = inbox(ground)?;
    ground.repo(Role::Bot, "GET", "/hooks", &Value::Null).await?.expect(403)?;
    let hooks = ground.repo(Role::Owner, "GET", "/hooks", &Value::Null).await?.expect(200)?;
    hooks.holds("/0/config/url", &json!(inbox.url))?;
    hooks.holds("/0/active", &json!(true))?;
    let is_secret = !hooks.json().to_string().contains(&inbox.secret);
    is_secret.then_some(()).ok_or_else(|| hooks.differs("the secret is shown"))
}

pub(super) async fn signed(ground: &Ground) -> Tried {
    let inbox = inbox(ground)?;
    let number = ground.issue("Signed").await?;
    let letter = inbox.wait_for("issues/opened", number).await?;
    let wanted = sha256_hex(&inbox.secret, &letter.body);
    if letter.header("x-gitea-signature") != wanted {
        return Err(Finding::Differs("X-Gitea-Signature is not the HMAC of the body".to_owned()));
    }
    if letter.header("x-gitea-delivery").is_empty() {
        return Err(Finding::Differs("no X-Gitea-Delivery".to_owned()));
    }
    Ok(())
}

pub(super) async fn labelled(ground: &Ground) -> Tried {
    let inbox = inbox(ground)?;
    let number = ground.issue("Labelled").await?;
    let label = json!({ "labels": [ground.label()] });
    let path = format!("/issues/{number}");
    ground.repo(Role::Owner, "POST", &format!("{path}/labels"), &label).await?.expect(200)?;
    let edit = json!({ "assignees": [ground.login(Role::Bot)] });
    ground.repo(Role::Owner, "PATCH", &path, &edit).await?.expect(201)?;
    let letter = inbox.wait_for("issues/label_updated", number).await?.json();
    holds(&letter, "/issue/labels/0/name", &json!(LABEL))?;
    holds(&letter, "/sender/login", &json!(ground.login(Role::Owner)))?;
    let letter = inbox.wait_for("issues/assigned", number).await?.json();
    holds(&letter, "/issue/assignees/0/login", &json!(ground.login(Role::Bot)))
}

pub(super) async fn comments(ground: &Ground) -> Tried {
    let inbox = inbox(ground)?;
    let number = ground.issue("Told").await?;
    let path = format!("/issues/{number}/comments");
    let said = json!({ "body": "hear" });
    let made = ground.repo(Role::Stranger, "POST", &path, &said).await?.expect(201)?;
    let letter = inbox.wait_for("issue_comment/created", number).await?.json();
    holds(&letter, "/comment/id", &made.at("/id"))?;
    holds(&letter, "/comment/user/login", &json!(ground.login(Role::Stranger)))?;
    holds(&letter, "/repository/full_name", &ground.get("").await?.at("/full_name"))
}

fn holds(letter: &Value, place: &str, wanted: &Value) -> Tried {
    let found = letter.pointer(place).cloned().unwrap_or_default();
    if found == *wanted {
        return Ok(());
    }
    Err(Finding::Differs(format!("{place} of the webhook is {found}, not {wanted}")))
}
