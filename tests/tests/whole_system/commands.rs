//! What an operator does by hand.

use e2e::rig::{Fault, Rig, wait_until};

use crate::{WAIT, agent, go, story::is_gone};

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_starts_resumes_freezes_and_destroys_by_hand() -> Result<(), Fault> {
    let script =
        format!("tail -n 1 >>told\n{WAIT}bottle signal-done success \"told: $(tail -n 1 told)\"\n");
    let rig = Rig::start(&agent(&script)).await?;
    let start = [
        "start",
        "--agent",
        "implementer",
        "--bottle",
        "dev",
        "--prompt",
        "Look around.",
        "--label",
        "tour",
        "--backend",
        "docker",
    ];
    let slug = rig.try_command(&start).await?.trim().to_owned();
    rig.wait_for("running").await?;
    let row = &rig.bottles().await?[0];
    assert_eq!(
        (&row["label"], &row["backend_name"], &row["issue_number"]),
        (&"tour".into(), &"docker".into(), &serde_json::Value::Null)
    );
    assert_eq!(row["bottle_names"], serde_json::json!(["dev"]));

    go(&rig, &slug).await?;
    rig.wait_for_detail("frozen", "told: Look around.").await?;
    rig.try_command(&["resume", "--slug", &slug, "--prompt", "Look again."]).await?;
    rig.wait_for("running").await?;
    wait_until("it was told", async || {
        rig.try_command(&["logs", &slug])
            .await
            .is_ok_and(|log| log.matches("agent started").count() == 2)
    })
    .await?;
    rig.try_command(&["freeze", &slug]).await?;
    rig.wait_for_detail("frozen", "put to sleep by an operator").await?;

    let again = rig.try_command(&["freeze", &slug]).await.expect_err("it sleeps").to_string();
    assert!(again.contains("sleeps that deep already"), "{again}");
    rig.try_command(&["destroy", &slug]).await?;
    rig.wait_for_detail("destroyed", "by an operator").await?;
    is_gone(&rig, &slug).await?;

    let unknown =
        rig.try_command(&["destroy", "implementer-zzzzz"]).await.expect_err("unknown").to_string();
    assert!(unknown.contains("there is no bottle implementer-zzzzz"), "{unknown}");
    let agent = rig
        .try_command(&["start", "--agent", "nobody", "--prompt", "x"])
        .await
        .expect_err("unknown")
        .to_string();
    assert!(
        agent.contains("there is no agent \"nobody\"") && agent.contains("there are: implementer"),
        "{agent}"
    );
    rig.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_kill_switch_stops_what_runs_and_starts_nothing() -> Result<(), Fault> {
    let mut rig = Rig::start(&agent("sleep 600")).await?;
    rig.ask_for_work("Run", "").await?;
    rig.wait_for("running").await?;
    std::fs::write(rig.data_dir().join("kill-switch"), "")?;
    // It is looked at with everything else; a restart looks at once.
    rig.end_daemon(nix::sys::signal::Signal::SIGTERM).await?;
    rig.start_daemon().await?;
    rig.wait_for_detail("frozen", "put to sleep by an operator").await?;
    rig.ask_for_work("Another", "").await?;
    rig.forge.deliveries_settled().await;
    wait_until("the daemon has looked", async || rig.log().contains("the kill switch is on"))
        .await?;
    assert_eq!(rig.bottles().await?.len(), 1);
    let refused = rig
        .try_command(&["start", "--agent", "implementer", "--prompt", "x"])
        .await
        .expect_err("off")
        .to_string();
    assert!(refused.contains("the kill switch is on"), "{refused}");
    rig.finish().await
}
