//! News that does not come, and agents that do not go.

use e2e::{
    forge_double::{DeliveryFault, DeliveryFaultKind},
    rig::{BOT, Fault, LABEL, REPO, Rig, Setup, wait_until},
};

use crate::{WAIT, agent, go, story::is_gone};

// A second try, each through another change on the forge: the agent hears no signal and does not end.
#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_ignores_signals_is_ended_as_soon_as_its_issue_is_taken_back()
-> Result<(), Fault> {
    let rig = Rig::start(&agent(
        "trap '' TERM INT HUP QUIT; echo deaf; while :; do sleep 1 || true; done\n",
    ))
    .await?;
    let issue = rig.ask_for_work("Stay", "").await?;
    for way in ["label", "assignment"] {
        let slug = rig.wait_for("running").await?;
        wait_until("it hears nothing", async || {
            rig.docker.run(&["logs", &slug]).await.is_ok_and(|output| output.contains("deaf"))
        })
        .await?;
        let begun = tokio::time::Instant::now();
        if way == "label" {
            rig.forge.unlabel("alice", REPO, issue, LABEL).await.expect("unlabelled");
        } else {
            rig.forge.unassign("alice", REPO, issue, BOT).await.expect("unassigned");
        }
        wait_until("its program has ended", async || {
            rig.docker.state(&slug).await.as_deref() != Some("running")
        })
        .await?;
        // Five seconds are promised; a busy machine gets some more, an agent's grace of ten does not.
        assert!(begun.elapsed().as_secs() < 9, "{way}: {:?}", begun.elapsed());
        is_gone(&rig, &slug).await?;
        if way == "label" {
            rig.forge.label("alice", REPO, issue, LABEL).await.expect("labelled");
        }
    }
    rig.finish().await
}

// CASES 25: every webhook is lost, and the whole story happens all the same.
#[tokio::test(flavor = "multi_thread")]
async fn without_any_webhook_the_story_is_the_same() -> Result<(), Fault> {
    let setup = Setup { limits: "poll = \"1s\"\ngrace = \"5s\"\n".to_owned(), ..Setup::default() };
    let rig = Rig::start(&setup).await?;
    rig.forge.delivery_fault(DeliveryFault::next(usize::MAX, DeliveryFaultKind::Lose));
    // The agent trespasses on #1, which is to be somebody else's.
    let other = e2e::forge_double::NewIssue { title: "Another".to_owned(), ..Default::default() };
    rig.forge.create_issue("alice", REPO, &other).await.expect("opened");
    rig.ask_for_work("Add a greeting", "Please add `hello.txt`.").await?;
    let slug = rig.wait_for_detail("frozen", "success").await?;
    let pull = rig.bottles().await?.first().and_then(|b| b.get("pr_number")?.as_u64());
    let pull = match pull {
        Some(pull) => pull,
        None => {
            let found = async || {
                let bottles = rig.bottles().await.unwrap_or_default();
                bottles.first().and_then(|b| b.get("pr_number")?.as_u64())
            };
            wait_until("its pull request is known", async || found().await.is_some()).await?;
            found().await.ok_or("it is known")?
        }
    };
    rig.forge.merge("alice", REPO, pull).await.expect("merged");
    rig.wait_for_detail("destroyed", "pull request merged").await?;
    is_gone(&rig, &slug).await?;
    assert!(rig.log().contains("a poll found what no webhook told of"), "{}", rig.log());
    rig.finish().await
}

// Closed at once, while the containers are still being made, and again while it sleeps.
#[tokio::test(flavor = "multi_thread")]
async fn an_issue_closed_while_its_bottle_starts_leaves_nothing() -> Result<(), Fault> {
    let rig = Rig::start(&agent(&format!("{WAIT}bottle signal-done success x\n"))).await?;
    let issue = rig.ask_for_work("Never mind", "").await?;
    wait_until("its bottle is there", async || {
        rig.bottles().await.is_ok_and(|bottles| !bottles.is_empty())
    })
    .await?;
    rig.forge.close("alice", REPO, issue).await.expect("closed");
    rig.wait_for_detail("destroyed", "issue closed").await?;
    let slug = rig.bottles().await?.first().and_then(|b| Some(b.get("slug")?.as_str()?.to_owned()));
    is_gone(&rig, &slug.ok_or("no bottle")?).await?;

    let issue = rig.ask_for_work("Sleep", "").await?;
    let slug = rig.wait_for("running").await?;
    go(&rig, &slug).await?;
    rig.wait_for_detail("frozen", "success").await?;
    rig.forge.close("alice", REPO, issue).await.expect("closed");
    rig.wait_for_detail("destroyed", "issue closed").await?;
    is_gone(&rig, &slug).await?;
    rig.finish().await
}
