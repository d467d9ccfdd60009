//! Repositories and their branches.

use serde_json::{Value, json};

use super::Tried;
use crate::contract::{
    Finding,
    ground::{Ground, Role},
};

/// The path of another repository of the owner.
fn other(ground: &Ground, name: &str) -> String {
    format!("/repos/{}/{name}", ground.login(Role::Owner))
}

/// Makes another repository.
async fn make(ground: &Ground, name: &str, private: bool) -> Result<String, Finding> {
    let new = json!({ "name": name, "auto_init": true, "private": private });
    ground.api(Role::Owner, "POST", "/user/repos", &new).await?.expect(201)?;
    Ok(other(ground, name))
}

pub(super) async fn facts(ground: &Ground) -> Tried {
    let reply = ground.get("").await?;
    reply.number("/id")?;
    reply.holds("/full_name", &json!(format!("{}/widget", ground.login(Role::Owner))))?;
    reply.holds("/default_branch", &json!("main"))?;
    reply.holds("/archived", &json!(false))?;
    reply.holds("/permissions/push", &json!(true))?;
    reply.holds("/permissions/admin", &json!(false))
}

pub(super) async fn unseen(ground: &Ground) -> Tried {
    let private = make(ground, "private", true).await?;
    let missing = other(ground, "missing");
    let mut said = Vec::new();
    for path in [private, missing] {
        let reply = ground.api(Role::Stranger, "GET", &path, &Value::Null).await?.expect(404)?;
        if !reply.at("/message").is_string() {
            return Err(reply.differs("a 404 that is not the forge's own"));
        }
        said.push(reply.at("/message"));
    }
    let [private, missing] = said.as_slice() else { return Ok(()) };
    if private == missing {
        return Ok(());
    }
    Err(Finding::Differs(format!("{private} of what is private, {missing} of what is not there")))
}

pub(super) async fn branches(ground: &Ground) -> Tried {
    let tree = ground.tree().await?;
    let commit = tree.push("contract/branch", "branch.txt", "Add a branch").await?;
    let branch = ground.get("/branches/contract/branch").await?;
    branch.holds("/commit/id", &json!(commit))?;
    let names = ground.get("/branches").await?;
    let is_listed = names.each("/name").contains(&json!("contract/branch"));
    is_listed.then_some(()).ok_or_else(|| names.differs("the branch is not listed"))
}

pub(super) async fn contents(ground: &Ground) -> Tried {
    let tree = ground.tree().await?;
    tree.push("contract/contents", "file.txt", "Add a file").await?;
    let file = ground.get("/contents/file.txt?ref=contract/contents").await?;
    file.holds("/encoding", &json!("base64"))?;
    file.holds("/content", &json!("ZmlsZS50eHQK"))?;
    let missing = ground.repo(Role::Bot, "GET", "/contents/file.txt", &Value::Null).await?;
    missing.expect(404).map(|_| ())
}

pub(super) async fn renamed(ground: &Ground) -> Tried {
    let before = make(ground, "before", false).await?;
    let edit = json!({ "name": "moved" });
    let renamed = ground.api(Role::Owner, "PATCH", &before, &edit).await?.expect(200)?;
    let id = renamed.number("/id")?;
    let issues = format!("{before}/issues?state=all");
    let old = ground.api(Role::Owner, "GET", &issues, &Value::Null).await?;
    let old = old.expect_one_of(&[301, 302, 307, 308])?;
    let wanted = format!("{}/issues?state=all", other(ground, "moved"));
    if !old.location().ends_with(&wanted) {
        return Err(old.differs(&format!("leads to {:?}", old.location())));
    }
    let now = ground.api(Role::Owner, "GET", &other(ground, "moved"), &Value::Null).await?;
    now.expect(200)?.holds("/id", &json!(id))
}

pub(super) async fn archived(ground: &Ground) -> Tried {
    let path = make(ground, "archived", false).await?;
    let edit = json!({ "archived": true });
    let edited = ground.api(Role::Owner, "PATCH", &path, &edit).await?.expect(200)?;
    edited.holds("/archived", &json!(true))?;
    let new = json!({ "title": "x" });
    let issues = format!("{path}/issues");
    ground.api(Role::Owner, "POST", &issues, &new).await?.expect(423).map(|_| ())
}
