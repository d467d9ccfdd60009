//! Tokens, members, rights.

use serde_json::{Value, json};

use super::Tried;
use crate::contract::{
    Finding,
    ground::{Ground, Role},
};

pub(super) async fn version(ground: &Ground) -> Tried {
    let reply = ground.api(Role::Bot, "GET", "/version", &Value::Null).await?.expect(200)?;
    let version = reply.at("/version");
    version.is_string().then_some(()).ok_or_else(|| reply.differs("no version"))
}

pub(super) async fn own_name(ground: &Ground) -> Tried {
    let reply = ground.api(Role::Bot, "GET", "/user", &Value::Null).await?.expect(200)?;
    reply.number("/id")?;
    reply.holds("/login", &json!(ground.login(Role::Bot)))
}

pub(super) async fn bad_tokens(ground: &Ground) -> Tried {
    ground.with_token(None, "/user").await?.expect(401)?;
    ground.with_token(Some(&"0".repeat(40)), "/user").await?.expect(401).map(|_| ())
}

pub(super) async fn members(ground: &Ground) -> Tried {
    let ask = async |asker: Role, about: Role| {
        let path = format!("/orgs/{}/members/{}", ground.org(), ground.login(about));
        ground.api(asker, "GET", &path, &Value::Null).await
    };
    ask(Role::Bot, Role::Bot).await?.expect(204)?;
    ask(Role::Bot, Role::Owner).await?.expect(204)?;
    ask(Role::Bot, Role::Stranger).await?.expect(404)?;
    // Newer servers lead outsiders to the list of public members first.
    ask(Role::Stranger, Role::Bot).await?.expect_one_of(&[404, 303, 302]).map(|_| ())
}

pub(super) async fn permission(ground: &Ground) -> Tried {
    let ask = async |asker: Role, about: Role| {
        let path = format!("/collaborators/{}/permission", ground.login(about));
        ground.repo(asker, "GET", &path, &Value::Null).await
    };
    let rows = [(Role::Owner, "owner"), (Role::Bot, "write"), (Role::Stranger, "read")];
    for (about, word) in rows {
        ask(Role::Owner, about).await?.expect(200)?.holds("/permission", &json!(word))?;
    }
    ask(Role::Stranger, Role::Bot).await?.expect(403).map(|_| ())
}

pub(super) async fn suspended(ground: &Ground) -> Tried {
    let login = ground.login(Role::Stranger);
    let path = format!("/admin/users/{login}");
    let suspend = async |prohibited: bool| {
        let edit = json!({ "source_id": 0, "login_name": login, "prohibit_login": prohibited });
        ground.admin("PATCH", &path, &edit).await
    };
    suspend(true).await?.expect(200)?;
    let told = ground.api(Role::Stranger, "GET", "/user", &Value::Null).await;
    // Whatever came of it: the others need the account.
    suspend(false).await?.expect(200)?;
    let told: Result<_, Finding> = told?.expect(403);
    told?;
    ground.api(Role::Stranger, "GET", "/user", &Value::Null).await?.expect(200).map(|_| ())
}
