//! Whose a pull request is says the forge, never a sidecar.

use e2e::forge_double::{Fault as ForgeFault, FaultKind, NewIssue};
use orchestrator_core::bottle::Reason;

use crate::installation::{Fault, Installation, REPO, issue_number};

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_request_from_its_branch_is_the_bottles_without_any_word_of_its_sidecar()
-> Result<(), Fault> {
    let it = Installation::start().await?;
    let (_, slug) = it.working().await?;
    it.finish_run(&slug).await?;
    let pull = it.open_pull(&slug).await?;
    it.forge.comment("bob", REPO, pull, "Good start.").await?;
    it.wait_until_told(&slug, "| Good start.").await?;
    assert_eq!(it.bottle(&slug).await?.pull_requests, [issue_number(pull)?]);
    let grant = it.sidecars.grant(&slug).ok_or("no grant")?;
    assert_eq!(grant.pull_requests, [issue_number(pull)?]);
    it.forge.merge("alice", REPO, pull).await?;
    it.wait_for_end(&slug, Reason::Merged).await?;
    it.finish().await
}

// A compromised sidecar that names others' issues and pull requests gets neither their news nor the
// right to write to them, and cannot be ended or kept by them.
#[tokio::test(flavor = "multi_thread")]
async fn a_sidecar_that_claims_others_numbers_gets_nothing_by_it() -> Result<(), Fault> {
    let it = Installation::start().await?;
    let (victim_issue, victim) = it.working().await?;
    let victim_pull = it.open_pull(&victim).await?;
    it.forge.commit_file("alice", REPO, "topic", ("b.txt", "b\n")).await?;
    let text = NewIssue { title: "Mine".to_owned(), ..NewIssue::default() };
    let alices = it.forge.create_pull("alice", REPO, ("topic", "main"), text).await?;
    let (own_issue, rogue) = it.working().await?;
    for number in [victim_issue, victim_pull, alices, own_issue] {
        it.claim(&rogue, number).await?;
    }
    it.until("the claims are looked at", async || {
        Ok(it.bottle(&rogue).await?.claims.open.is_empty())
    })
    .await?;
    assert!(it.bottle(&rogue).await?.pull_requests.is_empty());
    it.finish_run(&rogue).await?;
    it.finish_run(&victim).await?;

    it.forge.comment("bob", REPO, victim_pull, "For the victim.").await?;
    it.wait_until_told(&victim, "| For the victim.").await?;
    it.forge.comment("bob", REPO, alices, "For alice.").await?;
    it.forge.close("alice", REPO, alices).await?;
    it.settled().await?;
    assert_eq!(it.bottle(&rogue).await?.state.word(), "frozen");
    it.forge.comment("bob", REPO, own_issue, "For the rogue.").await?;
    let told = it.wait_until_told(&rogue, "| For the rogue.").await?;
    assert!(!told.contains("For the victim.") && !told.contains("For alice."), "{told}");
    assert!(it.sidecars.grant(&rogue).ok_or("no grant")?.pull_requests.is_empty());
    it.finish().await
}

// A claim is only a hint where to look, but it is one: the webhook may have been lost.
#[tokio::test(flavor = "multi_thread")]
async fn a_true_claim_is_confirmed_without_a_webhook() -> Result<(), Fault> {
    let it = Installation::start().await?;
    let (_, slug) = it.working().await?;
    it.settled().await?;
    let lost = e2e::forge_double::DeliveryFaultKind::Lose;
    it.forge.delivery_fault(e2e::forge_double::DeliveryFault::next(100, lost));
    let pull = it.open_pull(&slug).await?;
    it.claim(&slug, pull).await?;
    it.until("it is confirmed", async || {
        Ok(it.bottle(&slug).await?.pull_requests == [issue_number(pull)?])
    })
    .await?;
    it.finish().await
}

// It may claim what nobody can read: that keeps its bottle neither from news nor from its end.
#[tokio::test(flavor = "multi_thread")]
async fn a_claim_that_cannot_be_read_stays_open_and_is_in_nobodys_way() -> Result<(), Fault> {
    let it = Installation::start().await?;
    let (issue, slug) = it.working().await?;
    it.forge.fault(ForgeFault::new(FaultKind::Status(500)).on_path("/pulls/999").times(usize::MAX));
    it.forge.fault(ForgeFault::new(FaultKind::Html200).on_path("/pulls/998").times(usize::MAX));
    for number in [998, 999] {
        it.claim(&slug, number).await?;
    }
    it.finish_run(&slug).await?;
    it.forge.comment("bob", REPO, issue, "All the same.").await?;
    it.wait_until_told(&slug, "| All the same.").await?;
    assert_eq!(it.bottle(&slug).await?.claims.open, [issue_number(998)?, issue_number(999)?]);
    it.forge.clear_faults();
    it.forge.comment("mallory", REPO, issue, "Look again.").await?;
    it.until("the claims are denied", async || Ok(it.bottle(&slug).await?.claims.open.is_empty()))
        .await?;
    it.finish().await
}
