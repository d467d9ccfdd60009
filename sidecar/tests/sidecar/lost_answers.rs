//! Writes whose answers get lost, who race, or whom the forge refuses: what stands there in the end.

use std::time::Duration;

use protocol::{
    agent::{AgentRpcClient as _, ProgressItem},
    error::ErrorCode,
};
use rpc::client::UdsClient;

use crate::{
    fake_forge::{Fault, Look, number},
    harness::{Bottle, refused},
};

/// Another connection of the same agent.
fn second_agent(bottle: &Bottle) -> UdsClient {
    let socket = bottle.dir.path().join("agent/agent.sock");
    rpc::client::connect(&socket, Duration::from_secs(20)).unwrap()
}

fn items(text: &str) -> Vec<ProgressItem> {
    vec![ProgressItem { text: text.to_owned(), done: false }]
}

// CASES 61
#[tokio::test]
async fn two_who_post_the_same_at_once_post_it_once() {
    let bottle = Bottle::at_work().await;
    let other = second_agent(&bottle);
    bottle.forge.fail_next([Fault::Wait]);
    let post = |agent: UdsClient| async move {
        agent.post_comment(number(17), "same".to_owned()).await.unwrap()
    };
    let go_on = async {
        bottle.forge.is_waiting.notified().await;
        // A third one says something else and does not wait for them.
        bottle.agent.post_comment(number(17), "else".to_owned()).await.unwrap();
        bottle.forge.go_on.add_permits(1);
    };
    let (one, two, ()) = tokio::join!(post(second_agent(&bottle)), post(other), go_on);
    assert_eq!(one, two);
    assert_eq!(bottle.forge.comments().len(), 2);
    let left = bottle.agent.context().await.unwrap().writes_left;
    assert!(left.this_minute <= 28, "{left:?}");
    bottle.agent.post_comment(number(17), "same".to_owned()).await.unwrap();
    assert_eq!(bottle.forge.comments().len(), 3, "who says it again later means it");
}

// CASES 61
#[tokio::test]
async fn two_who_open_the_pull_request_at_once_get_the_same_one() {
    let bottle = Bottle::at_work().await;
    let other = second_agent(&bottle);
    let open = |agent: UdsClient| async move {
        agent.open_pr("Fix it".to_owned(), String::new()).await.unwrap()
    };
    let (one, two) = tokio::join!(open(second_agent(&bottle)), open(other));
    assert_eq!(one.pull_request, two.pull_request);
    assert!(one.existed ^ two.existed);
    assert_eq!(bottle.forge.changes(), ["open pull request"]);
}

// CASES 62, 195
#[tokio::test]
async fn what_was_written_is_found_although_the_forge_is_late() {
    let bottle = Bottle::at_work().await;
    for looks in [vec![Look::Stale], vec![Look::Fails, Look::Fails], vec![Look::Fails, Look::Stale]]
    {
        bottle.forge.remove_comments();
        bottle.forge.fail_next([Fault::ServerAfter]);
        bottle.forge.look_next(looks.clone());
        bottle.agent.post_comment(number(17), "once".to_owned()).await.unwrap();
        assert_eq!(bottle.forge.comments().len(), 1, "{looks:?}");
    }
    bottle.forge.fail_next([Fault::ServerAfter]);
    bottle.forge.look_next([Look::Stale]);
    let opened = bottle.agent.open_pr("Fix it".to_owned(), String::new()).await.unwrap();
    assert_eq!(opened.pull_request.number, number(18));
    // It is there, the replica does not know, and the forge says that it exists.
    bottle.forge.look_next([Look::Stale, Look::Stale]);
    let again = bottle.agent.open_pr("Fix it".to_owned(), String::new()).await.unwrap();
    assert_eq!((again.pull_request.number, again.existed), (number(18), true));
}

// CASES 62, 148
#[tokio::test]
async fn an_agent_that_comes_again_after_an_unknown_fate_does_not_post_twice() {
    let bottle = Bottle::at_work().await;
    bottle.forge.fail_next([Fault::ServerAfter]);
    bottle.forge.look_next([Look::Fails; 5]);
    let unknown = refused(bottle.agent.post_comment(number(17), "once".to_owned()).await);
    assert_eq!(unknown.data.kind, ErrorCode::ForgeUnavailable);
    let comment = bottle.agent.post_comment(number(17), "once".to_owned()).await.unwrap();
    assert_eq!(comment.body, "once");
    assert_eq!(bottle.forge.comments().len(), 1);
    bottle.agent.post_comment(number(17), "once".to_owned()).await.unwrap();
    assert_eq!(bottle.forge.comments().len(), 2, "there is no doubt about the first one any more");
}

// CASES 62, 200
#[tokio::test]
async fn a_mark_is_found_although_the_forge_changed_the_text() {
    let bottle = Bottle::at_work().await;
    bottle.forge.mangle(|body| body.replace('<', "&lt;").replace("--", "–").replace('\n', "\r\n"));
    bottle.forge.fail_next([Fault::ServerAfter]);
    bottle.agent.post_comment(number(17), "ünï".to_owned()).await.unwrap();
    assert_eq!(bottle.forge.comments().len(), 1);
}

// CASES 62, 198
#[tokio::test]
async fn own_comments_are_known_under_the_accounts_new_name() {
    let bottle = Bottle::at_work().await;
    bottle.agent.report_progress(items("a")).await.unwrap();
    bottle.forge.rename_account("robot");
    let bottle = bottle.restart().await;
    bottle.configure().await;
    bottle.agent.report_progress(items("b")).await.unwrap();
    assert_eq!(bottle.forge.changes(), ["comment #17", "edit #17"]);
}

// CASES 47
#[tokio::test]
async fn only_the_own_progress_is_edited() {
    let bottle = Bottle::at_work().await;
    let other = "- [ ] x\n\n<!-- bot-bottle-progress:implementer-zzzzz -->";
    let quoted = "- [ ] x\n\n<!-- bot-bottle-progress:implementer-k3v9q -->";
    // Another bottle with the same account, a person who quotes, and an agent that forges.
    bottle.forge.add_comment(17, "bot", other);
    bottle.forge.add_comment(17, "mallory", quoted);
    bottle.agent.post_comment(number(17), quoted.to_owned()).await.unwrap();
    bottle.agent.report_progress(items("mine")).await.unwrap();
    bottle.agent.report_progress(items("mine too")).await.unwrap();
    assert_eq!(bottle.forge.changes(), ["comment #17", "comment #17", "edit #17"]);
    let bodies: Vec<String> = bottle.forge.comments().into_iter().map(|c| c.body).collect();
    assert_eq!(bodies[..2], [other, quoted]);
    assert!(bodies[3].starts_with("- [ ] mine too"), "{}", bodies[3]);
}

// CASES 62
#[tokio::test]
async fn edits_and_descriptions_are_repeated() {
    let bottle = Bottle::at_work().await;
    bottle.agent.report_progress(items("a")).await.unwrap();
    bottle.forge.fail_next([Fault::ServerAfter, Fault::ServerBefore]);
    bottle.agent.report_progress(items("b")).await.unwrap();
    bottle.forge.fail_next([Fault::ServerBefore, Fault::ServerAfter]);
    bottle.agent.update_description(number(17), "new".to_owned()).await.unwrap();
    assert_eq!(bottle.agent.read_issue(number(17)).await.unwrap().body, "new");
    assert_eq!(bottle.forge.comments().len(), 1);
}

// CASES 183, 197, 199
#[tokio::test]
async fn what_the_forge_refuses_for_good_is_reported_and_tried_once() {
    let bottle = Bottle::at_work().await;
    for (fault, kind, words) in [
        (Fault::BadToken, ErrorCode::ForgeRefused, "refused the token"),
        (Fault::Archived, ErrorCode::ForgeRefused, "Repo is archived"),
        (Fault::Spam, ErrorCode::Invalid, "too many mentions"),
    ] {
        bottle.forge.fail_next([fault]);
        let error = refused(bottle.agent.post_comment(number(17), "x".to_owned()).await);
        assert_eq!(error.data.kind, kind, "{error:?}");
        assert!(error.message.contains(words), "{error:?}");
        assert_eq!(error.data.retry_after_s, None);
        let told = bottle.sentences().pop().unwrap();
        assert!(told.starts_with("failed: post comment on #17") && told.contains(words), "{told}");
        assert_eq!(bottle.forge.changes(), Vec::<String>::new(), "{fault:?} was tried again");
    }
}

// CASES 64
#[tokio::test]
async fn a_refused_write_does_not_tell_what_is_there() {
    let bottle = Bottle::at_work().await;
    // The fake has an issue 500, and nothing above 600.
    let mut answers = Vec::new();
    for foreign in [500, 601] {
        let error = refused(bottle.agent.post_comment(number(foreign), "x".to_owned()).await);
        answers.push((error.data.kind, error.message.replace(&foreign.to_string(), "N")));
    }
    assert_eq!(answers[0], answers[1]);
}
