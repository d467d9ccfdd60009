//! What owners and admins change behind a bot's back: names, owners, branches, rights, accounts.

use e2e::forge_double::{Access, NewIssue};
use serde_json::{Value, json};

use super::support::{BOT, REPO, Team, WorkTree, try_call, with_credentials};

async fn team_with_issue() -> Team {
    let team = Team::start().await;
    let new = NewIssue { title: "One".to_owned(), ..NewIssue::default() };
    team.forge.create_issue("alice", REPO, &new).await.unwrap();
    team
}

#[tokio::test]
async fn the_old_name_of_a_repository_leads_to_the_new_one() {
    let team = team_with_issue().await;
    let comments = team.clone_as(BOT).await;
    let now = team.forge.rename_repo("alice", REPO, "gadget").await.unwrap();
    assert_eq!(now, "alice/gadget");
    let old = team.api(BOT, "GET", &format!("/repos/{REPO}/issues/1?x=y"), Value::Null).await;
    assert_eq!(old.status, 301);
    assert_eq!(old.header("Location"), Some("/api/v1/repos/alice/gadget/issues/1?x=y"));
    let issue = team.api(BOT, "GET", "/repos/alice/gadget/issues/1", Value::Null).await.json();
    assert_eq!(issue["repository"]["full_name"], "alice/gadget");
    // Git follows by itself.
    comments.commit("a.txt", b"a\n", "a").await;
    comments.git(&["push", "--quiet", "origin", "HEAD:topic"]).await;
    assert!(team.forge.branch_sha("alice/gadget", "topic").await.is_some());

    let url = format!("{}/api/v1/repos/{REPO}", team.forge.base_url());
    assert_eq!(try_call("GET", &url, Some("token 0123"), None).await.unwrap().status, 401);
    // Another repository takes the old name.
    team.forge.create_repo("alice", REPO).await.unwrap();
    let repo = team.api("alice", "GET", &format!("/repos/{REPO}"), Value::Null).await.json();
    assert_eq!((&repo["full_name"], &repo["open_issues_count"]), (&json!(REPO), &json!(0)));
    assert_eq!(team.forge.branches(REPO).await.unwrap(), ["main"], "nothing of the old one");
}

#[tokio::test]
async fn a_transferred_repository_keeps_its_id_and_its_issues() {
    let team = team_with_issue().await;
    team.forge.create_org("alice", "makers").await.unwrap();
    let id = |name: &'static str| {
        let team = &team;
        async move {
            team.api("alice", "GET", &format!("/repos/{name}"), Value::Null).await.json()["id"]
                .clone()
        }
    };
    let before = id(REPO).await;
    let body = json!({ "new_owner": "makers" });
    let path = format!("/repos/{REPO}/transfer");
    assert_eq!(team.api(BOT, "POST", &path, body.clone()).await.status, 403);
    assert_eq!(team.api("alice", "POST", &path, body).await.status, 202);
    assert_eq!(id("makers/widget").await, before);
    let issue = "/repos/makers/widget/issues/1";
    assert_eq!(team.api(BOT, "GET", issue, Value::Null).await.status, 200);
    assert_eq!(
        team.forge.rename_repo("alice", "makers/widget", "..").await.unwrap_err().status(),
        422
    );
}

#[tokio::test]
async fn an_archived_repository_is_read_and_not_changed() {
    let team = team_with_issue().await;
    let comment = team.forge.comment(BOT, REPO, 1, "before").await.unwrap();
    team.forge.commit_file(BOT, REPO, "topic", ("x.txt", "x\n")).await.unwrap();
    let tree = team.clone_as(BOT).await;
    team.forge.archive_repo("alice", REPO, true).await.unwrap();
    let rows = [
        ("GET", "", Value::Null, 200),
        ("GET", "/issues/1/comments", Value::Null, 200),
        ("POST", "/issues", json!({ "title": "x" }), 423),
        ("POST", "/issues/1/comments", json!({ "body": "x" }), 423),
        ("PATCH", &format!("/issues/comments/{comment}"), json!({ "body": "x" }), 423),
        ("POST", "/pulls", json!({ "title": "x", "head": "topic", "base": "main" }), 423),
        ("DELETE", "/branches/topic", Value::Null, 423),
    ];
    for (method, rest, body, status) in rows {
        let reply = team.api(BOT, method, &format!("/repos/{REPO}{rest}"), body).await;
        assert_eq!(reply.status, status, "{method} {rest}: {}", reply.text);
    }
    tree.commit("a.txt", b"a\n", "a").await;
    let said = tree.try_git(&["push", "--quiet", "origin", "HEAD:other"]).await.unwrap_err();
    assert!(said.contains("403"), "{said}");
    team.forge.archive_repo("alice", REPO, false).await.unwrap();
    team.forge.comment(BOT, REPO, 1, "after").await.unwrap();
}

#[tokio::test]
async fn a_renamed_default_branch_is_the_base_of_its_pull_requests() {
    let team = team_with_issue().await;
    team.forge.commit_file(BOT, REPO, "topic", ("x.txt", "x\n")).await.unwrap();
    let new = NewIssue { title: "Two".to_owned(), ..NewIssue::default() };
    let pull = team.forge.create_pull(BOT, REPO, ("topic", "main"), new).await.unwrap();
    team.forge.rename_branch("alice", REPO, "main", "trunk").await.unwrap();
    let get = |rest: String| {
        team.api(
            BOT,
            "GET",
            Box::leak(format!("/repos/{REPO}{rest}").into_boxed_str()),
            Value::Null,
        )
    };
    assert_eq!(get(String::new()).await.json()["default_branch"], "trunk");
    assert_eq!(get(format!("/pulls/{pull}")).await.json()["base"]["ref"], "trunk");
    let tree = team.clone_as(BOT).await;
    assert_eq!(tree.git(&["branch", "--show-current"]).await.trim(), "trunk");
    team.forge.set_default_branch("alice", REPO, "topic").await.unwrap();
    assert_eq!(get(String::new()).await.json()["default_branch"], "topic");
    assert_eq!(
        team.forge.rename_branch("alice", REPO, "gone", "x").await.unwrap_err().status(),
        404
    );
    assert_eq!(
        team.forge.rename_branch("alice", REPO, "trunk", "topic").await.unwrap_err().status(),
        422
    );
}

#[tokio::test]
async fn a_suspended_account_is_told_so_and_may_come_back() {
    let team = team_with_issue().await;
    team.forge.suspend_user(BOT, true).await.unwrap();
    let reply = team.api(BOT, "GET", "/user", Value::Null).await;
    assert_eq!(reply.status, 403);
    assert!(reply.json()["message"].as_str().unwrap().contains("prohibited"), "{}", reply.text);
    let token = team.forge.token(BOT).unwrap();
    let url = with_credentials(&team.forge.clone_url(REPO), BOT, &token);
    let tree = WorkTree::clone(&team.forge.clone_url(REPO)).await;
    assert!(tree.try_git(&["push", "--quiet", &url, "HEAD:topic"]).await.is_err());
    let shown = team.api("alice", "GET", &format!("/users/{BOT}"), Value::Null).await.json();
    assert_eq!(shown["prohibit_login"], true);
    team.forge.suspend_user(BOT, false).await.unwrap();
    assert_eq!(team.api(BOT, "GET", "/user", Value::Null).await.status, 200);
}

#[tokio::test]
async fn a_renamed_account_keeps_its_token_its_rights_and_its_words() {
    let team = team_with_issue().await;
    team.forge.comment(BOT, REPO, 1, "mine").await.unwrap();
    team.forge.assign("alice", REPO, 1, BOT).await.unwrap();
    let token = format!("token {}", team.forge.token(BOT).unwrap());
    team.forge.rename_user(BOT, "other-bot").await.unwrap();
    let url = |rest: &str| format!("{}/api/v1{rest}", team.forge.base_url());
    let me = try_call("GET", &url("/user"), Some(&token), None).await.unwrap().json();
    assert_eq!(me["login"], "other-bot");
    let issue = team.api("alice", "GET", &format!("/repos/{REPO}/issues/1"), Value::Null).await;
    assert_eq!(issue.json()["assignees"][0]["login"], "other-bot");
    let comments = format!("/repos/{REPO}/issues/1/comments");
    let comments = team.api("alice", "GET", &comments, Value::Null).await.json();
    assert_eq!(comments[0]["user"]["login"], "other-bot");
    let permission = format!("/repos/{REPO}/collaborators/other-bot/permission");
    let permission = team.api("alice", "GET", &permission, Value::Null).await.json();
    assert_eq!(permission["permission"], "write");
    assert_eq!(team.forge.rename_user("alice", "x").await.unwrap_err().status(), 422);
    assert_eq!(team.forge.rename_user("bob", "alice").await.unwrap_err().status(), 422);
}

#[tokio::test]
async fn files_are_read_at_a_branch_or_commit() {
    let team = team_with_issue().await;
    let first = team.forge.commit_file(BOT, REPO, "topic", ("docs/x.txt", "x\n")).await.unwrap();
    team.forge.commit_file(BOT, REPO, "topic", ("docs/x.txt", "y\n")).await.unwrap();
    let rows = [
        ("README.md", 200, Some("IyB3aWRnZXQKCg==")),
        ("docs/x.txt", 404, None),
        ("docs/x.txt?ref=topic", 200, Some("eQo=")),
        (&format!("docs/x.txt?ref={first}"), 200, Some("eAo=")),
        ("docs/x.txt?ref=--help", 404, None),
        ("docs?ref=topic", 404, None),
    ];
    for (rest, status, content) in rows {
        let path = format!("/repos/{REPO}/contents/{rest}");
        let reply = team.api(BOT, "GET", &path, Value::Null).await;
        assert_eq!(reply.status, status, "{rest}: {}", reply.text);
        assert_eq!(reply.json()["content"].as_str(), content, "{rest}");
    }
    let root =
        team.api(BOT, "GET", &format!("/repos/{REPO}/contents?ref=topic"), Value::Null).await;
    let root = root.json();
    let names: Vec<_> =
        root.as_array().unwrap().iter().map(|entry| (&entry["type"], &entry["name"])).collect();
    assert_eq!(names, [(&json!("file"), &json!("README.md")), (&json!("dir"), &json!("docs"))]);
}

#[tokio::test]
async fn an_admin_makes_accounts_which_get_tokens_by_their_password() {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    let team = Team::start().await;
    team.forge.create_site_admin("root").await.unwrap();
    let new = json!({ "username": "eve", "email": "eve@example.test", "password": "secret-word" });
    assert_eq!(team.api("alice", "POST", "/admin/users", new.clone()).await.status, 403);
    assert_eq!(team.api("root", "POST", "/admin/users", new).await.status, 201);
    let url = format!("{}/api/v1/users/eve/tokens", team.forge.base_url());
    let body = json!({ "name": "t", "scopes": ["all"] });
    for (login, password, status) in
        [("eve", "secret-word", 201), ("eve", "x", 401), ("bob", "secret-word", 401)]
    {
        let basic = format!("Basic {}", STANDARD.encode(format!("{login}:{password}")));
        let reply = try_call("POST", &url, Some(&basic), Some(&body)).await.unwrap();
        assert_eq!(reply.status, status, "{login} {password}");
        if status == 201 {
            assert_eq!(reply.json()["sha1"].as_str(), team.forge.token("eve").as_deref());
        }
    }
    assert_eq!(team.api("eve", "POST", "/user/repos", json!({ "name": "own" })).await.status, 201);
    team.forge.add_collaborator("alice", REPO, "eve", Access::Write).await.unwrap();
    assert_eq!(team.api("root", "DELETE", "/admin/users/eve", Value::Null).await.status, 422);
    assert_eq!(
        team.api("root", "DELETE", "/admin/users/eve?purge=true", Value::Null).await.status,
        204
    );
    assert_eq!(team.api("root", "GET", "/repos/eve/own", Value::Null).await.status, 404);
}
