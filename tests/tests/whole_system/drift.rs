//! What others do behind the daemon's back, and what an agent leaves behind.

use std::{path::Path, time::Duration};

use e2e::rig::{Fault, REPO, Rig, wait_until, wait_until_for};
use tokio::time::Instant;

use crate::{agent, story::is_gone};

/// Containers are compared with records every 15 s; some for the look itself on a busy machine.
const RECONCILED: Duration = Duration::from_secs(20);
/// An agent that does not end by itself is given 15 s by its container.
const STOPPED: Duration = Duration::from_secs(30);
/// The image of containers made by hand.
const IMAGE: &str = "bot-bottle/default:bookworm";
/// More levels than a recursive removal has descriptors or stack for.
const DEPTH: u32 = 20_000;

#[tokio::test(flavor = "multi_thread")]
async fn the_kill_switch_puts_a_running_agent_to_sleep_without_a_restart() -> Result<(), Fault> {
    let rig = Rig::start(&agent("sleep 600")).await?;
    rig.ask_for_work("Run", "").await?;
    let slug = rig.wait_for("running").await?;
    std::fs::write(rig.data_dir().join("kill-switch"), "")?;
    let thrown = Instant::now();
    wait_until_for(RECONCILED, "the agent is being stopped", async || {
        rig.bottles().await.is_ok_and(|bottles| bottles[0]["status"] != "running")
    })
    .await?;
    wait_until_for(STOPPED, "the agent has stopped", async || {
        rig.docker.state(&slug).await.as_deref() == Some("exited")
    })
    .await?;
    rig.wait_for_detail("frozen", "put to sleep by an operator").await?;
    let took = thrown.elapsed();
    assert!(took < RECONCILED + STOPPED, "it took {took:?}");
    assert!(rig.daemon_pid().is_some());
    rig.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_of_ours_that_no_record_knows_is_removed_and_no_other() -> Result<(), Fault> {
    let rig = Rig::start(&agent("true")).await?;
    let instance = rig.docker.instance()?.ok_or("the daemon has no instance")?;
    let foreign = [
        Made::new(&rig, &unknown_slug("d"), &[("role", "bottle")]).await?,
        Made::new(
            &rig,
            &unknown_slug("f"),
            &[("instance", "0123456789abcdef"), ("role", "bottle")],
        )
        .await?,
    ];
    // As after a restored backup: nothing goes before somebody has looked.
    let switch = rig.data_dir().join("kill-switch");
    std::fs::write(&switch, "")?;
    let ours = [("instance", instance.as_str()), ("role", "bottle")];
    let orphan = Made::new(&rig, "implementer-zzzzz", &ours).await?;
    wait_until_for(RECONCILED, "the orphan is seen", async || {
        rig.log().contains("kept while the kill switch is on")
    })
    .await?;
    assert!(rig.docker.state(&orphan.0).await.is_some());
    std::fs::remove_file(&switch)?;
    wait_until_for(RECONCILED, "the orphan is removed", async || {
        rig.docker.state(&orphan.0).await.is_none()
    })
    .await?;
    for other in &foreign {
        let state = rig.docker.state(&other.0).await;
        assert_eq!(state.as_deref(), Some("created"), "{} is not ours", other.0);
    }
    assert!(rig.bottles().await?.is_empty());
    rig.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_bottle_that_somebody_unpaused_is_paused_again() -> Result<(), Fault> {
    let rig = Rig::start(&agent("bottle signal-done success 'all done'\n")).await?;
    rig.ask_for_work("Sleep", "").await?;
    let slug = rig.wait_for_detail("frozen", "all done").await?;
    for _ in 0..2 {
        // It runs when this returns.
        rig.docker.run(&["unpause", &slug]).await?;
        wait_until("it is paused again", async || {
            rig.docker.state(&slug).await.as_deref() == Some("paused")
        })
        .await?;
        rig.wait_for_detail("frozen", "all done").await?;
    }
    let bottles = rig.bottles().await?;
    assert_eq!((bottles.len(), &bottles[0]["runs"]), (1, &1.into()), "nothing was started");
    let sidecar = rig.docker.state(&format!("{slug}-sidecar")).await;
    assert_eq!(sidecar.as_deref(), Some("running"));
    rig.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_home_of_20000_nested_directories_is_removed_and_the_daemon_lives() -> Result<(), Fault> {
    let dig =
        format!("perl -e 'for (1..{DEPTH}) {{ mkdir \"d\" or die $!; chdir \"d\" or die $! }}'");
    let rig =
        Rig::start(&agent(&format!("{dig}\nbottle signal-done success 'dug deep'\n"))).await?;
    let pid = rig.daemon_pid();
    let issue = rig.ask_for_work("Dig", "").await?;
    let slug = rig.wait_for_detail("frozen", "dug deep").await?;
    let home = rig.data_dir().join("bottles").join(&slug).join("home/work");
    assert!(home.join(["d"; 500].join("/")).is_dir(), "it did not dig");

    rig.forge.close("alice", REPO, issue).await.expect("closed");
    rig.wait_for_detail("destroyed", "issue closed").await?;
    is_gone(&rig, &slug).await?;
    assert!(rig.daemon_pid() == pid && is_alive(pid), "the daemon died\n{}", rig.log());
    rig.try_command(&["status"]).await?;
    rig.finish().await
}

// The rig's own promise, on which every failing test relies.
#[tokio::test(flavor = "multi_thread")]
async fn a_test_that_fails_leaves_nothing_behind() -> Result<(), Fault> {
    let rig = Rig::start(&agent("sleep 600")).await?;
    rig.ask_for_work("Run", "").await?;
    let slug = rig.wait_for("running").await?;
    // Not on the network any more: found by its label all the same.
    let sidecar = format!("{slug}-sidecar");
    rig.docker.run(&["network", "disconnect", "--force", rig.docker.network(), &sidecar]).await?;
    let (network, dir, pid) =
        (rig.docker.network().to_owned(), rig.dir().to_owned(), rig.daemon_pid());
    drop(rig);
    assert!(!is_alive(pid), "the daemon lives");
    assert!(!dir.exists(), "{} is there", dir.display());
    let docker = async |words: &[&str]| {
        tokio::process::Command::new("timeout")
            .args(["--kill-after=1", "55", "docker"])
            .args(words)
            .output()
            .await
            .map(|o| o.status.success())
    };
    for container in [&slug, &sidecar] {
        assert!(!docker(&["inspect", container]).await?, "{container} is there");
    }
    assert!(!docker(&["network", "inspect", &network]).await?, "{network} is there");
    Ok(())
}

fn is_alive(pid: Option<u32>) -> bool {
    pid.is_some_and(|pid| {
        let status =
            std::fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("status"));
        status.is_ok_and(|status| !status.contains("\nState:\tZ"))
    })
}

/// A bottle's name that no daemon gives: `l` is not among its letters.
fn unknown_slug(mark: &str) -> String {
    let chance: String = (0..3).map(|_| char::from(b'b' + rand::random::<u8>() % 25)).collect();
    format!("implementer-l{mark}{chance}")
}

/// A container that the test made by hand, removed with it.
struct Made(String);

impl Made {
    async fn new(rig: &Rig, name: &str, labels: &[(&str, &str)]) -> Result<Self, Fault> {
        let mut words = vec!["create".to_owned(), "--name".to_owned(), name.to_owned()];
        for (key, value) in labels.iter().chain(&[("slug", name)]) {
            words.extend(["--label".to_owned(), format!("bot-bottle.{key}={value}")]);
        }
        words.extend([IMAGE, "true"].map(str::to_owned));
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        rig.docker.run(&words).await?;
        Ok(Self(name.to_owned()))
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        let mut command = std::process::Command::new("timeout");
        command.args(["--kill-after=1", "55", "docker"]);
        // The daemon may have removed it, as it should.
        drop(command.args(["rm", "--force", &self.0]).output());
    }
}
