//! Agents that end silently, and bottles that run out of memory.

use e2e::rig::{Fault, Rig, wait_until};

use crate::{WAIT, agent, go};

// Without the agent's own word there is no success, whatever its exit code (CASES 167).
#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_exits_well_without_a_word_is_no_success() -> Result<(), Fault> {
    let rig = Rig::start(&agent("exit 0")).await?;
    rig.ask_for_work("Slip away", "").await?;
    rig.wait_for_detail("frozen", "incomplete: exited with 0 without signal_done").await?;
    rig.finish().await
}

/// Takes memory until it is killed. Docker begins to watch a container's memory some time after its
/// start; what happens before that, it does not tell.
const EAT: &str = "sleep 3; exec perl -e '$a .= \"x\" x 1048576 for 1..100000'";

/// Waits until a bottle's log says that memory ran out in it.
async fn starved(rig: &Rig, slug: &str) -> Result<(), Fault> {
    let noted = async || rig.op_log(slug).await.is_ok_and(|log| log.contains("memory"));
    let waited = wait_until("it is noted", noted).await;
    waited.map_err(|error| format!("{error}\n{}", rig.log()).into())
}

// CASES 169: one program of many was killed; the agent goes on, and its record says so.
#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_runs_out_of_memory_is_noted_and_ends_nothing() -> Result<(), Fault> {
    let script = format!("({EAT}) || true\n{WAIT}bottle signal-done success 'ate too much'\n");
    let rig = Rig::start(&agent(&script)).await?;
    rig.ask_for_work("Eat", "").await?;
    let slug = rig.wait_for("running").await?;
    starved(&rig, &slug).await?;
    assert_eq!(rig.wait_for("running").await?, slug);
    go(&rig, &slug).await?;
    rig.wait_for_detail("frozen", "success: ate too much").await?;
    rig.finish().await
}

// CASES 168
#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_runs_out_of_memory_leaves_that_in_its_record() -> Result<(), Fault> {
    let rig = Rig::start(&agent(EAT)).await?;
    rig.ask_for_work("Eat", "").await?;
    let slug = rig.wait_for_detail("frozen", "(137) without signal_done").await?;
    starved(&rig, &slug).await?;
    rig.finish().await
}

// CASES 168: neither our own stop nor the kernel's kill.
#[tokio::test(flavor = "multi_thread")]
async fn a_bottle_that_somebody_killed_is_told_from_one_without_memory() -> Result<(), Fault> {
    let rig = Rig::start(&agent("sleep 600")).await?;
    rig.ask_for_work("Live", "").await?;
    let slug = rig.wait_for("running").await?;
    rig.docker.run(&["kill", &slug]).await?;
    rig.wait_for_detail("frozen", "not by us and not for lack of memory").await?;
    rig.finish().await
}
