//! The engine stops, dies or the host is rebooted, with bottles awake and asleep.

use e2e::rig::{Fault, PrivateEngine, REPO, Rig, Setup, wait_until};
use nix::sys::signal::Signal;
use serde_json::Value;

use crate::{WAIT, agent, go};

/// An engine of the test's own with an image, and what runs on it.
async fn engine() -> Result<(PrivateEngine, Setup), Fault> {
    let engine = PrivateEngine::start(None).await?;
    let script =
        format!("echo run >>runs\n{WAIT}bottle signal-done success \"run $(wc -l <runs)\"\n");
    let setup = Setup { engine: Some(engine.place()), ..agent(&script) };
    engine.load(&setup.image)?;
    Ok((engine, setup))
}

/// One bottle that runs and one that sleeps hot.
async fn two_bottles(rig: &Rig) -> Result<(u64, String, String), Fault> {
    rig.ask_for_work("Sleep", "").await?;
    let asleep = rig.wait_for("running").await?;
    go(rig, &asleep).await?;
    rig.wait_for_detail("frozen", "hot, success: run 1").await?;
    let issue = rig.ask_for_work("Work", "").await?;
    let awake = rig.wait_for("running").await?;
    assert_ne!(awake, asleep);
    let begun = rig.data_dir().join(format!("bottles/{awake}/home/work/runs"));
    wait_until("its agent works", async || begun.exists()).await?;
    Ok((issue, awake, asleep))
}

/// Waits until a bottle has this status, with these words in its detail.
async fn until(rig: &Rig, slug: &str, status: &str, words: &str) -> Result<(), Fault> {
    let is = |row: &Value, key: &str, wanted: &dyn Fn(&str) -> bool| {
        row.get(key).and_then(Value::as_str).is_some_and(wanted)
    };
    let what = format!("{slug} is {status} {words}");
    let reached = wait_until(&what, async || {
        let rows = rig.bottles().await.unwrap_or_default();
        rows.iter().any(|row| {
            is(row, "slug", &|text| text == slug)
                && is(row, "status", &|text| text == status)
                && is(row, "detail", &|text| text.contains(words))
        })
    });
    reached.await.map_err(|error| format!("{error}\n{}", rig.log()).into())
}

/// Each bottle is in its right state, goes on when it is told something, and was started as often as
/// it was asked to.
async fn all_is_well(rig: &Rig, issue: u64, awake: &str, asleep: &str) -> Result<(), Fault> {
    until(rig, awake, "frozen", "cold, incomplete").await?;
    until(rig, asleep, "frozen", "cold, success: run 1").await?;
    rig.forge.comment("bob", REPO, issue, "Go on.").await.expect("said");
    until(rig, awake, "running", "").await?;
    go(rig, awake).await?;
    until(rig, awake, "frozen", "success: run 2").await?;
    let rows = rig.bottles().await?;
    assert_eq!(rows.len(), 2, "nothing was launched twice: {rows:?}");
    assert_eq!(rig.docker.containers().await?.len(), 4);
    Ok(())
}

// CASES 161
#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_is_restarted_ends_runs_and_loses_nothing() -> Result<(), Fault> {
    let (mut engine, setup) = engine().await?;
    let rig = Rig::start(&setup).await?;
    let (issue, awake, asleep) = two_bottles(&rig).await?;
    engine.stop()?;
    wait_until("it is noticed", async || rig.log().contains("cannot compare")).await?;
    engine.run().await?;
    all_is_well(&rig, issue, &awake, &asleep).await?;
    rig.finish().await
}

// CASES 161: its containers go on without it until it is back, and are killed then.
#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_is_killed_ends_runs_and_loses_nothing() -> Result<(), Fault> {
    let (mut engine, setup) = engine().await?;
    let rig = Rig::start(&setup).await?;
    let (issue, awake, asleep) = two_bottles(&rig).await?;
    engine.kill()?;
    engine.run().await?;
    all_is_well(&rig, issue, &awake, &asleep).await?;
    rig.finish().await
}

// CASES 176: engine, containers and daemon end at once, and none had time to say so.
#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_loses_its_power_finds_every_bottle_again() -> Result<(), Fault> {
    let (mut engine, setup) = engine().await?;
    let mut rig = Rig::start(&setup).await?;
    let (issue, awake, asleep) = two_bottles(&rig).await?;
    rig.end_daemon(Signal::SIGKILL).await?;
    engine.reboot().await?;
    rig.start_daemon().await?;
    all_is_well(&rig, issue, &awake, &asleep).await?;
    rig.finish().await
}

// CASES 161: a daemon that starts before its engine does.
#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_starts_later_than_the_daemon_is_waited_for() -> Result<(), Fault> {
    let (mut engine, setup) = engine().await?;
    let mut rig = Rig::start(&setup).await?;
    rig.end_daemon(Signal::SIGTERM).await?;
    engine.stop()?;
    let (started, answers) = tokio::join!(rig.start_daemon(), async {
        tokio::time::sleep(std::time::Duration::from_secs(2)).await;
        engine.run().await
    });
    answers?;
    started?;
    assert!(rig.log().contains("the container engine is not there yet"), "{}", rig.log());
    rig.finish().await
}

// The rig's own promise: also of what is frozen, which cannot even die.
#[tokio::test(flavor = "multi_thread")]
async fn a_private_engine_leaves_nothing_behind() -> Result<(), Fault> {
    let engine = PrivateEngine::start(Some(1024)).await?;
    let place = engine.place();
    let image = Setup::default().image;
    engine.load(&image)?;
    engine.docker(&[
        "run",
        "--detach",
        "--network",
        "none",
        "--name",
        "frozen",
        &image,
        "sleep",
        "600",
    ])?;
    engine.docker(&["pause", "frozen"])?;
    let dir = place.socket.parent().ok_or("it has a directory")?.display().to_string();
    assert!(is_mentioned("/proc/mounts", &dir));
    drop(engine);
    assert!(!place.socket.exists(), "its directory is there");
    assert!(!is_mentioned("/proc/mounts", &dir), "its file system is mounted");
    for process in std::fs::read_dir("/proc")?.flatten() {
        let words = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
        assert!(
            !String::from_utf8_lossy(&words).contains(&dir),
            "{} lives",
            process.path().display()
        );
    }
    Ok(())
}

fn is_mentioned(file: &str, words: &str) -> bool {
    std::fs::read_to_string(file).is_ok_and(|text| text.contains(words))
}
