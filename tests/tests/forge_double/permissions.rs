//! Who may do what, how one says who one is, pages of lists, and what is written down.

use e2e::forge_double::{Access, ForgeDouble, NewIssue, NewLineComment, Options, ReviewState};
use serde_json::{Value, json};

use super::support::{BOT, REPO, Team, try_call};

/// A team with issue 1, and pull request 2 of the bot.
async fn working_team() -> Team {
    let team = Team::start().await;
    let new = NewIssue { title: "One".to_owned(), ..NewIssue::default() };
    team.forge.create_issue("alice", REPO, &new).await.unwrap();
    team.forge.create_label("alice", REPO, "ready").await.unwrap();
    team.forge.commit_file(BOT, REPO, "topic", ("x.txt", "x\n")).await.unwrap();
    team.forge.create_pull(BOT, REPO, ("topic", "main"), new).await.unwrap();
    team
}

/// Each line: who, method, path after the repository, body, status.
#[tokio::test]
async fn each_call_needs_the_access_it_needs_on_gitea() {
    let team = working_team().await;
    let rows = [
        ("mallory", "GET", "", json!(null), 200),
        ("mallory", "GET", "/hooks", json!(null), 403),
        ("mallory", "POST", "/labels", json!({ "name": "x" }), 403),
        ("mallory", "POST", "/issues", json!({ "title": "x", "labels": [1] }), 201),
        ("mallory", "POST", "/issues", json!({ "title": "" }), 422),
        ("mallory", "POST", "/issues/1/labels", json!({ "labels": [1] }), 403),
        ("mallory", "PATCH", "/issues/1", json!({ "state": "closed" }), 403),
        ("mallory", "PATCH", "/issues/3", json!({ "state": "closed" }), 201),
        ("mallory", "PUT", "/collaborators/mallory", json!({ "permission": "admin" }), 403),
        ("mallory", "POST", "/pulls/2/merge", json!({ "Do": "merge" }), 405),
        ("mallory", "POST", "/statuses/main", json!({ "state": "success" }), 403),
        ("mallory", "DELETE", "/branches/topic", json!(null), 403),
        (BOT, "POST", "/issues/1/labels", json!({ "labels": ["ready"] }), 200),
        (BOT, "PATCH", "/issues/1", json!({ "assignees": ["nobody"] }), 422),
        (BOT, "PATCH", "/issues/1", json!({ "assignees": ["mallory"] }), 422),
        (BOT, "PATCH", "/pulls/2", json!({ "body": "new" }), 201),
        (BOT, "PATCH", "/pulls/1", json!({ "body": "new" }), 404),
        (BOT, "POST", "/pulls/2/reviews", json!({ "event": "APPROVED" }), 422),
        (BOT, "POST", "/pulls", json!({ "title": "x", "head": "main", "base": "main" }), 422),
        (BOT, "POST", "/hooks", json!({ "config": { "url": "http://x" } }), 403),
        (BOT, "DELETE", "/branches/main", json!(null), 403),
        (BOT, "POST", "/pulls/2/merge", json!({ "Do": "rebase" }), 422),
        (BOT, "POST", "/pulls/2/merge", json!({ "Do": "merge", "head_commit_id": "0" }), 409),
        (BOT, "POST", "/pulls/2/merge", json!({ "Do": "squash" }), 200),
        (BOT, "POST", "/pulls/2/merge", json!({ "Do": "merge" }), 405),
        (BOT, "PATCH", "/pulls/2", json!({ "state": "open" }), 412),
    ];
    for (who, method, rest, body, status) in rows {
        let path = format!("/repos/{REPO}{rest}");
        let reply = team.api(who, method, &path, body.clone()).await;
        assert_eq!(reply.status, status, "{who} {method} {rest} {body}: {}", reply.text);
    }
    let labels = team.api(BOT, "GET", &format!("/repos/{REPO}/issues/3/labels"), Value::Null).await;
    assert_eq!(labels.json(), json!([]), "labels of those who may not write are passed over");
}

#[tokio::test]
async fn comments_belong_to_their_author_and_locked_issues_to_writers() {
    let team = working_team().await;
    let forge = &team.forge;
    let id = forge.comment("bob", REPO, 1, "mine").await.unwrap();
    let path = format!("/repos/{REPO}/issues/comments/{id}");
    let edit = json!({ "body": "changed" });
    assert_eq!(team.api(BOT, "PATCH", &path, edit.clone()).await.status, 403);
    assert_eq!(team.api("bob", "PATCH", &path, json!({ "body": "" })).await.status, 422);
    assert_eq!(team.api("bob", "PATCH", &path, edit).await.json()["body"], "changed");
    assert_eq!(team.api("mallory", "GET", &path, Value::Null).await.json()["body"], "changed");
    assert_eq!(team.api("bob", "DELETE", &path, Value::Null).await.status, 204);
    assert_eq!(team.api("bob", "GET", &path, Value::Null).await.status, 404);
    forge.lock("alice", REPO, 1).await.unwrap();
    assert_eq!(forge.comment("bob", REPO, 1, "x").await.unwrap_err().status(), 403);
    forge.comment(BOT, REPO, 1, "x").await.unwrap();
}

#[tokio::test]
async fn only_admins_may_look_up_the_permission_of_others() {
    let team = Team::start().await;
    let path = |user: &str| format!("/repos/{REPO}/collaborators/{user}/permission");
    for (user, word) in [("alice", "owner"), (BOT, "write"), ("bob", "read")] {
        let reply = team.api("alice", "GET", &path(user), Value::Null).await.json();
        assert_eq!((&reply["permission"], &reply["user"]["login"]), (&json!(word), &json!(user)));
    }
    assert_eq!(team.api(BOT, "GET", &path("bob"), Value::Null).await.status, 403);
    assert_eq!(team.api(BOT, "GET", &path(BOT), Value::Null).await.json()["permission"], "write");
    team.forge.add_collaborator("alice", REPO, BOT, Access::None).await.unwrap();
    assert_eq!(team.api(BOT, "GET", &path(BOT), Value::Null).await.json()["permission"], "read");
}

#[tokio::test]
async fn members_are_seen_by_members_only() {
    let team = Team::start().await;
    team.forge.create_org("alice", "bots").await.unwrap();
    team.forge.add_member("alice", "bots", BOT).await.unwrap();
    let path = format!("/orgs/bots/members/{BOT}");
    let as_user = |user: &'static str| team.api(user, "GET", &path, Value::Null);
    assert_eq!(as_user(BOT).await.status, 204);
    assert_eq!(as_user("mallory").await.status, 404);
    team.forge.remove_member("alice", "bots", BOT).await.unwrap();
    assert_eq!(as_user("alice").await.status, 404);
    assert_eq!(
        team.forge.add_member("mallory", "bots", "mallory").await.unwrap_err().status(),
        403
    );
}

#[tokio::test]
async fn a_token_works_in_every_form_until_it_is_taken_away() {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    let team = Team::start().await;
    let token = team.forge.token(BOT).unwrap();
    let url = format!("{}/api/v1/user", team.forge.base_url());
    let forms = [
        format!("token {token}"),
        format!("Bearer {token}"),
        format!("bearer {token}"),
        format!("Basic {}", STANDARD.encode(format!("{BOT}:{token}"))),
        format!("Basic {}", STANDARD.encode(format!("{token}:x-oauth-basic"))),
    ];
    for form in &forms {
        let reply = try_call("GET", &url, Some(form), None).await.unwrap();
        assert_eq!(reply.json()["login"], BOT, "{form}");
    }
    assert_eq!(try_call("GET", &url, None, None).await.unwrap().status, 401);
    let other = team.forge.rotate_token(BOT).await.unwrap();
    assert_ne!(other, token);
    for form in &forms {
        assert_eq!(try_call("GET", &url, Some(form), None).await.unwrap().status, 401, "{form}");
    }
}

#[tokio::test]
async fn links_lead_through_all_pages() {
    let team = Team::start().await;
    for number in 1..=7 {
        let new = NewIssue { title: format!("Issue {number}"), ..NewIssue::default() };
        team.forge.create_issue("alice", REPO, &new).await.unwrap();
    }
    let token = format!("token {}", team.forge.token(BOT).unwrap());
    let base = team.forge.base_url();
    let mut url = format!("{base}/api/v1/repos/{REPO}/issues?state=all&limit=3");
    let mut numbers = Vec::new();
    loop {
        let reply = try_call("GET", &url, Some(&token), None).await.unwrap();
        assert_eq!(reply.header("X-Total-Count"), Some("7"));
        let list = reply.json();
        numbers
            .extend(list.as_array().unwrap().iter().map(|issue| issue["number"].as_u64().unwrap()));
        let links = reply.header("Link").unwrap().to_owned();
        let Some(next) = links.split(',').find(|link| link.ends_with("rel=\"next\"")) else {
            break;
        };
        next[1..next.find('>').unwrap()].clone_into(&mut url);
    }
    assert_eq!(numbers, [7, 6, 5, 4, 3, 2, 1]);
}

#[tokio::test]
async fn lists_of_issues_are_filtered() {
    let team = working_team().await;
    team.forge.label("alice", REPO, 1, "ready").await.unwrap();
    team.forge.assign("alice", REPO, 1, BOT).await.unwrap();
    let future = "since=2999-01-01T00:00:00Z";
    let rows = [
        ("", 2),
        ("type=issues", 1),
        ("type=pulls", 1),
        ("state=closed", 0),
        ("labels=ready", 1),
        ("labels=ready,unknown", 0),
        ("assigned_by=implementer-bot", 1),
        ("created_by=implementer-bot", 1),
        (future, 0),
    ];
    for (query, count) in rows {
        let path = format!("/repos/{REPO}/issues?{query}");
        let list = team.api(BOT, "GET", &path, Value::Null).await.json();
        assert_eq!(list.as_array().unwrap().len(), count, "{query}");
    }
    let by_branches = format!("/repos/{REPO}/pulls/main/topic");
    assert_eq!(team.api(BOT, "GET", &by_branches, Value::Null).await.json()["number"], 2);
    let diff = team.api(BOT, "GET", &format!("/repos/{REPO}/pulls/2.diff"), Value::Null).await;
    assert!(diff.text.contains("+x\n"));
    let files = team.api(BOT, "GET", &format!("/repos/{REPO}/pulls/2/files"), Value::Null).await;
    assert_eq!(files.json()[0]["filename"], "x.txt");
}

#[tokio::test]
async fn the_worst_status_of_a_commit_counts() {
    let team = working_team().await;
    let sha = team.forge.branch_sha(REPO, "topic").await.unwrap();
    let path = format!("/repos/{REPO}/commits/{sha}/status");
    assert_eq!(team.api(BOT, "GET", &path, Value::Null).await.json()["statuses"], Value::Null);
    for (context, state) in [("a", "failure"), ("b", "success"), ("a", "pending")] {
        team.forge.set_commit_status(BOT, REPO, &sha, (context, state, "")).await.unwrap();
    }
    let combined = team.api(BOT, "GET", &path, Value::Null).await.json();
    assert_eq!((&combined["state"], &combined["total_count"]), (&json!("pending"), &json!(2)));
}

#[tokio::test]
async fn a_review_becomes_stale_when_the_head_moves() {
    let team = working_team().await;
    let line = NewLineComment { path: "x.txt".to_owned(), ..NewLineComment::default() };
    let verdict = (ReviewState::RequestChanges, "no");
    team.forge.review("alice", REPO, 2, verdict, vec![line]).await.unwrap();
    let path = format!("/repos/{REPO}/pulls/2/reviews");
    assert_eq!(team.api(BOT, "GET", &path, Value::Null).await.json()[0]["stale"], false);
    team.forge.commit_file(BOT, REPO, "topic", ("x.txt", "y\n")).await.unwrap();
    assert_eq!(team.api(BOT, "GET", &path, Value::Null).await.json()[0]["stale"], true);
}

#[tokio::test]
async fn an_answer_in_a_review_is_its_writers_and_not_the_reviewers() {
    let team = working_team().await;
    let receiver = team.listen().await;
    let line = |body: &str| NewLineComment {
        path: "x.txt".to_owned(),
        body: body.to_owned(),
        new_position: 1,
        ..NewLineComment::default()
    };
    let said = (ReviewState::RequestChanges, "no");
    let review = team.forge.review("alice", REPO, 2, said, vec![line("why?")]).await.unwrap();
    let id = team.forge.reply_in_review("mallory", REPO, (2, review), line("so!")).await.unwrap();
    let path = format!("/repos/{REPO}/pulls/2/reviews/{review}");
    let comments = team.api(BOT, "GET", &format!("{path}/comments"), Value::Null).await.json();
    let shown = |at: usize| (comments[at]["user"]["login"].clone(), comments[at]["body"].clone());
    assert_eq!(shown(0), (json!("alice"), json!("why?")));
    assert_eq!(shown(1), (json!("mallory"), json!("so!")));
    assert_eq!(comments[1]["diff_hunk"], comments[0]["diff_hunk"]);
    assert_eq!(team.api(BOT, "GET", &path, Value::Null).await.json()["comments_count"], 2);
    let told = receiver.after(&team.forge).await;
    assert_eq!(told, ["pull_request_rejected/reviewed", "issue_comment/created"]);
    assert_eq!(receiver.all()[1].json()["comment"]["id"], id);
    let lost = team.forge.reply_in_review("mallory", REPO, (2, 99), line("x")).await;
    assert_eq!(lost.unwrap_err().status(), 404);
}

#[tokio::test]
async fn requests_are_written_down_with_their_credentials() {
    let team = working_team().await;
    let path = format!("/repos/{REPO}/issues/1/comments");
    team.api(BOT, "POST", &format!("{path}?x=1"), json!({ "body": "hello" })).await;
    let request = team.forge.requests().pop().unwrap();
    let token = team.forge.token(BOT).unwrap();
    assert_eq!(request.method, "POST");
    assert_eq!(request.path, format!("/api/v1{path}"));
    assert_eq!(request.query, "x=1");
    assert_eq!(request.user.as_deref(), Some(BOT));
    assert_eq!(request.authorization, Some(format!("token {token}")));
    assert_eq!(request.body, br#"{"body":"hello"}"#);
    assert_eq!(request.status, Some(201));
    assert_eq!(team.forge.take_violations().len(), 1, "the parameter is made up");
}

#[tokio::test]
async fn a_public_host_is_what_documents_name() {
    let listen = "0.0.0.0:0".parse().unwrap();
    let options = Options { listen, public_host: Some("forge.example.test".to_owned()) };
    let forge = ForgeDouble::start(options).await.unwrap();
    forge.create_user("alice").await.unwrap();
    forge.create_repo("alice", REPO).await.unwrap();
    let url = format!("http://127.0.0.1:{}/api/v1/repos/{REPO}", forge.address().port());
    let repo = try_call("GET", &url, None, None).await.unwrap().json();
    let expected = format!("http://forge.example.test:{}/{REPO}.git", forge.address().port());
    assert_eq!(repo["clone_url"], expected);
    assert_eq!(forge.clone_url(REPO), expected);
}

#[tokio::test]
async fn what_was_deleted_is_gone_and_its_number_stays_used() {
    let team = working_team().await;
    let issue = format!("/repos/{REPO}/issues/2");
    assert_eq!(team.api(BOT, "DELETE", &issue, Value::Null).await.status, 403);
    assert_eq!(team.api("alice", "DELETE", &issue, Value::Null).await.status, 204);
    assert_eq!(team.api(BOT, "GET", &issue, Value::Null).await.status, 404);
    let new = NewIssue { title: "Next".to_owned(), ..NewIssue::default() };
    assert_eq!(team.forge.create_issue("alice", REPO, &new).await.unwrap(), 3);
    team.forge.delete_issue("alice", REPO, 3).await.unwrap();
    team.forge.delete_repo("alice", REPO).await.unwrap();
    assert_eq!(team.api("alice", "GET", &format!("/repos/{REPO}"), Value::Null).await.status, 404);
}
