//! Faults do what they say, to the requests they name, and no longer than they say.

use std::time::Duration;

use axum::http::Method;
use e2e::forge_double::{CannedAnswer, Fault, FaultKind, NewIssue};
use futures_util::FutureExt as _;
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};

use super::support::{REPO, Team, try_call};

const COMMENTS: &str = "/issues/1/comments";

async fn team_with_issue() -> Team {
    let team = Team::start().await;
    let new = NewIssue { title: "One".to_owned(), ..NewIssue::default() };
    assert_eq!(team.forge.create_issue("alice", REPO, &new).await.unwrap(), 1);
    team
}

fn on_comment(kind: FaultKind) -> Fault {
    Fault::new(kind).on(Method::POST, COMMENTS)
}

async fn comment(team: &Team, body: &str) -> u16 {
    let path = format!("/repos/{REPO}{COMMENTS}");
    team.api("bob", "POST", &path, json!({ "body": body })).await.status
}

async fn bodies(team: &Team) -> Vec<String> {
    let path = format!("/repos/{REPO}{COMMENTS}");
    let list = team.api("bob", "GET", &path, Value::Null).await.json();
    let list = list.as_array().unwrap();
    list.iter().map(|comment| comment["body"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_status_strikes_the_named_call_only_and_nothing_is_done() {
    let team = team_with_issue().await;
    team.forge.fault(on_comment(FaultKind::Status(500)).nth(2));
    assert!(bodies(&team).await.is_empty(), "another method is not struck");
    let mut answers = Vec::new();
    for body in ["a", "b", "c"] {
        answers.push(comment(&team, body).await);
    }
    assert_eq!(answers, [201, 500, 201]);
    assert_eq!(bodies(&team).await, ["a", "c"]);
}

#[tokio::test]
async fn a_fault_can_strike_several_times_and_be_cleared() {
    let team = team_with_issue().await;
    team.forge.fault(on_comment(FaultKind::Status(502)).times(2));
    let mut answers = Vec::new();
    for body in ["a", "b", "c"] {
        answers.push(comment(&team, body).await);
    }
    assert_eq!(answers, [502, 502, 201]);
    team.forge.fault(Fault::new(FaultKind::Status(503)).times(usize::MAX));
    assert_eq!(comment(&team, "d").await, 503);
    team.forge.clear_faults();
    assert_eq!(comment(&team, "e").await, 201);
    assert_eq!(bodies(&team).await, ["c", "e"]);
}

#[tokio::test]
async fn a_status_after_the_effect_hides_that_it_was_done() {
    let team = team_with_issue().await;
    team.forge.fault(on_comment(FaultKind::AfterThenStatus(500)));
    assert_eq!(comment(&team, "done").await, 500);
    assert_eq!(bodies(&team).await, ["done"]);
}

#[tokio::test]
async fn a_connection_breaks_before_or_after_the_effect() {
    let team = team_with_issue().await;
    let url = format!("{}/api/v1/repos/{REPO}{COMMENTS}", team.forge.base_url());
    let token = format!("token {}", team.forge.token("bob").unwrap());
    for (kind, body) in [(FaultKind::DropConnection, "lost"), (FaultKind::AfterThenDrop, "kept")] {
        team.forge.fault(on_comment(kind));
        let body = json!({ "body": body });
        assert!(try_call("POST", &url, Some(&token), Some(&body)).await.is_err());
    }
    assert_eq!(bodies(&team).await, ["kept"]);
    let requests = team.forge.requests();
    assert_eq!(requests[0].status, None, "what was dropped has no status");
}

#[tokio::test]
async fn a_delay_comes_before_or_after_the_effect() {
    let team = team_with_issue().await;
    let pause = Duration::from_millis(300);
    team.forge.fault(on_comment(FaultKind::Delay(pause)));
    let begin = Instant::now();
    assert_eq!(comment(&team, "late").await, 201);
    assert!(begin.elapsed() >= pause);

    let forever = Duration::from_secs(3600);
    team.forge.fault(on_comment(FaultKind::DelayAfter(forever)));
    assert!(timeout(pause, comment(&team, "unanswered")).await.is_err());
    team.forge.fault(on_comment(FaultKind::Delay(forever)));
    assert!(timeout(pause, comment(&team, "undone")).await.is_err());
    assert_eq!(bodies(&team).await, ["late", "unanswered"]);
}

#[tokio::test]
async fn a_login_page_comes_with_status_200() {
    let team = team_with_issue().await;
    team.forge.fault(Fault::new(FaultKind::Html200).on_path("/issues/1"));
    let reply = team.api("bob", "GET", &format!("/repos/{REPO}/issues/1"), Value::Null).await;
    assert_eq!(reply.status, 200);
    assert!(reply.header("Content-Type").unwrap().starts_with("text/html"));
    assert!(reply.text.starts_with("<!DOCTYPE html>"));
}

#[tokio::test]
async fn an_answer_can_be_given_word_for_word() {
    let team = team_with_issue().await;
    let answer = CannedAnswer {
        status: 429,
        headers: vec![("Retry-After".to_owned(), "7".to_owned())],
        body: "slow down".to_owned(),
    };
    team.forge.fault(Fault::new(FaultKind::Answer(answer)));
    let reply = team.api("bob", "GET", "/user", Value::Null).await;
    assert_eq!((reply.status, reply.text.as_str()), (429, "slow down"));
    assert_eq!(reply.header("Retry-After"), Some("7"));
}

#[tokio::test]
async fn a_rate_limit_says_when_to_come_back() {
    let team = team_with_issue().await;
    for (status, after) in [(429, "7"), (403, "Wed, 21 Oct 2015 07:28:00 GMT"), (429, "1e12")] {
        team.forge.fault(Fault::new(FaultKind::rate_limit(status, after)));
        let reply = team.api("bob", "GET", "/user", Value::Null).await;
        assert_eq!((reply.status, reply.header("Retry-After")), (status, Some(after)));
        assert!(reply.json()["message"].is_string());
    }
}

#[tokio::test]
async fn an_answer_can_be_huge_or_slow() {
    let team = team_with_issue().await;
    let bytes = 10 * 1024 * 1024 + 17;
    team.forge.fault(Fault::new(FaultKind::Huge(bytes)));
    let reply = team.api("bob", "GET", "/user", Value::Null).await;
    assert_eq!(reply.text.len() as u64, bytes + 2);
    assert_eq!(reply.json(), json!([]));

    let pause = Duration::from_millis(1);
    team.forge.fault(on_comment(FaultKind::Drip(pause)));
    let begin = Instant::now();
    let path = format!("/repos/{REPO}{COMMENTS}");
    let reply = team.api("bob", "POST", &path, json!({ "body": "slowly" })).await;
    assert_eq!(reply.json()["body"], "slowly");
    assert!(begin.elapsed() >= pause * u32::try_from(reply.text.len()).unwrap());
}

#[tokio::test]
async fn an_answer_can_break_off_after_the_effect() {
    let team = team_with_issue().await;
    let url = format!("{}/api/v1/repos/{REPO}{COMMENTS}", team.forge.base_url());
    let token = format!("token {}", team.forge.token("bob").unwrap());
    team.forge.fault(on_comment(FaultKind::Cut));
    let body = json!({ "body": "half told" });
    let call = try_call("POST", &url, Some(&token), Some(&body));
    // Reading the body panics; the head may not arrive either.
    let whole = std::panic::AssertUnwindSafe(call).catch_unwind().await;
    assert!(!matches!(whole, Ok(Ok(_))), "{whole:?}");
    assert_eq!(bodies(&team).await, ["half told"]);
}
