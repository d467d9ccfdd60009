//! What does not fit the description of the API is noted, and fails the test it happens in.

use std::panic::AssertUnwindSafe;

use e2e::forge_double::{Fault, FaultKind};
use futures_util::FutureExt as _;
use serde_json::{Value, json};

use super::support::{REPO, Team};

#[tokio::test]
async fn a_call_that_is_not_described_is_a_violation() {
    let team = Team::start().await;
    let issues = format!("/repos/{REPO}/issues");
    team.api("alice", "POST", &issues, json!({ "title": "x", "lables": [1] })).await;
    team.api("alice", "GET", &format!("{issues}?colour=red"), Value::Null).await;
    team.api("alice", "GET", &format!("{issues}?state=open"), Value::Null).await;
    // Refused by the forge as well: that is its answer to a wrong call.
    team.api("alice", "POST", &issues, json!({ "title": 7 })).await;
    let wrong = team.forge.requests().into_iter().map(|request| request.violations.len());
    assert_eq!(wrong.collect::<Vec<_>>(), [1, 1, 0, 0]);
    let taken = team.forge.take_violations();
    assert!(taken[0].contains("lables") && taken[1].contains("colour"), "{taken:?}");
    assert_eq!(team.forge.take_violations(), Vec::<String>::new());
}

#[tokio::test]
async fn a_violation_that_nobody_took_fails_the_test() {
    let ends = async {
        let team = Team::start().await;
        team.api("alice", "GET", "/user?colour=red", Value::Null).await;
    };
    assert!(AssertUnwindSafe(ends).catch_unwind().await.is_err());
}

#[tokio::test]
async fn an_answer_that_is_made_up_is_none_of_the_forge() {
    let team = Team::start().await;
    for kind in [FaultKind::Html200, FaultKind::Huge(5), FaultKind::Status(418)] {
        team.forge.fault(Fault::new(kind));
        team.api("alice", "GET", "/user", Value::Null).await;
    }
    assert_eq!(team.forge.take_violations(), Vec::<String>::new());
}
