//! More issues than slots, and accounts that are not what they should be.

use e2e::rig::{Fault, Rig, Setup, wait_until};
use nix::sys::signal::Signal;

use crate::{WAIT, agent, go};

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_for_a_slot_gets_it_when_another_sleeps() -> Result<(), Fault> {
    let limits = "slots = 1\ngrace = \"5s\"\n".to_owned();
    let rig =
        Rig::start(&Setup { limits, ..agent(&format!("{WAIT}bottle signal-done success ok\n")) })
            .await?;
    rig.ask_for_work("First", "").await?;
    let first = rig.wait_for("running").await?;
    rig.ask_for_work("Second", "").await?;
    let second = rig.wait_for_detail("queued", "waits").await?;
    assert_ne!(first, second);
    assert_eq!(rig.docker.containers().await?.len(), 2, "only the first has containers");
    go(&rig, &first).await?;
    wait_until("the second runs", async || {
        rig.bottles().await.is_ok_and(|rows| rows[0]["status"] == "running")
    })
    .await?;
    go(&rig, &second).await?;
    rig.wait_for_detail("frozen", "success: ok").await?;
    rig.finish().await
}

// What it writes would stand under another name, and wake its own bottle.
#[tokio::test(flavor = "multi_thread")]
async fn an_agents_token_of_another_account_is_refused_at_the_start() -> Result<(), Fault> {
    let setup = agent("true");
    let mut rig = Rig::start(&setup).await?;
    rig.end_daemon(Signal::SIGTERM).await?;
    let own = std::mem::replace(&mut rig.bot_token, rig.daemon_token.clone());
    rig.configure(&setup)?;
    let error = rig.try_command(&["serve"]).await.expect_err("refused").to_string();
    for words in ["agent implementer", "bottle-daemon", "implementer-bot", "token_file"] {
        assert!(error.contains(words), "{error} lacks {words}");
    }
    rig.bot_token = own;
    rig.configure(&setup)?;
    rig.start_daemon().await?;
    rig.finish().await
}
