//! A forge, a network or a sidecar that says what is not so: no bottle may end by it.

use axum::http::Method;
use e2e::{
    forge_double::{CannedAnswer, Fault as Trouble, FaultKind},
    rig::{Fault, LABEL, REPO, Rig, wait_until},
};
use serde_json::{Value, json};

use crate::{WAIT, agent, go};

/// An agent that waits, and then says that it is done.
fn patient() -> e2e::rig::Setup {
    agent(&format!("{WAIT}bottle signal-done success 'still here'\n"))
}

// A reverse proxy's own 404, as while the forge restarts, is no word of the forge.
#[tokio::test(flavor = "multi_thread")]
async fn a_proxys_404_ends_no_bottle() -> Result<(), Fault> {
    let rig = Rig::start(&patient()).await?;
    let issue = rig.ask_for_work("Wait", "").await?;
    let slug = rig.wait_for("running").await?;
    let answer = CannedAnswer {
        status: 404,
        headers: vec![("content-type".to_owned(), "text/html".to_owned())],
        body: "<h1>404 Not Found</h1>".to_owned(),
    };
    rig.forge
        .fault(Trouble::new(FaultKind::Answer(answer)).on(Method::GET, "/api/v1/").times(1000));
    rig.forge.comment("bob", REPO, issue, "Are you there?").await.expect("said");
    wait_until("the daemon has looked", async || rig.log().contains("will look again")).await?;
    rig.forge.clear_faults();
    assert_eq!(rig.wait_for("running").await?, slug);
    go(&rig, &slug).await?;
    // What was said meanwhile is told when the forge is back.
    wait_until("it was told", async || {
        rig.op_log(&slug).await.is_ok_and(|log| log.contains("will be told: comment by bob"))
    })
    .await?;
    rig.finish().await
}

// DESIGN §8: "not a member" and "you may not see the organisation" are one answer.
#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_is_put_out_of_the_organisation_ends_no_bottle() -> Result<(), Fault> {
    let rig = Rig::start(&patient()).await?;
    let issue = rig.ask_for_work("Wait", "").await?;
    let slug = rig.wait_for("running").await?;
    rig.forge.remove_member("alice", "bot-bottle", "bottle-daemon").await.expect("removed");
    rig.forge.comment("bob", REPO, issue, "Are you there?").await.expect("said");
    let told = || rig.log().contains("make bottle-daemon a member of it");
    wait_until("the log says what to do", async || told()).await?;
    assert_eq!(rig.wait_for("running").await?, slug);
    rig.finish().await
}

// T3, TH12: a compromised sidecar writes its own queue, and nothing of another bottle changes.
#[tokio::test(flavor = "multi_thread")]
async fn a_sidecar_that_claims_anothers_issue_does_not_take_it_over() -> Result<(), Fault> {
    let rig = Rig::start(&patient()).await?;
    let victims = rig.ask_for_work("Victim", "").await?;
    let victim = rig.wait_for("running").await?;
    rig.ask_for_work("Attacker", "").await?;
    wait_until("both run", async || {
        rig.bottles()
            .await
            .is_ok_and(|all| all.iter().filter(|b| b["status"] == "running").count() == 2)
    })
    .await?;
    let attacker = rig.bottles().await?[0]["slug"].as_str().expect("a slug").to_owned();
    claim(&rig, &attacker, victims)?;
    let queue = rig.data_dir().join("bottles").join(&attacker).join("queue/new");
    wait_until("the claim was read", async || {
        std::fs::read_dir(&queue).is_ok_and(|mut left| left.next().is_none())
    })
    .await?;

    rig.forge.unlabel("alice", REPO, victims, LABEL).await.expect("unlabelled");
    let status = async |slug: &str| {
        let row =
            rig.bottles().await.unwrap_or_default().into_iter().find(|b| b["slug"] == slug)?;
        Some(row["status"].as_str()?.to_owned())
    };
    wait_until("the victim's own label counts", async || {
        status(&victim).await.as_deref() == Some("destroyed")
    })
    .await?;
    assert_eq!(status(&attacker).await.as_deref(), Some("running"));
    let claimed = rig.bottles().await?.into_iter().find(|b| b["slug"] == attacker.as_str());
    assert!(claimed.is_some_and(|row| row["pr_number"].is_null()), "the forge knows better");
    rig.finish().await
}

/// Writes into a bottle's queue, as its sidecar's user, that it opened this pull request.
fn claim(rig: &Rig, slug: &str, number: u64) -> Result<(), Fault> {
    let queue = rig.data_dir().join("bottles").join(slug).join("queue");
    let id = "00000000000000ff-00000001";
    let event: Value = json!({
        "version": 1, "id": id, "slug": slug, "run": format!("{slug}.1"), "at": "2026-01-01T00:00:00Z",
        "what": { "kind": "pr_opened", "number": number },
    });
    let hidden = queue.join("tmp/claim");
    std::fs::write(&hidden, event.to_string())?;
    let owner = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(&queue)?);
    std::os::unix::fs::chown(&hidden, Some(owner), Some(owner))?;
    Ok(std::fs::rename(hidden, queue.join(format!("new/{id}.json")))?)
}
