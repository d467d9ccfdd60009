//! From label and assignment to one bottle, however deliveries come.

use e2e::forge_double::{DeliveryFault, DeliveryFaultKind, NewIssue};
use orchestrator_core::policy::Finding;
use protocol::ids::IssueNumber;

use crate::installation::{BOT, Fault, Installation, LABEL, REPO, issue_number, repo};

// CASES 10, 11, 26
#[tokio::test(flavor = "multi_thread")]
async fn label_and_assignment_in_any_order_repeated_and_reordered_are_one_launch()
-> Result<(), Fault> {
    let it = Installation::start().await?;
    let mut issues = vec![];
    for label_first in [true, false] {
        for fault in [
            DeliveryFault::next(2, DeliveryFaultKind::Repeat(4)),
            DeliveryFault::next(2, DeliveryFaultKind::Reorder),
        ] {
            let issue = it.issue().await?;
            it.settled().await?;
            it.forge.delivery_fault(fault);
            if label_first {
                it.forge.label("alice", REPO, issue, LABEL).await?;
            }
            it.forge.assign("alice", REPO, issue, BOT).await?;
            if !label_first {
                it.forge.label("alice", REPO, issue, LABEL).await?;
            }
            it.wait_for(issue, "running").await?;
            it.settled().await?;
            issues.push(issue);
        }
    }
    let mut had: Vec<u64> =
        it.bottles().await?.iter().filter_map(|b| b.home.issue).map(IssueNumber::get).collect();
    had.sort_unstable();
    assert_eq!(had, issues, "one bottle for each");
    it.finish().await
}

// CASES 12
#[tokio::test(flavor = "multi_thread")]
async fn an_old_delivery_played_again_does_what_the_forge_says_now() -> Result<(), Fault> {
    let it = Installation::start().await?;
    let (issue, first) = it.working().await?;
    it.forge.close("alice", REPO, issue).await?;
    it.wait_for(issue, "destroyed").await?;
    it.settled().await?;
    let old: Vec<String> = it.forge.deliveries().into_iter().map(|d| d.id).collect();
    for id in &old {
        assert!(it.forge.redeliver(id));
    }
    it.settled().await?;
    let slugs: Vec<_> = it.bottles().await?.into_iter().map(|bottle| bottle.slug).collect();
    assert_eq!(slugs, [first]);
    it.finish().await
}

// CASES 22: thousands of deliveries in a row are few looks, and other issues are served meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn a_flood_for_one_issue_is_few_looks_and_holds_up_nobody() -> Result<(), Fault> {
    let it = Installation::start().await?;
    let issue = it.issue().await?;
    it.settled().await?;
    let ending = format!("/issues/{issue}");
    let before = it.requests(&ending);
    let id = it.forge.deliveries().last().map(|d| d.id.clone()).ok_or("nothing was sent")?;
    let begun = tokio::time::Instant::now();
    for n in 0..1500 {
        // Each under an id of its own, as a forge would send them.
        it.forge.edit_text("alice", REPO, issue, (Some(&format!("Title {n}")), None)).await?;
    }
    assert!(it.forge.redeliver(&id));
    it.working().await?;
    it.settled().await?;
    let looks = it.requests(&ending) - before;
    // A burst of five, then one a second.
    let most = 5 + 2 + usize::try_from(begun.elapsed().as_secs())?;
    assert!((1..=most).contains(&looks), "{looks} looks, at most {most}");
    let answers = it.forge.deliveries();
    let refused = answers.iter().filter(|d| !matches!(d.status, Some(200..=299))).count();
    assert_eq!(refused, 0, "each was taken");
    it.finish().await
}

// CASES 27: who may not write cannot ask, neither can our own accounts.
#[tokio::test(flavor = "multi_thread")]
async fn only_people_who_may_write_can_ask() -> Result<(), Fault> {
    let it = Installation::start().await?;
    let issue = it.issue().await?;
    assert!(it.forge.label("mallory", REPO, issue, LABEL).await.is_err(), "the forge refuses");
    let asking = NewIssue { title: "More".to_owned(), ..NewIssue::default() };
    let own = it.forge.create_issue(BOT, REPO, &asking).await?;
    it.forge.label(BOT, REPO, own, LABEL).await?;
    it.forge.assign(BOT, REPO, own, BOT).await?;
    it.settled().await?;
    assert!(it.bottles().await?.is_empty());
    assert_eq!(first_failure(&it, own).await?.as_deref(), Some("own_issue"));
    assert_eq!(first_failure(&it, issue).await?.as_deref(), Some("no_agent_label"));
    it.forge.label("bob", REPO, issue, LABEL).await?;
    it.settled().await?;
    assert_eq!(first_failure(&it, issue).await?.as_deref(), Some("no_member_assigned"));
    it.forge.assign("bob", REPO, issue, "bob").await?;
    it.settled().await?;
    assert_eq!(first_failure(&it, issue).await?.as_deref(), Some("no_member_assigned"));
    it.forge.assign("bob", REPO, issue, BOT).await?;
    it.wait_for(issue, "running").await?;
    assert_eq!(first_failure(&it, issue).await?, None);
    it.finish().await
}

/// The code of the first rule that an issue does not fulfil, as `explain` tells it.
async fn first_failure(it: &Installation, issue: u64) -> Result<Option<String>, Fault> {
    let told = it.daemon.daemon().explain(&repo()?, issue_number(issue)?).await?;
    let failed = told.checks.into_iter().find(|check| check.finding == Finding::Fail);
    Ok(failed.and_then(|check| check.code))
}

// What people ask for under the kill switch is done when it is lifted, long before a poll comes.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_kill_switch_held_back_is_done_when_it_is_lifted() -> Result<(), Fault> {
    let it = Installation::start().await?;
    let (old, slug) = it.working().await?;
    it.finish_run(&slug).await?;
    it.settled().await?;
    let switch = it.daemon.daemon().config.kill_switch_file();
    std::fs::write(&switch, "")?;
    it.forge.comment("bob", REPO, old, "When you can.").await?;
    let new = it.issue().await?;
    it.forge.label("alice", REPO, new, LABEL).await?;
    it.forge.assign("alice", REPO, new, BOT).await?;
    it.settled().await?;
    assert_eq!(it.bottle(&slug).await?.state.word(), "frozen");
    assert_eq!(it.bottles().await?.len(), 1);
    let before = it.requests("");
    std::fs::remove_file(&switch)?;
    it.wait_until_told(&slug, "| When you can.").await?;
    it.wait_for(new, "running").await?;
    assert!(it.requests("") > before);
    it.finish().await
}
