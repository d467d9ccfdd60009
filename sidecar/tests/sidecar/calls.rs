//! Each method of the agent's socket: in scope, out of scope, at its bounds, and failing.

use protocol::{
    agent::{AgentRpcClient as _, ProgressItem},
    control::ControlRpcClient as _,
    error::ErrorCode,
    event::{Happening, OperationOutcome},
    limits::{COMMENT_MAX_BYTES, WRITES_PER_MINUTE},
};

use crate::{
    fake_forge::{Fault, number},
    harness::{BRANCH, Bottle, grant, refused, secrets},
};

#[tokio::test]
async fn reading_is_allowed_everywhere_and_counted() {
    let bottle = Bottle::at_work().await;
    assert_eq!(bottle.agent.read_issue(number(17)).await.unwrap().title, "A title");
    assert_eq!(bottle.agent.read_issue(number(500)).await.unwrap().number, number(500));
    assert!(bottle.agent.read_comments(number(500)).await.unwrap().is_empty());
    assert!(bottle.agent.read_reviews(number(5)).await.unwrap().is_empty());
    assert!(bottle.agent.read_ci(number(5)).await.unwrap().checks.is_empty());
    assert_eq!(bottle.control.usage().await.unwrap().reads, 5);
    let missing = refused(bottle.agent.read_issue(number(601)).await);
    assert_eq!(missing.data.kind, ErrorCode::NotFound);
    assert_eq!(bottle.forge.changes(), Vec::<String>::new());
}

#[tokio::test]
async fn the_context_says_what_the_bottle_is() {
    let bottle = Bottle::at_work().await;
    let context = bottle.agent.context().await.unwrap();
    assert_eq!(context.clone_url, "http://127.0.0.1:1/alice/widget.git");
    assert_eq!((context.issue, context.branch.as_str()), (Some(number(17)), BRANCH));
    assert_eq!(context.run.unwrap().as_str(), "implementer-k3v9q.1");
    bottle.agent.post_comment(number(17), "x".to_owned()).await.unwrap();
    let left = bottle.agent.context().await.unwrap().writes_left;
    assert_eq!((left.this_minute, left.today), (29, 499));
}

#[tokio::test]
async fn a_comment_is_posted_and_recorded_before_the_answer() {
    let bottle = Bottle::at_work().await;
    let comment = bottle.agent.post_comment(number(17), "hello".to_owned()).await.unwrap();
    assert_eq!(comment.body, "hello");
    assert_eq!(bottle.sentences(), ["posted comment on #17"]);
    let [on_forge] = bottle.forge.comments().try_into().unwrap();
    assert!(
        on_forge.body.starts_with("hello\n\n<!-- bot-bottle:implementer-k3v9q.1:"),
        "{}",
        on_forge.body
    );
    assert_eq!(bottle.agent.read_comments(number(17)).await.unwrap()[0].body, "hello");
}

// CASES 46, TH2
#[tokio::test]
async fn writes_elsewhere_are_refused_and_recorded() {
    let bottle = Bottle::at_work().await;
    for write in [
        refused(bottle.agent.post_comment(number(500), "x".to_owned()).await),
        refused(bottle.agent.update_description(number(500), "x".to_owned()).await),
    ] {
        assert_eq!(write.data.kind, ErrorCode::OutOfScope);
        assert_eq!(write.message, "refused: write to #500, writable 17");
        assert_eq!(write.data.writable, Some(vec![number(17)]));
    }
    assert_eq!(bottle.sentences(), ["refused: write to #500, writable 17"; 2]);
    assert_eq!(bottle.forge.changes(), Vec::<String>::new());
    assert_eq!(bottle.control.usage().await.unwrap().refusals, 2);
    assert_eq!(bottle.agent.context().await.unwrap().writes_left.this_minute, WRITES_PER_MINUTE);
}

#[tokio::test]
async fn a_description_is_replaced_without_marks() {
    let bottle = Bottle::at_work().await;
    let body = "new <!-- bot-bottle:x -->text".to_owned();
    bottle.agent.update_description(number(17), body).await.unwrap();
    assert_eq!(bottle.agent.read_issue(number(17)).await.unwrap().body, "new text");
    assert_eq!(bottle.sentences(), ["updated description of #17"]);
}

// CASES 56
#[tokio::test]
async fn texts_are_bounded() {
    let bottle = Bottle::at_work().await;
    for bad in
        [String::new(), " \n".to_owned(), "x".repeat(COMMENT_MAX_BYTES + 1), "a\0b".to_owned()]
    {
        let error = refused(bottle.agent.post_comment(number(17), bad).await);
        assert_eq!(error.data.kind, ErrorCode::Invalid);
    }
    bottle.agent.post_comment(number(17), "\"".repeat(COMMENT_MAX_BYTES)).await.unwrap();
    assert_eq!(bottle.forge.changes().len(), 1);
}

// CASES 62
#[tokio::test]
async fn a_comment_of_unknown_fate_is_there_once() {
    let bottle = Bottle::at_work().await;
    for faults in [
        vec![Fault::ServerAfter],
        vec![Fault::ServerBefore],
        vec![Fault::ServerBefore, Fault::ServerAfter],
    ] {
        bottle.forge.remove_comments();
        bottle.forge.fail_next(faults.clone());
        bottle.agent.post_comment(number(17), "once".to_owned()).await.unwrap();
        assert_eq!(bottle.forge.comments().len(), 1, "{faults:?}");
    }
    bottle.forge.fail_next([Fault::ServerBefore; 3]);
    let error = refused(bottle.agent.post_comment(number(17), "never".to_owned()).await);
    assert_eq!(error.data.kind, ErrorCode::ForgeUnavailable);
    assert_eq!(bottle.forge.comments().len(), 1);
    let last = bottle.sentences().pop().unwrap();
    assert!(last.starts_with("failed: post comment on #17: "), "{last}");
}

// A stranger may quote a mark; it is not taken for ours.
#[tokio::test]
async fn a_quoted_mark_is_not_the_own_comment() {
    let bottle = Bottle::at_work().await;
    bottle.agent.post_comment(number(17), "first".to_owned()).await.unwrap();
    let mark = bottle.forge.comments()[0].body.replace("first", "").replace("-1 -->", "-2 -->");
    bottle.forge.add_comment(17, "mallory", &format!("look:{mark}"));
    bottle.forge.fail_next([Fault::ServerBefore]);
    bottle.agent.post_comment(number(17), "second".to_owned()).await.unwrap();
    assert_eq!(bottle.forge.comments().len(), 3);
}

#[tokio::test]
async fn a_refused_token_is_an_operators_matter() {
    let bottle = Bottle::at_work().await;
    bottle.forge.fail_next([Fault::BadToken]);
    let error = refused(bottle.agent.post_comment(number(17), "x".to_owned()).await);
    assert_eq!(error.data.kind, ErrorCode::ForgeRefused);
    assert!(error.data.hint.unwrap().contains("operator"));
}

// CASES 57
#[tokio::test]
async fn the_budget_ends_with_the_time_to_wait() {
    let bottle = Bottle::at_work().await;
    for _ in 0..WRITES_PER_MINUTE {
        bottle.agent.update_description(number(17), "x".to_owned()).await.unwrap();
    }
    let error = refused(bottle.agent.post_comment(number(17), "x".to_owned()).await);
    assert_eq!(error.data.kind, ErrorCode::LimitReached);
    assert!((1..=60).contains(&error.data.retry_after_s.unwrap()));
    let last = bottle.sentences().pop().unwrap();
    assert!(
        last.starts_with("refused: post comment on #17, 30 writes per minute are used up"),
        "{last}"
    );
    assert_eq!(bottle.forge.changes().len(), 30);
}

// CASES 48
#[tokio::test]
async fn the_pull_request_is_opened_once_and_may_then_be_written_to() {
    let bottle = Bottle::at_work().await;
    let first = bottle.agent.open_pr("Fix it".to_owned(), "Done.".to_owned()).await.unwrap();
    assert_eq!((first.pull_request.number, first.existed), (number(18), false));
    assert_eq!(first.pull_request.body, "Done.\n\nCloses #17");
    assert_eq!(first.pull_request.base_branch, "main");
    let second = bottle.agent.open_pr("Again".to_owned(), String::new()).await.unwrap();
    assert_eq!((second.pull_request.number, second.existed), (number(18), true));
    bottle.agent.post_comment(number(18), "see".to_owned()).await.unwrap();
    let opened: Vec<_> = bottle
        .events()
        .into_iter()
        .filter(|event| matches!(event.what, Happening::PrOpened { .. }))
        .collect();
    assert_eq!(opened.len(), 1);
    assert_eq!(bottle.forge.changes(), ["open pull request", "comment #18"]);
    assert_eq!(
        bottle.sentences(),
        [
            format!("opened pull request #18 from {BRANCH}"),
            format!("found open pull request #18 from {BRANCH}"),
            "posted comment on #18".to_owned(),
        ]
    );
    assert_eq!(bottle.agent.context().await.unwrap().pull_requests, [number(18)]);
}

#[tokio::test]
async fn a_pull_request_whose_answer_was_lost_is_found() {
    let bottle = Bottle::at_work().await;
    bottle.forge.fail_next([Fault::ServerAfter]);
    let opened = bottle.agent.open_pr("Fix it".to_owned(), String::new()).await.unwrap();
    assert_eq!(opened.pull_request.number, number(18));
    assert_eq!(bottle.forge.changes(), ["open pull request"]);
}

// CASES 201
#[tokio::test]
async fn a_default_branch_that_was_renamed_meanwhile_is_proposed_to() {
    let bottle = Bottle::at_work().await;
    bottle.forge.rename_default_branch("trunk");
    let opened = bottle.agent.open_pr("Fix it".to_owned(), String::new()).await.unwrap();
    assert_eq!(opened.pull_request.base_branch, "trunk");
    assert_eq!(bottle.forge.changes(), ["open pull request"]);
}

// CASES 46
#[tokio::test]
async fn a_repointed_pull_request_is_not_written_to() {
    let bottle = Bottle::at_work().await;
    bottle.agent.open_pr("Fix it".to_owned(), String::new()).await.unwrap();
    bottle.forge.repoint(18, "feature");
    let error = refused(bottle.agent.post_comment(number(18), "x".to_owned()).await);
    assert_eq!(error.data.kind, ErrorCode::OutOfScope);
    assert_eq!(bottle.forge.changes(), ["open pull request"]);
}

#[tokio::test]
async fn what_was_opened_stays_writable_after_a_new_configure() {
    let bottle = Bottle::at_work().await;
    bottle.agent.open_pr("Fix it".to_owned(), String::new()).await.unwrap();
    bottle.control.drain().await.unwrap();
    bottle.control.configure(grant(&bottle.forge_url), secrets()).await.unwrap();
    bottle.agent.post_comment(number(18), "x".to_owned()).await.unwrap();
}

#[tokio::test]
async fn progress_is_one_comment_also_after_a_restart() {
    let bottle = Bottle::at_work().await;
    let items = |done| vec![ProgressItem { text: "write the fix".to_owned(), done }];
    let first = bottle.agent.report_progress(items(false)).await.unwrap();
    assert_eq!(first.body, "- [ ] write the fix");
    let second = bottle.agent.report_progress(items(true)).await.unwrap();
    assert_eq!((second.id, second.body.as_str()), (first.id, "- [x] write the fix"));
    let bottle = bottle.restart().await;
    bottle.configure().await;
    let third = bottle.agent.report_progress(items(false)).await.unwrap();
    assert_eq!(third.id, first.id);
    assert_eq!(bottle.forge.comments().len(), 1);
    bottle.forge.remove_comments();
    bottle.agent.report_progress(items(true)).await.unwrap();
    assert_eq!(bottle.forge.changes(), ["comment #17", "edit #17", "edit #17", "comment #17"]);
}

#[tokio::test]
async fn outcomes_tell_refusals_from_failures() {
    let bottle = Bottle::at_work().await;
    drop(bottle.agent.post_comment(number(17), "x".to_owned()).await);
    drop(bottle.agent.post_comment(number(1), "x".to_owned()).await);
    bottle.forge.fail_next([Fault::BadToken]);
    drop(bottle.agent.post_comment(number(17), "x".to_owned()).await);
    let outcomes: Vec<_> = bottle
        .events()
        .into_iter()
        .filter_map(|event| match event.what {
            Happening::Operation { operation } => Some(operation.outcome),
            _ => None,
        })
        .collect();
    assert_eq!(
        outcomes,
        [OperationOutcome::Done, OperationOutcome::Refused, OperationOutcome::Failed]
    );
}
