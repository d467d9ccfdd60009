//! What other versions of Gitea, and Forgejo, answer otherwise than the recorded one.

use forge::{Forge as _, ForgeError};
use protocol::{
    ids::{IssueNumber, RepoName},
    item::{IssueState, PullState},
};
use serde_json::json;

use crate::recorded::{Server, made, recording};

const BOT: &str = "implementer-bot";
const ISSUES: &str = "/api/v1/repos/alice/widget/issues";
const PULLS: &str = "/api/v1/repos/alice/widget/pulls";

fn repo() -> RepoName {
    "alice/widget".parse().unwrap()
}

fn one() -> IssueNumber {
    1.try_into().unwrap()
}

#[tokio::test]
async fn gitea_and_forgejo_tell_their_versions() {
    let versions = [
        "1.15.11",
        "1.25.3",
        "1.26.0+dev-12-gabcdef",
        "7.0.16+gitea-1.21.11",
        "13.0.3+gitea-1.22.0",
    ];
    let told =
        versions.map(|version| made("GET", "/api/v1/version", 200, json!({"version": version})));
    let odd = made("GET", "/api/v1/version", 200, json!({"name": "something else"}));
    let server = Server::start(told.into_iter().chain([odd])).await;
    let forge = server.client(BOT);
    for version in versions {
        assert_eq!(forge.version().await.unwrap(), version);
    }
    let odd = forge.version().await.unwrap_err();
    assert!(matches!(odd, ForgeError::BadAnswer { .. }), "{odd:?}");
    server.finish();
}

/// Forgejo and newer Giteas: other headers, more fields, other words.
#[tokio::test]
async fn headers_and_fields_of_forgejo_are_taken() {
    let dress = |exchange: crate::recorded::Recording| {
        exchange
            .header("Content-Type", "application/json; charset=UTF-8")
            .header("X-Total-Count", "1")
            .header("Link", "<http://elsewhere.invalid/?page=2>; rel=\"next\"")
            .header("Cache-Control", "max-age=0, private, must-revalidate, no-transform")
            .header("X-Forgejo-Version", "13.0.3")
            .header("Deprecation", "true")
            .header("ETag", "\"abc\"")
    };
    let mut pull = recording("44-pr-list-open").json();
    pull[0]["draft"] = json!(true);
    pull[0]["flow"] = json!(0);
    pull[0]["requested_reviewers_teams"] = json!(null);
    pull[0]["merged_at"] = json!(null);
    let listed = dress(recording("44-pr-list-open").body(&pull.to_string()));
    let mut issue = recording("23-issue-get").json();
    issue["pin_order"] = json!(0);
    issue["time_estimate"] = json!(0);
    issue["assets"] = json!([]);
    issue["user"]["login_name"] = json!("");
    issue["user"]["pronouns"] = json!("they/them");
    let issue = dress(recording("23-issue-get").body(&issue.to_string()));
    let server = Server::start([listed, issue]).await;
    let forge = server.client(BOT);
    let head = "bot-bottle/implementer/1".parse().unwrap();
    let found = forge.pr_by_head(&repo(), &head).await.unwrap().unwrap();
    assert_eq!(found.state, PullState::Open);
    assert_eq!(forge.read_issue(&repo(), one()).await.unwrap().state, IssueState::Open);
    server.finish();
}

// CASES 196
#[tokio::test]
async fn ids_may_be_texts_and_times_may_lack_their_zone() {
    let times = json!({
        "number": "1", "state": "open", "created_at": "2026-11-20T18:25:13",
        "updated_at": "2026-11-20T20:25:13.5+02:00",
    });
    let big = "9223372036854775807";
    let comments = json!([
        {"id": big, "body": "late", "created_at": "2026-11-20T18:25:14"},
        {"id": 3, "body": "early", "created_at": "2026-11-20T18:25:13Z"},
    ]);
    let odd = json!([{"id": "one", "body": "x"}]);
    let server = Server::start([
        made("GET", &format!("{ISSUES}/1"), 200, times),
        made("GET", &format!("{ISSUES}/1/comments"), 200, comments),
        made("GET", &format!("{ISSUES}/1/comments"), 200, odd),
    ])
    .await;
    let forge = server.client(BOT);
    let issue = forge.read_issue(&repo(), one()).await.unwrap();
    assert_eq!(issue.created_at.to_string(), "2026-11-20T18:25:13Z");
    assert_eq!(issue.updated_at.to_string(), "2026-11-20T18:25:13.5Z");
    let comments = forge.read_comments(&repo(), one()).await.unwrap();
    let ids: Vec<_> = comments.iter().map(|comment| comment.id).collect();
    assert_eq!(ids, [3, i64::MAX as u64]);
    let odd = forge.read_comments(&repo(), one()).await.unwrap_err();
    assert!(matches!(odd, ForgeError::BadAnswer { .. }), "{odd:?}");
    server.finish();
}

// CASES 196: nothing is asked conditionally, so "not modified" is no answer to us, and a body that
// comes with an old ETag is read anew.
#[tokio::test]
async fn nothing_is_taken_for_unchanged() {
    let path = format!("{ISSUES}/1");
    let first = recording("23-issue-get").header("ETag", "\"same\"");
    let second = first.clone().with("/state", json!("closed"));
    let server = Server::start([first, second, made("GET", &path, 304, "")]).await;
    let forge = server.client(BOT);
    let mut states = Vec::new();
    for _ in 0..2 {
        states.push(forge.read_issue(&repo(), one()).await.unwrap().state);
    }
    assert_eq!(states, [IssueState::Open, IssueState::Closed]);
    let unchanged = forge.read_issue(&repo(), one()).await.unwrap_err();
    assert!(matches!(unchanged, ForgeError::BadAnswer { .. }), "{unchanged:?}");
    server.finish();
}

// CASES 197, 199
#[tokio::test]
async fn what_cannot_be_written_to_says_why() {
    let path = format!("{ISSUES}/1/comments");
    let refusals = [
        (423, "Repo is archived", "does not permit"),
        (403, "issue is locked, and you are not a collaborator", "does not permit"),
        (403, "blocked user", "does not permit"),
        (403, "mirror repository is read-only", "does not permit"),
        (422, "too many mentions: looks like spam", "refused the content of"),
    ];
    let answers = refusals.map(|(status, message, _)| {
        made(
            "POST",
            &path,
            status,
            json!({"message": message, "url": "http://10.0.0.7/api/swagger"}),
        )
        .expecting(json!({"body": "x"}))
    });
    let server = Server::start(answers).await;
    let forge = server.client(BOT);
    for (status, message, kind) in refusals {
        let error = forge.post_comment(&repo(), one(), "x").await.unwrap_err();
        let wanted =
            format!("the forge {kind}: comment on alice/widget#1: {message} (status {status})");
        assert_eq!(error.to_string(), wanted);
        assert!(!forge::again::is_unknown(&error) && error.retry_after().is_none(), "{error:?}");
    }
    server.finish();
}

// CASES 184
#[tokio::test]
async fn a_limit_that_only_its_words_tell_is_a_limit() {
    let path = format!("{PULLS}/1");
    let told = [
        ("You have exceeded a secondary rate limit", true),
        ("API Rate Limit Exceeded", true),
        ("Must have admin rights to Repository.", false),
    ];
    for (message, is_limit) in told {
        let server = Server::start([made("GET", &path, 403, json!({"message": message}))]).await;
        let error = server.client(BOT).read_pr(&repo(), one()).await.unwrap_err();
        assert_eq!(matches!(error, ForgeError::RateLimited { .. }), is_limit, "{error:?}");
        server.finish();
    }
}

// CASES 198
#[tokio::test]
async fn a_renamed_or_suspended_account_shows_in_whoami() {
    let renamed = recording("02-user-self").with("/login", json!("implementer-bot-2"));
    let suspended =
        made("GET", "/api/v1/user", 403, json!({"message": "Your account is suspended."}));
    let revoked = made("GET", "/api/v1/user", 401, json!({"message": "token is required"}));
    let server = Server::start([renamed, suspended, revoked]).await;
    let forge = server.client(BOT);
    assert_eq!(forge.whoami().await.unwrap().as_str(), "implementer-bot-2");
    let suspended = forge.whoami().await.unwrap_err();
    assert!(suspended.to_string().contains("suspended"), "{suspended}");
    let revoked = forge.whoami().await.unwrap_err();
    assert!(matches!(revoked, ForgeError::BadToken { .. }), "{revoked:?}");
    server.finish();
}
