//! Pull requests, reviews, merges.

use serde_json::{Value, json};

use super::Tried;
use crate::contract::{
    Finding,
    ground::{Ground, Role},
    http::Reply,
};

/// Pushes a branch and opens a pull request; gives its answer and its commit.
async fn open(ground: &Ground, name: &str, body: &str) -> Result<(Reply, String), Finding> {
    let tree = ground.tree().await?;
    let branch = format!("contract/{name}");
    let commit = tree.push(&branch, &format!("{name}.txt"), "Add a file").await?;
    let new = json!({ "title": name, "body": body, "head": branch, "base": "main" });
    let opened = ground.repo(Role::Bot, "POST", "/pulls", &new).await?.expect(201)?;
    Ok((opened, commit))
}

/// The path of a new pull request.
async fn path_of_new(ground: &Ground, name: &str) -> Result<String, Finding> {
    Ok(format!("/pulls/{}", open(ground, name, "").await?.0.number("/number")?))
}

async fn merge(ground: &Ground, path: &str) -> Tried {
    let wish = json!({ "Do": "merge" });
    // A server checks in the background first whether branches conflict.
    for _ in 0..20 {
        let merged = ground.repo(Role::Owner, "POST", &format!("{path}/merge"), &wish).await?;
        if merged.status != 405 {
            return merged.expect(200).map(|_| ());
        }
        tokio::time::sleep(std::time::Duration::from_millis(250)).await;
    }
    Err(Finding::Differs(format!("{path} cannot be merged")))
}

pub(super) async fn opened(ground: &Ground) -> Tried {
    let (opened, commit) = open(ground, "opened", "text").await?;
    let pull = ground.get(&format!("/pulls/{}", opened.number("/number")?)).await?;
    for (place, wanted) in [
        ("/title", json!("opened")),
        ("/body", json!("text")),
        ("/state", json!("open")),
        ("/merged", json!(false)),
        ("/head/ref", json!("contract/opened")),
        ("/head/sha", json!(commit)),
        ("/base/ref", json!("main")),
        ("/user/login", json!(ground.login(Role::Bot))),
    ] {
        pull.holds(place, &wanted)?;
    }
    let same =
        pull.at("/head/repo_id") == pull.at("/base/repo_id") && pull.number("/head/repo_id")? > 0;
    same.then_some(()).ok_or_else(|| pull.differs("does not tell whose branch its head is"))
}

pub(super) async fn twice(ground: &Ground) -> Tried {
    open(ground, "twice", "").await?;
    let new = json!({ "title": "again", "head": "contract/twice", "base": "main" });
    ground.repo(Role::Bot, "POST", "/pulls", &new).await?.expect(409).map(|_| ())
}

pub(super) async fn nothing(ground: &Ground) -> Tried {
    let new = |head: &str| json!({ "title": "x", "head": head, "base": "main" });
    let missing = ground.repo(Role::Bot, "POST", "/pulls", &new("contract/none")).await?;
    missing.expect(404)?;
    let tree = ground.tree().await?;
    tree.git(&["push", "--quiet", "origin", "origin/HEAD:refs/heads/contract/empty"]).await?;
    let empty = ground.repo(Role::Bot, "POST", "/pulls", &new("contract/empty")).await?;
    // Newer servers open it, and say that it has no changes.
    empty.expect_one_of(&[422, 201]).map(|_| ())
}

pub(super) async fn by_branches(ground: &Ground) -> Tried {
    let number = open(ground, "found", "").await?.0.number("/number")?;
    let found = ground.get("/pulls/main/contract/found").await?;
    found.holds("/number", &json!(number))
}

pub(super) async fn edited(ground: &Ground) -> Tried {
    let path = path_of_new(ground, "edited").await?;
    let edit = json!({ "title": "New title", "body": "New text" });
    ground.repo(Role::Bot, "PATCH", &path, &edit).await?.expect(201)?;
    let pull = ground.get(&path).await?;
    pull.holds("/title", &json!("New title"))?;
    pull.holds("/body", &json!("New text"))
}

pub(super) async fn as_issue(ground: &Ground) -> Tried {
    let number = open(ground, "marked", "").await?.0.number("/number")?;
    let issue = ground.get(&format!("/issues/{number}")).await?;
    if !issue.at("/pull_request").is_object() {
        return Err(issue.differs("not marked as a pull request"));
    }
    let plain = ground.issue("Plain").await?;
    ground.get(&format!("/issues/{plain}")).await?.holds("/pull_request", &Value::Null)?;
    let as_pull = format!("/pulls/{plain}");
    ground.repo(Role::Bot, "GET", &as_pull, &Value::Null).await?.expect(404)?;
    let list = ground.get("/pulls?state=open&limit=50").await?;
    let is_listed = list.each("/number").contains(&json!(number));
    is_listed.then_some(()).ok_or_else(|| list.differs("it is not listed"))
}

pub(super) async fn reviewed(ground: &Ground) -> Tried {
    let path = path_of_new(ground, "reviewed").await?;
    let comment = json!({ "path": "reviewed.txt", "body": "why?", "new_position": 1 });
    let review = json!({ "event": "REQUEST_CHANGES", "body": "no", "comments": [comment] });
    let reviews = format!("{path}/reviews");
    let made = ground.repo(Role::Owner, "POST", &reviews, &review).await?.expect(200)?;
    let list = ground.get(&reviews).await?;
    list.holds("/0/id", &made.at("/id"))?;
    list.holds("/0/state", &json!("REQUEST_CHANGES"))?;
    list.holds("/0/body", &json!("no"))?;
    list.holds("/0/user/login", &json!(ground.login(Role::Owner)))?;
    let lines = ground.get(&format!("{reviews}/{}/comments", made.number("/id")?)).await?;
    lines.holds("/0/path", &json!("reviewed.txt"))?;
    lines.holds("/0/position", &json!(1))?;
    lines.holds("/0/body", &json!("why?"))
}

pub(super) async fn own_review(ground: &Ground) -> Tried {
    let reviews = format!("{}/reviews", path_of_new(ground, "own").await?);
    let approval = json!({ "event": "APPROVED", "body": "fine" });
    ground.repo(Role::Bot, "POST", &reviews, &approval).await?.expect(422).map(|_| ())
}

pub(super) async fn status(ground: &Ground) -> Tried {
    let (_, commit) = open(ground, "status", "").await?;
    for (context, state) in [("a", "success"), ("b", "failure")] {
        let new = json!({ "context": context, "state": state });
        let path = format!("/statuses/{commit}");
        ground.repo(Role::Bot, "POST", &path, &new).await?.expect(201)?;
    }
    let combined = ground.get(&format!("/commits/{commit}/status")).await?;
    combined.holds("/state", &json!("failure"))?;
    combined.holds("/total_count", &json!(2))
}

pub(super) async fn closed(ground: &Ground) -> Tried {
    let path = path_of_new(ground, "closed").await?;
    let edit = json!({ "state": "closed" });
    ground.repo(Role::Bot, "PATCH", &path, &edit).await?.expect(201)?;
    let pull = ground.get(&path).await?;
    pull.holds("/state", &json!("closed"))?;
    pull.holds("/merged", &json!(false))
}

pub(super) async fn merged(ground: &Ground) -> Tried {
    let path = path_of_new(ground, "merged").await?;
    merge(ground, &path).await?;
    let pull = ground.get(&path).await?;
    pull.holds("/state", &json!("closed"))?;
    pull.holds("/merged", &json!(true))?;
    let again = json!({ "Do": "merge" });
    let path = format!("{path}/merge");
    ground.repo(Role::Owner, "POST", &path, &again).await?.expect(405).map(|_| ())
}

pub(super) async fn closes(ground: &Ground) -> Tried {
    let issue = ground.issue("Closed by a merge").await?;
    let (opened, _) = open(ground, "closes", &format!("Closes #{issue}")).await?;
    merge(ground, &format!("/pulls/{}", opened.number("/number")?)).await?;
    ground.get(&format!("/issues/{issue}")).await?.holds("/state", &json!("closed"))
}

pub(super) async fn branch_gone(ground: &Ground) -> Tried {
    let path = path_of_new(ground, "gone").await?;
    let branch = "/branches/contract/gone";
    ground.repo(Role::Bot, "DELETE", branch, &Value::Null).await?.expect(204)?;
    ground.get(&path).await?.holds("/state", &json!("closed"))
}
