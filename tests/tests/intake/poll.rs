//! What webhooks lose is found all the same.

use std::time::Duration;

use e2e::forge_double::{ForgeDouble, NewIssue, Options};
use orchestrator_core::bottle::{Reason, State};

use crate::installation::{BOT, DAEMON, Fault, Installation, LABEL, REPO};

// CASES 25: no webhook at all, from the first label to the end.
#[tokio::test(flavor = "multi_thread")]
async fn without_any_webhook_the_poll_finds_everything() -> Result<(), Fault> {
    let it = Installation::start_polling("1s").await?;
    let (issue, slug) = it.working().await?;
    let pull = it.open_pull(&slug).await?;
    it.until("its pull request is found", async || {
        Ok(!it.bottle(&slug).await?.pull_requests.is_empty())
    })
    .await?;
    it.finish_run(&slug).await?;
    it.forge.comment("bob", REPO, pull, "Polled.").await?;
    it.wait_until_told(&slug, "| Polled.").await?;
    it.finish_run(&slug).await?;
    it.forge.merge("alice", REPO, pull).await?;
    it.wait_for_end(&slug, Reason::Merged).await?;

    // Taken back and asked anew.
    it.forge.unlabel("alice", REPO, issue, LABEL).await?;
    it.until("it is released", async || {
        Ok(matches!(it.bottle(&slug).await?.state, State::Destroyed { released: true, .. }))
    })
    .await?;
    it.finish().await
}

// What is deleted leaves no trace in a list of changes: a round that looks at everything finds it.
// CASES 29
#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_issue_is_found_by_the_poll() -> Result<(), Fault> {
    let it = Installation::start_polling("1s").await?;
    let (issue, slug) = it.working().await?;
    it.forge.delete_issue("alice", REPO, issue).await?;
    it.wait_for_end(&slug, Reason::Gone).await?;
    it.finish().await
}

// CASES 25: said once in the log and shown as long as it lasts.
#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_that_is_switched_off_is_noticed() -> Result<(), Fault> {
    let it = Installation::start_polling("1s").await?;
    let hook = it.hook().await?;
    let pulse = &it.daemon.daemon().pulse;
    it.issue().await?;
    it.settled().await?;
    assert!(!pulse.health().webhooks_silent);
    it.forge.switch_hook("alice", REPO, hook, false).await?;
    it.working().await?;
    it.until("it is noticed", async || Ok(pulse.health().webhooks_silent)).await?;
    assert!(pulse.health().found_by_poll > 0);
    it.forge.switch_hook("alice", REPO, hook, true).await?;
    it.issue().await?;
    it.settled().await?;
    assert!(!pulse.health().webhooks_silent);
    it.finish().await
}

// A repository with ten thousand issues: those that ask are found, however old they are, and a round
// reads no more than a bounded number of pages.
#[tokio::test(flavor = "multi_thread")]
async fn an_old_issue_is_found_among_ten_thousand() -> Result<(), Fault> {
    let forge = ForgeDouble::start(Options::default()).await?;
    crate::installation::people(&forge).await?;
    let issue = NewIssue { title: "One of many".to_owned(), ..NewIssue::default() };
    for _ in 0..10_000 {
        forge.create_issue("alice", REPO, &issue).await?;
    }
    forge.label("alice", REPO, 1, LABEL).await?;
    forge.assign("alice", REPO, 1, BOT).await?;
    let it = Installation::serve(forge, "1s").await?;
    it.wait_for(1, "running").await?;
    let pulse = &it.daemon.daemon().pulse;
    let lists = || {
        let all = it.forge.requests().into_iter();
        all.filter(|r| r.user.as_deref() == Some(DAEMON) && r.path.ends_with("/issues")).count()
    };
    let (first, before) = (pulse.health().last_poll, lists());
    it.until("another round", async || Ok(pulse.health().last_poll > first)).await?;
    // Twenty pages of changes at most, then one list for each agent's label.
    assert!(lists() - before <= 2 * (20 + 2 * 20), "{} lists", lists() - before);
    it.finish().await
}

// One repository's trouble is told, and the daemon's downtime is made up for.
#[tokio::test(flavor = "multi_thread")]
async fn a_repository_that_cannot_be_read_is_told() -> Result<(), Fault> {
    use e2e::forge_double::{Fault as ForgeFault, FaultKind};
    let it = Installation::start_polling("1s").await?;
    let pulse = &it.daemon.daemon().pulse;
    it.until("a first round", async || Ok(pulse.health().last_poll.is_some())).await?;
    it.forge.fault(ForgeFault::new(FaultKind::Status(500)).on_path("/issues").times(usize::MAX));
    it.until("it is told", async || Ok(!pulse.health().unread.is_empty())).await?;
    it.forge.clear_faults();
    it.until("it is well again", async || Ok(pulse.health().unread.is_empty())).await?;
    tokio::time::timeout(Duration::from_secs(25), it.working()).await??;
    it.finish().await
}

// What happened while nobody listened is found by the first round, and is no fault of the webhook.
#[tokio::test(flavor = "multi_thread")]
async fn what_happens_while_the_daemon_is_away_is_made_up_for() -> Result<(), Fault> {
    let it = Installation::start().await?;
    let (issue, slug) = it.working().await?;
    let (other, ended) = it.working().await?;
    it.finish_run(&slug).await?;
    it.finish_run(&ended).await?;
    it.settled().await?;
    let it = it
        .restart_after(async |forge| {
            forge.comment("bob", REPO, issue, "While you were out.").await?;
            forge.unassign("alice", REPO, other, BOT).await?;
            Ok(())
        })
        .await?;
    it.wait_until_told(&slug, "| While you were out.").await?;
    it.wait_for_end(&ended, Reason::Unassigned).await?;
    assert!(!it.daemon.daemon().pulse.health().webhooks_silent);
    it.finish().await
}
