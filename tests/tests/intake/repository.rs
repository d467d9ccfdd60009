//! A repository that is renamed, archived or gone.

use e2e::forge_double::{Fault as ForgeFault, FaultKind, Unit};
use orchestrator_core::{bottle::Reason, policy::Finding};

use crate::installation::{Fault, Installation, LABEL, REPO, issue_number, repo};

/// The codes of all rules that do not hold.
async fn failures(it: &Installation, number: u64) -> Result<Vec<String>, Fault> {
    let told = it.daemon.daemon().explain(&repo()?, issue_number(number)?).await?;
    let failed = told.checks.into_iter().filter(|check| check.finding == Finding::Fail);
    Ok(failed.filter_map(|check| check.code).collect())
}

// CASES 29
#[tokio::test(flavor = "multi_thread")]
async fn a_renamed_repository_is_explained_and_its_bottles_wait() -> Result<(), Fault> {
    let it = Installation::start().await?;
    let (issue, slug) = it.working().await?;
    it.finish_run(&slug).await?;
    it.settled().await?;
    let new = it.forge.rename_repo("alice", REPO, "gadget").await?;
    assert_eq!(failures(&it, issue).await?, ["repo_renamed"]);
    // Its deliveries carry the new name, which is not served.
    it.forge.comment("bob", &new, issue, "Are you there?").await?;
    it.settled().await?;
    assert_eq!(it.bottle(&slug).await?.state.word(), "frozen");
    assert_eq!(it.forge.deliveries().last().and_then(|d| d.status), Some(403));
    // Renamed back, nothing that was said is lost.
    it.forge.rename_repo("alice", &new, "widget").await?;
    it.forge.comment("bob", REPO, issue, "Go on.").await?;
    let told = it.wait_until_told(&slug, "| Go on.").await?;
    assert!(told.contains("| Are you there?"), "{told}");
    it.forge.transfer_repo("alice", REPO, "bob").await?;
    assert_eq!(failures(&it, issue).await?, ["repo_renamed"]);
    it.finish().await
}

// CASES 29, 197
#[tokio::test(flavor = "multi_thread")]
async fn an_archived_repository_wakes_and_launches_nobody_until_it_is_back() -> Result<(), Fault> {
    let it = Installation::start().await?;
    let (issue, slug) = it.working().await?;
    it.finish_run(&slug).await?;
    it.forge.comment("bob", REPO, issue, "Read me later.").await?;
    it.wait_until_told(&slug, "| Read me later.").await?;
    it.finish_run(&slug).await?;
    it.settled().await?;
    it.forge.archive_repo("alice", REPO, true).await?;
    assert_eq!(failures(&it, issue).await?, ["repo_archived"]);
    it.forge.archive_repo("alice", REPO, false).await?;
    it.forge.comment("bob", REPO, issue, "Back.").await?;
    it.wait_until_told(&slug, "| Back.").await?;
    it.finish().await
}

// What cannot be seen ends nothing: a forge that fails, hides or answers for somebody else.
#[tokio::test(flavor = "multi_thread")]
async fn a_forge_that_fails_ends_nobody_and_is_asked_again() -> Result<(), Fault> {
    let it = Installation::start().await?;
    let (issue, slug) = it.working().await?;
    it.settled().await?;
    for kind in [FaultKind::Status(500), FaultKind::Html200, FaultKind::DropConnection] {
        it.forge.fault(ForgeFault::new(kind).on_path("/issues/").times(2));
        it.forge.comment("mallory", REPO, issue, "Hm.").await?;
        it.settled().await?;
        assert_eq!(it.bottle(&slug).await?.state.word(), "running");
    }
    it.forge.unlabel("alice", REPO, issue, LABEL).await?;
    it.wait_for(issue, "destroyed").await?;
    it.finish().await
}

// Issues or pull requests that are switched off answer as if they were gone.
// CASES 29
#[tokio::test(flavor = "multi_thread")]
async fn what_is_switched_off_is_not_gone() -> Result<(), Fault> {
    let it = Installation::start_polling("1s").await?;
    let (issue, slug) = it.working().await?;
    let pull = it.open_pull(&slug).await?;
    it.until("its pull request is known", async || {
        Ok(!it.bottle(&slug).await?.pull_requests.is_empty())
    })
    .await?;
    for (unit, number) in [(Unit::Issues, issue), (Unit::PullRequests, pull)] {
        it.forge.switch_unit("alice", REPO, unit, false).await?;
        let told = it.daemon.daemon().explain(&repo()?, issue_number(issue)?).await;
        let told = told.err().ok_or("it was seen")?.to_string();
        assert!(told.contains("switched off"), "{told}");
        let item = format!("/issues/{number}");
        let before = it.requests(&item);
        // The first of the daemon's own looks is over when the second begins.
        it.until("it is looked at", async || Ok(it.requests(&item) >= before + 2)).await?;
        assert_eq!(it.bottle(&slug).await?.state.word(), "running");
        if unit == Unit::Issues {
            it.forge.switch_unit("alice", REPO, unit, true).await?;
        }
    }
    // The issue decides even while the pull requests are hidden.
    it.forge.close("alice", REPO, issue).await?;
    it.wait_for_end(&slug, Reason::IssueClosed).await?;
    it.finish().await
}

// CASES 185: a forge that limits its rate is left alone, by all.
#[tokio::test(flavor = "multi_thread")]
async fn a_forge_that_limits_its_rate_is_not_asked_before_its_time() -> Result<(), Fault> {
    let it = Installation::start().await?;
    let issue = it.issue().await?;
    it.settled().await?;
    let limit = FaultKind::rate_limit(429, "3");
    it.forge.fault(ForgeFault::new(limit).on_path("/api/v1/repos/alice/widget").times(1));
    it.forge.comment("bob", REPO, issue, "First.").await?;
    it.until("it was limited", async || {
        Ok(it.forge.requests().iter().any(|request| request.status == Some(429)))
    })
    .await?;
    // The other reads of that look may be under way.
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    let before = it.requests("");
    let begun = tokio::time::Instant::now();
    for n in 0..10 {
        it.forge.comment("bob", REPO, issue, &format!("More {n}.")).await?;
    }
    it.forge.deliveries_settled().await;
    let after = it.requests("");
    assert!(after == before || begun.elapsed().as_secs() >= 2, "{} requests", after - before);
    it.settled().await?;
    assert!(it.requests("") > before, "it is asked again afterwards");
    it.finish().await
}
