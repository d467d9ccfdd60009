//! Issues and their comments.

use serde_json::{Value, json};

use super::Tried;
use crate::contract::{
    Finding,
    ground::{Ground, LABEL, Role},
};

pub(super) async fn full(ground: &Ground) -> Tried {
    let bot = ground.login(Role::Bot);
    let new = json!({
        "title": "Whole", "body": "All at once", "labels": [ground.label()], "assignees": [bot],
    });
    let opened = ground.repo(Role::Owner, "POST", "/issues", &new).await?.expect(201)?;
    let issue = ground.get(&format!("/issues/{}", opened.number("/number")?)).await?;
    issue.holds("/title", &json!("Whole"))?;
    issue.holds("/body", &json!("All at once"))?;
    issue.holds("/state", &json!("open"))?;
    issue.holds("/labels/0/name", &json!(LABEL))?;
    issue.holds("/assignees/0/login", &json!(bot))?;
    issue.holds("/user/login", &json!(ground.login(Role::Owner)))
}

pub(super) async fn lists(ground: &Ground) -> Tried {
    let labelled = ground.issue("Labelled").await?;
    let label = json!({ "labels": [ground.label()] });
    let path = format!("/issues/{labelled}/labels");
    ground.repo(Role::Bot, "POST", &path, &label).await?.expect(200)?;
    let plain = ground.issue("Plain").await?;
    let rows = [
        (format!("labels={LABEL}&state=open&type=issues"), true, false),
        ("state=open&type=issues".to_owned(), true, true),
        ("state=closed&type=issues".to_owned(), false, false),
        ("state=open&type=pulls".to_owned(), false, false),
    ];
    for (query, has_labelled, has_plain) in rows {
        let list = ground.get(&format!("/issues?{query}&limit=50")).await?;
        let numbers = list.each("/number");
        let found = [labelled, plain].map(|number| numbers.contains(&json!(number)));
        if found != [has_labelled, has_plain] {
            return Err(list.differs(&format!("lists {numbers:?}")));
        }
    }
    Ok(())
}

pub(super) async fn since(ground: &Ground) -> Tried {
    let number = ground.issue("Fresh").await?;
    let listed = async |time: &str| -> Result<bool, Finding> {
        let list = ground.get(&format!("/issues?since={time}&limit=50")).await?;
        Ok(list.each("/number").contains(&json!(number)))
    };
    let found = (listed("2001-01-01T00:00:00Z").await?, listed("2999-01-01T00:00:00Z").await?);
    if found == (true, false) {
        return Ok(());
    }
    Err(Finding::Differs(format!("changed since 2001: {}, since 2999: {}", found.0, found.1)))
}

pub(super) async fn pages(ground: &Ground) -> Tried {
    for title in ["Page 1", "Page 2", "Page 3"] {
        ground.issue(title).await?;
    }
    let mut page = ground.get("/issues?state=all&limit=2").await?;
    let total: usize = page.header("x-total-count").parse().unwrap_or_default();
    let mut numbers = page.each("/number");
    while let Some(next) = page.next() {
        page = ground.api(Role::Bot, "GET", &next, &Value::Null).await?.expect(200)?;
        numbers.extend(page.each("/number"));
        if numbers.len() > total {
            return Err(page.differs("more on the pages than in all"));
        }
    }
    if numbers.len() == total && total >= 3 {
        return Ok(());
    }
    Err(page.differs(&format!("{} on the pages, {total} in all", numbers.len())))
}

pub(super) async fn comments(ground: &Ground) -> Tried {
    let path = format!("/issues/{}/comments", ground.issue("Talk").await?);
    let mut ids = Vec::new();
    for (role, body) in [(Role::Bot, "one"), (Role::Stranger, "two")] {
        let made = ground.repo(role, "POST", &path, &json!({ "body": body })).await?.expect(201)?;
        ids.push(made.number("/id")?);
    }
    let list = ground.get(&path).await?;
    list.holds("/0/body", &json!("one"))?;
    list.holds("/0/user/login", &json!(ground.login(Role::Bot)))?;
    list.holds("/1/body", &json!("two"))?;
    if !ids.is_sorted() || list.each("/id") != ids.iter().map(|id| json!(id)).collect::<Vec<_>>() {
        return Err(list.differs("ids are not in the order of writing"));
    }
    let first = format!("/issues/comments/{}", ids.first().copied().unwrap_or_default());
    let edit = json!({ "body": "changed" });
    ground.repo(Role::Stranger, "PATCH", &first, &edit).await?.expect(403)?;
    ground.repo(Role::Bot, "PATCH", &first, &edit).await?.expect(200)?;
    ground.get(&first).await?.holds("/body", &json!("changed"))
}

pub(super) async fn bad_comments(ground: &Ground) -> Tried {
    let path = format!("/issues/{}/comments", ground.issue("Quiet").await?);
    ground.repo(Role::Bot, "POST", &path, &json!({ "body": "" })).await?.expect(422)?;
    let missing = "/issues/999999/comments";
    // 1.15 answers 500, as recorded.
    let refused = ground.repo(Role::Bot, "POST", missing, &json!({ "body": "x" })).await?;
    refused.expect_one_of(&[404, 500])?;
    let list = ground.get(&path).await?;
    list.each("/id").is_empty().then_some(()).ok_or_else(|| list.differs("something is written"))
}

pub(super) async fn taken_away(ground: &Ground) -> Tried {
    let bot = ground.login(Role::Bot);
    let new = json!({ "title": "Taken", "labels": [ground.label()], "assignees": [bot] });
    let opened = ground.repo(Role::Owner, "POST", "/issues", &new).await?.expect(201)?;
    let path = format!("/issues/{}", opened.number("/number")?);
    let label = format!("{path}/labels/{}", ground.label());
    ground.repo(Role::Owner, "DELETE", &label, &Value::Null).await?.expect(204)?;
    let edit = json!({ "assignees": [], "state": "closed" });
    ground.repo(Role::Owner, "PATCH", &path, &edit).await?.expect(201)?;
    let issue = ground.get(&path).await?;
    issue.holds("/state", &json!("closed"))?;
    issue.holds("/labels", &json!([]))?;
    let assignees = issue.at("/assignees");
    let is_nobody = assignees.is_null() || assignees == json!([]);
    is_nobody.then_some(()).ok_or_else(|| issue.differs("still assigned"))
}

pub(super) async fn wrong_issues(ground: &Ground) -> Tried {
    for new in [json!({ "title": "" }), json!({ "title": "x", "assignees": ["nobody-at-all"] })] {
        ground.repo(Role::Owner, "POST", "/issues", &new).await?.expect(422)?;
    }
    let missing =
        ground.repo(Role::Bot, "GET", "/issues/999999", &Value::Null).await?.expect(404)?;
    let is_own = missing.at("/message").is_string();
    is_own.then_some(()).ok_or_else(|| missing.differs("a 404 that is not the forge's own"))
}

pub(super) async fn deleted(ground: &Ground) -> Tried {
    let path = format!("/issues/{}", ground.issue("Gone").await?);
    ground.repo(Role::Owner, "DELETE", &path, &Value::Null).await?.expect(204)?;
    ground.repo(Role::Bot, "GET", &path, &Value::Null).await?.expect(404).map(|_| ())
}
