//! The daemon goes away and comes back; bottles do not notice.

use e2e::rig::{Fault, REPO, Rig, wait_until};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::{WAIT, agent, go};

/// Says done, waits to be let go, exits; knows whether it was started before.
pub(crate) fn waiting_agent() -> e2e::rig::Setup {
    agent(&format!(
        "echo run >>runs\n{WAIT}bottle signal-done success \"finished run $(wc -l <runs)\"\n"
    ))
}

// CASES 137-142, 160: killed, not stopped.
#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_ends_while_the_daemon_is_dead_is_frozen_when_it_is_back() -> Result<(), Fault>
{
    let mut rig = Rig::start(&waiting_agent()).await?;
    rig.ask_for_work("Wait", "").await?;
    let slug = rig.wait_for("running").await?;
    let log = rig.op_log(&slug).await?;
    assert!(log.contains("running: run 1"), "{log}");
    wait_until("the agent waits", async || {
        rig.data_dir().join(format!("bottles/{slug}/home/work/runs")).exists()
    })
    .await?;

    rig.end_daemon(Signal::SIGKILL).await?;
    assert_eq!(rig.docker.state(&slug).await.as_deref(), Some("running"), "the agent goes on");
    go(&rig, &slug).await?;
    let new = rig.data_dir().join(format!("bottles/{slug}/queue/new"));
    wait_until("its word is in the queue", async || {
        std::fs::read_dir(&new).is_ok_and(|entries| {
            entries.flatten().any(|entry| {
                std::fs::read_to_string(entry.path())
                    .is_ok_and(|text| text.contains("finished run 1"))
            })
        })
    })
    .await?;

    rig.start_daemon().await?;
    assert_eq!(rig.wait_for_detail("frozen", "finished run 1").await?, slug);
    assert_eq!(rig.bottles().await?.len(), 1);
    assert_eq!(rig.bottles().await?[0]["runs"], 1, "nothing was started twice");
    rig.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_agent_is_adopted_and_not_started_again() -> Result<(), Fault> {
    let mut rig = Rig::start(&waiting_agent()).await?;
    rig.ask_for_work("Wait", "").await?;
    let slug = rig.wait_for("running").await?;
    for signal in [Signal::SIGTERM, Signal::SIGKILL] {
        rig.end_daemon(signal).await?;
        rig.start_daemon().await?;
        assert_eq!(rig.wait_for("running").await?, slug);
    }
    go(&rig, &slug).await?;
    rig.wait_for_detail("frozen", "finished run 1").await?;
    rig.finish().await
}

// CASES 154
#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_is_told_twice_to_end_ends_at_once_and_goes_on_later() -> Result<(), Fault> {
    let mut rig = Rig::start(&waiting_agent()).await?;
    rig.ask_for_work("Wait", "").await?;
    wait_until("the bottle is there", async || {
        rig.bottles().await.is_ok_and(|bottles| !bottles.is_empty())
    })
    .await?;
    let pid = rig.daemon_pid().and_then(|pid| i32::try_from(pid).ok()).ok_or("it does not run")?;
    kill(Pid::from_raw(pid), Signal::SIGTERM)?;
    rig.end_daemon(Signal::SIGTERM).await?;

    rig.start_daemon().await?;
    let slug = rig.wait_for("running").await?;
    go(&rig, &slug).await?;
    rig.wait_for_detail("frozen", "finished run 1").await?;
    let bottles = rig.bottles().await?;
    assert_eq!(bottles.len(), 1);
    assert_eq!(bottles[0]["runs"], 1, "what was begun is not begun again");
    rig.finish().await
}

// A comment whose webhook found nobody is found by looking (CASES 25).
#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_bottle_is_woken_by_what_was_said_while_the_daemon_was_away() -> Result<(), Fault>
{
    let mut rig = Rig::start(&waiting_agent()).await?;
    let issue = rig.ask_for_work("Wait", "").await?;
    let slug = rig.wait_for("running").await?;
    go(&rig, &slug).await?;
    rig.wait_for_detail("frozen", "finished run 1").await?;

    rig.end_daemon(Signal::SIGTERM).await?;
    rig.forge.comment("bob", REPO, issue, "Once more, please.").await.expect("said");
    rig.forge.deliveries_settled().await;
    assert_eq!(rig.docker.state(&slug).await.as_deref(), Some("paused"), "it sleeps on");
    rig.start_daemon().await?;
    rig.wait_for("running").await?;
    go(&rig, &slug).await?;
    rig.wait_for_detail("frozen", "finished run 2").await?;
    rig.finish().await
}

// CASES 156
#[tokio::test(flavor = "multi_thread")]
async fn a_second_daemon_on_the_same_data_is_refused() -> Result<(), Fault> {
    let rig = Rig::start(&agent("true")).await?;
    let pid = rig.daemon_pid().expect("it runs").to_string();
    let error = rig.try_command(&["serve"]).await.expect_err("refused").to_string();
    assert!(error.contains("another daemon") && error.contains(&pid), "{error}");
    rig.finish().await
}
