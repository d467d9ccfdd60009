//! What ends a bottle, whatever it does.

use e2e::forge_double::{DeliveryFault, DeliveryFaultKind, Fault as ForgeFault, FaultKind};
use orchestrator_core::bottle::Reason;
use protocol::ids::IssueNumber;

use crate::installation::{BOT, Fault, Installation, LABEL, REPO};

// Each of label, assignment and issue ends a bottle at work, and one that sleeps.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_taken_back_ends_a_bottle_that_works_or_sleeps() -> Result<(), Fault> {
    let it = Installation::start().await?;
    for asleep in [false, true] {
        for reason in [Reason::Unlabelled, Reason::Unassigned, Reason::IssueClosed] {
            let (issue, slug) = it.working().await?;
            if asleep {
                it.finish_run(&slug).await?;
            }
            match reason {
                Reason::Unlabelled => it.forge.unlabel("alice", REPO, issue, LABEL).await?,
                Reason::Unassigned => it.forge.unassign("alice", REPO, issue, BOT).await?,
                _ => it.forge.close("alice", REPO, issue).await?,
            }
            it.wait_for_end(&slug, reason).await?;
        }
    }
    it.finish().await
}

// Closed while it works, or while it sleeps: the newest pull request decides, once and for all.
#[tokio::test(flavor = "multi_thread")]
async fn a_pull_request_that_is_closed_merged_or_gone_ends_its_bottle_for_good() -> Result<(), Fault>
{
    let it = Installation::start().await?;
    for asleep in [false, true] {
        for reason in [Reason::PullClosed, Reason::Merged, Reason::PullGone] {
            let (issue, slug) = it.working().await?;
            let pull = it.open_pull(&slug).await?;
            it.until("its pull request is known", async || {
                Ok(!it.bottle(&slug).await?.pull_requests.is_empty())
            })
            .await?;
            if asleep {
                it.finish_run(&slug).await?;
            }
            match reason {
                Reason::PullClosed => it.forge.close("alice", REPO, pull).await?,
                Reason::Merged => it.forge.merge("alice", REPO, pull).await?,
                _ => {
                    it.forge.delete_issue("alice", REPO, pull).await?;
                    // Forges send nothing for that; any other news of the issue shows it.
                    it.forge.comment("mallory", REPO, issue, "Where is it?").await?;
                }
            }
            it.wait_for_end(&slug, reason).await?;
            it.settled().await?;
            // The issue asks still; nobody has asked anew.
            it.forge.comment("bob", REPO, issue, "And now?").await?;
            it.settled().await?;
            let bottles = it.bottles().await?;
            let of_issue =
                bottles.iter().filter(|b| b.home.issue.map(IssueNumber::get) == Some(issue));
            assert_eq!(of_issue.count(), 1, "it is not launched again");
        }
    }
    it.finish().await
}

// Who reopens an issue, perhaps the agent itself, asks for nothing: label or assignment must be set
// anew.
#[tokio::test(flavor = "multi_thread")]
async fn a_reopened_issue_gets_a_bottle_only_when_it_is_asked_anew() -> Result<(), Fault> {
    let it = Installation::start().await?;
    let (issue, first) = it.working().await?;
    it.forge.close("alice", REPO, issue).await?;
    it.wait_for_end(&first, Reason::IssueClosed).await?;
    it.forge.reopen(BOT, REPO, issue).await?;
    it.settled().await?;
    assert_eq!(it.bottles().await?.len(), 1);
    it.forge.unlabel("alice", REPO, issue, LABEL).await?;
    it.settled().await?;
    it.forge.label("alice", REPO, issue, LABEL).await?;
    let second = it.wait_for(issue, "running").await?;
    assert_ne!(first, second);
    it.finish().await
}

// CASES 26: a removal that overtakes what came before it.
#[tokio::test(flavor = "multi_thread")]
async fn news_in_the_wrong_order_ends_where_the_forge_stands() -> Result<(), Fault> {
    let it = Installation::start().await?;
    let issue = it.issue().await?;
    it.settled().await?;
    it.forge.delivery_fault(DeliveryFault::next(3, DeliveryFaultKind::Hold));
    it.forge.label("alice", REPO, issue, LABEL).await?;
    it.forge.assign("alice", REPO, issue, BOT).await?;
    it.forge.unlabel("alice", REPO, issue, LABEL).await?;
    // The last comes first.
    it.forge.release_held();
    it.settled().await?;
    assert!(it.bottles().await?.is_empty());
    it.finish().await
}

// Anybody can write what is too long to be read: that keeps no bottle at work.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_and_cannot_be_read_keeps_no_bottle_from_its_end() -> Result<(), Fault> {
    let it = Installation::start().await?;
    for kind in [FaultKind::Huge(9 * 1024 * 1024), FaultKind::Status(500)] {
        let (issue, slug) = it.working().await?;
        it.finish_run(&slug).await?;
        it.settled().await?;
        let comments = format!("/issues/{issue}/comments");
        it.forge.fault(ForgeFault::new(kind).on_path(&comments).times(usize::MAX));
        let before = it.requests(&comments);
        it.forge.comment("bob", REPO, issue, "Hear me.").await?;
        it.until(
            "it is put off and asked again",
            async || Ok(it.requests(&comments) >= before + 2),
        )
        .await?;
        assert_eq!(it.bottle(&slug).await?.state.word(), "frozen");
        it.forge.unlabel("alice", REPO, issue, LABEL).await?;
        it.wait_for_end(&slug, Reason::Unlabelled).await?;
        it.forge.clear_faults();
    }
    // What is put off is not lost.
    let (issue, slug) = it.working().await?;
    it.finish_run(&slug).await?;
    it.settled().await?;
    let comments = format!("/issues/{issue}/comments");
    it.forge.fault(ForgeFault::new(FaultKind::Status(500)).on_path(&comments).times(1));
    it.forge.comment("bob", REPO, issue, "Hear me.").await?;
    it.wait_until_told(&slug, "| Hear me.").await?;
    it.finish().await
}
