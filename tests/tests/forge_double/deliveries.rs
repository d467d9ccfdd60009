//! Webhooks repeated, lost, late, out of order, forged; and what is noted of them.

use std::{collections::BTreeSet, time::Duration};

use e2e::forge_double::{DeliveryFault, DeliveryFaultKind, HookTarget, NewIssue, sha256_hex};

use super::support::{Hooked, REPO, Receiver, Team};

const SECRET: &str = "s3cret";

/// Opens `count` issues and gives the numbers in the webhooks that arrived.
async fn numbers_after(team: &Team, receiver: &Receiver, count: usize) -> Vec<u64> {
    for number in 0..count {
        let new = NewIssue { title: format!("Issue {number}"), ..NewIssue::default() };
        team.forge.create_issue("alice", REPO, &new).await.unwrap();
    }
    receiver.after(&team.forge).await;
    receiver.take().iter().map(|hooked| hooked.json()["number"].as_u64().unwrap()).collect()
}

#[tokio::test]
async fn deliveries_can_be_repeated_lost_reordered_and_held() {
    let team = Team::start().await;
    let receiver = team.listen().await;
    let plan = |count, kind| team.forge.delivery_fault(DeliveryFault::next(count, kind));

    plan(1, DeliveryFaultKind::Repeat(4));
    assert_eq!(numbers_after(&team, &receiver, 2).await, [1, 1, 1, 1, 2]);
    let ids: BTreeSet<String> = team.forge.deliveries().into_iter().map(|sent| sent.id).collect();
    assert_eq!(ids.len(), 2, "a repeat has the id of the first");

    plan(2, DeliveryFaultKind::Lose);
    assert_eq!(numbers_after(&team, &receiver, 3).await, [5]);

    plan(3, DeliveryFaultKind::Reorder);
    assert_eq!(numbers_after(&team, &receiver, 4).await, [8, 7, 6, 9]);

    plan(2, DeliveryFaultKind::Hold);
    assert_eq!(numbers_after(&team, &receiver, 3).await, [12]);
    team.forge.release_held();
    assert_eq!(numbers_after(&team, &receiver, 0).await, [11, 10]);
}

#[tokio::test]
async fn deliveries_can_be_delayed_forged_and_sent_again() {
    let team = Team::start().await;
    let receiver = team.listen().await;
    let delay = DeliveryFaultKind::Delay(Duration::from_millis(300));
    team.forge.delivery_fault(DeliveryFault::next(1, delay).of_event("issues"));
    let begin = tokio::time::Instant::now();
    assert_eq!(numbers_after(&team, &receiver, 1).await, [1]);
    assert!(begin.elapsed() >= Duration::from_millis(300));

    let forge_next = DeliveryFault::next(1, DeliveryFaultKind::Forge);
    team.forge.delivery_fault(forge_next.after(1));
    for title in ["genuine", "forged"] {
        let new = NewIssue { title: title.to_owned(), ..NewIssue::default() };
        team.forge.create_issue("alice", REPO, &new).await.unwrap();
    }
    receiver.after(&team.forge).await;
    let is_valid = |hooked: &Hooked| {
        hooked.header("X-Gitea-Signature") == sha256_hex(SECRET, hooked.body.as_bytes())
    };
    assert_eq!(receiver.take().iter().map(is_valid).collect::<Vec<_>>(), [true, false]);

    let last = team.forge.deliveries().pop().unwrap();
    assert_eq!(last.status, Some(200));
    assert!(team.forge.redeliver(&last.id));
    receiver.after(&team.forge).await;
    let again = receiver.take();
    assert_eq!(again[0].header("X-Gitea-Delivery"), last.id);
    assert!(is_valid(&again[0]), "sent again, with the right secret");
}

#[tokio::test]
async fn a_failed_delivery_is_noted_and_not_retried() {
    let team = Team::start().await;
    // Nobody listens on port 1 of the loopback interface.
    let target = HookTarget::everything("http://127.0.0.1:1/hook", SECRET);
    team.forge.create_hook("alice", REPO, target).await.unwrap();
    let new = NewIssue { title: "One".to_owned(), ..NewIssue::default() };
    team.forge.create_issue("alice", REPO, &new).await.unwrap();
    team.forge.deliveries_settled().await;
    let deliveries = team.forge.deliveries();
    assert_eq!(deliveries.len(), 1);
    assert_eq!(deliveries[0].status, None);
    assert!(deliveries[0].error.is_some());
}

#[tokio::test]
async fn a_hook_gets_only_what_it_subscribed_to() {
    let team = Team::start().await;
    let receiver = Receiver::start().await;
    let target = HookTarget {
        url: receiver.url.clone(),
        secret: String::new(),
        events: vec!["issue_comment".to_owned()],
    };
    let hook = team.forge.create_hook("alice", REPO, target).await.unwrap();
    let new = NewIssue { title: "One".to_owned(), ..NewIssue::default() };
    let issue = team.forge.create_issue("alice", REPO, &new).await.unwrap();
    team.forge.comment("bob", REPO, issue, "seen").await.unwrap();
    team.forge.switch_hook("alice", REPO, hook, false).await.unwrap();
    team.forge.comment("bob", REPO, issue, "unseen").await.unwrap();
    assert_eq!(receiver.after(&team.forge).await, ["issue_comment/created"]);
    // Without a secret nothing is signed, yet the headers are there.
    assert_eq!(receiver.all()[0].headers.get("X-Gitea-Signature").unwrap(), "");
}
