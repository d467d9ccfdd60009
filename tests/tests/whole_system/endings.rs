//! Every way that a run or a bottle can end, other than well.

use e2e::rig::{BOT, Fault, LABEL, REPO, Rig, Setup};

use crate::{WAIT, agent, go, story::is_gone};

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_exits_without_a_word_leaves_an_incomplete_record() -> Result<(), Fault> {
    let rig = Rig::start(&agent("echo cannot do this; exit 7")).await?;
    rig.ask_for_work("Fail", "").await?;
    let slug =
        rig.wait_for_detail("frozen", "incomplete: exited with 7 without signal_done").await?;
    assert!(rig.op_log(&slug).await?.contains("agent exited with 7: cannot do this"));
    rig.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_agent_is_stopped_by_the_watchdog() -> Result<(), Fault> {
    let setup = Setup { limits: "watchdog = \"2s\"\n".to_owned(), ..agent("sleep 600") };
    let rig = Rig::start(&setup).await?;
    rig.ask_for_work("Hang", "").await?;
    let slug = rig.wait_for_detail("frozen", "stopped by the watchdog").await?;
    // Its program may hang for ever: stopped, not paused.
    assert_eq!(rig.docker.state(&slug).await.as_deref(), Some("exited"));
    rig.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_is_done_but_stays_is_stopped_after_the_grace_time() -> Result<(), Fault> {
    let setup = Setup {
        limits: "grace = \"1s\"\n".to_owned(),
        ..agent("bottle signal-done blocked 'which colour?'; sleep 600")
    };
    let rig = Rig::start(&setup).await?;
    rig.ask_for_work("Linger", "").await?;
    rig.wait_for_detail("frozen", "cold, blocked: which colour?").await?;
    rig.finish().await
}

// A dead sidecar or bottle is noticed at once, not by the watchdog; a comment brings it back.
#[tokio::test(flavor = "multi_thread")]
async fn a_dead_container_freezes_its_bottle_and_a_comment_brings_it_back() -> Result<(), Fault> {
    let rig =
        Rig::start(&agent(&format!("{WAIT}bottle signal-done success 'still here'\n"))).await?;
    let issue = rig.ask_for_work("Survive", "").await?;
    let slug = rig.wait_for("running").await?;
    for (victim, words) in [
        (format!("{slug}-sidecar"), "the sidecar was killed"),
        (slug.clone(), "the bottle was killed"),
    ] {
        rig.docker.run(&["kill", &victim]).await?;
        rig.wait_for_detail("frozen", words).await?;
        rig.forge
            .comment("bob", REPO, issue, &format!("Go on without {victim}."))
            .await
            .expect("said");
        rig.wait_for("running").await?;
    }
    go(&rig, &slug).await?;
    rig.wait_for_detail("frozen", "still here").await?;
    rig.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bottle_that_cools_down_keeps_its_files_and_wakes_again() -> Result<(), Fault> {
    let script = "echo x >>kept; bottle signal-done success \"run $(wc -l <kept)\"\n";
    let setup = Setup { limits: "hot_for = \"1s\"\n".to_owned(), ..agent(script) };
    let rig = Rig::start(&setup).await?;
    let issue = rig.ask_for_work("Cool down", "").await?;
    let slug = rig.wait_for_detail("frozen", "cold, success: run 1").await?;
    e2e::rig::wait_until("both containers are stopped", async || {
        let sidecar = rig.docker.state(&format!("{slug}-sidecar")).await;
        (rig.docker.state(&slug).await.as_deref(), sidecar.as_deref())
            == (Some("exited"), Some("exited"))
    })
    .await?;
    rig.forge.comment("bob", REPO, issue, "Again.").await.expect("said");
    rig.wait_for_detail("frozen", "success: run 2").await?;
    rig.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn taking_away_label_or_assignment_or_closing_the_issue_ends_the_bottle() -> Result<(), Fault>
{
    let rig = Rig::start(&agent("sleep 600")).await?;
    let issue = rig.ask_for_work("Change of mind", "").await?;
    let first = rig.wait_for("running").await?;
    rig.forge.unlabel("alice", REPO, issue, LABEL).await.expect("unlabelled");
    rig.wait_for_detail("destroyed", "label removed").await?;
    is_gone(&rig, &first).await?;

    // Asked anew, it is another bottle.
    rig.forge.label("alice", REPO, issue, LABEL).await.expect("labelled");
    let second = rig.wait_for("running").await?;
    assert_ne!(first, second);
    rig.forge.unassign("alice", REPO, issue, BOT).await.expect("unassigned");
    rig.wait_for_detail("destroyed", "unassigned").await?;

    rig.forge.assign("alice", REPO, issue, BOT).await.expect("assigned");
    let third = rig.wait_for("running").await?;
    rig.forge.close("alice", REPO, issue).await.expect("closed");
    rig.wait_for_detail("destroyed", "issue closed").await?;
    is_gone(&rig, &third).await?;
    rig.finish().await
}

// CASES 170: told what, and what to do; nothing goes on for ever.
#[tokio::test(flavor = "multi_thread")]
async fn a_missing_image_fails_the_bottle_with_its_name() -> Result<(), Fault> {
    let setup = Setup { image: "bot-bottle/no-such-image:1".to_owned(), ..agent("true") };
    let rig = Rig::start(&setup).await?;
    rig.ask_for_work("Start", "").await?;
    rig.wait_for_detail("failed", "bot-bottle/no-such-image:1").await?;
    rig.finish().await
}
