//! The daemon is killed in the middle of starting, freezing, waking and removing: the end is the same
//! as if it had not been. Every call and every commit has its kill in the orchestrator's own tests,
//! over an engine in memory (`orchestrator/tests/world`).

use std::{path::Path, time::Duration};

use e2e::rig::{BOT, Fault, REPO, Rig, wait_until};
use nix::sys::signal::Signal;
use rusqlite::{Connection, OpenFlags};
use tokio::time::Instant;

use crate::{WAIT, agent, go, restarts::waiting_agent, story::is_gone};

/// When the daemon is killed.
#[derive(Debug, Clone, Copy)]
enum Crash {
    /// As soon as this bottle's record has this status and an effect that is not done.
    Doing(&'static str),
    /// The webhooks are stored and answered; the launch has just begun.
    Stored,
    /// The engine shows this many of the bottle's two containers.
    Containers(usize),
    /// So long after the agent's last act.
    AgentEnded(Duration),
    /// So long after the webhooks of the merge are stored and answered.
    Merged(Duration),
}

/// What the world shows of an installation in which one issue went from label to merge.
#[derive(Debug, PartialEq, Eq)]
struct End {
    bottles: usize,
    runs: u64,
    pulls_opened: usize,
    comments_written: usize,
    containers: Vec<String>,
    files: Vec<String>,
}

/// What it is if nothing happens on the way.
const QUIET_END: End = End {
    bottles: 1,
    runs: 1,
    pulls_opened: 1,
    comments_written: 1,
    containers: Vec::new(),
    files: Vec::new(),
};

/// Opens a pull request, comments, says done; when it is let go, notes its end and ends.
fn once_agent() -> e2e::rig::Setup {
    agent(&format!(
        "git clone --quiet \"$(bottle context --json | jq -r .clone_url)\" tree\n\
         cd tree\n\
         branch=$(bottle context --json | jq -r .branch)\n\
         git switch --quiet --create \"$branch\"\n\
         echo hello >hello.txt\n\
         git add hello.txt\n\
         git commit --quiet --message 'Add a greeting'\n\
         git push --quiet --set-upstream origin \"$branch\"\n\
         bottle open-pr --title 'Add a greeting' --body 'Says hello.'\n\
         bottle post-comment \"$FORGE_ISSUE_NUMBER\" 'I have opened a pull request.'\n\
         cd ..\n{WAIT}bottle signal-done success 'all done'\ntouch ended\n"
    ))
}

// CASES 137-142
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_or_doubled_without_a_crash() -> Result<(), Fault> {
    assert_eq!(play(None).await?, QUIET_END);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_killed_while_a_bottle_starts_starts_it_once() -> Result<(), Fault> {
    for crash in [Crash::Doing("starting"), Crash::Stored, Crash::Containers(1)] {
        assert_eq!(play(Some(crash)).await?, QUIET_END, "{crash:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_killed_while_a_bottle_freezes_freezes_it_afterwards() -> Result<(), Fault> {
    let ended = Crash::AgentEnded(Duration::from_millis(10));
    for crash in [Crash::Doing("freezing"), ended] {
        assert_eq!(play(Some(crash)).await?, QUIET_END, "{crash:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_killed_while_a_bottle_is_removed_removes_the_rest() -> Result<(), Fault> {
    let merged = Crash::Merged(Duration::from_millis(30));
    for crash in [Crash::Doing("destroyed"), merged] {
        assert_eq!(play(Some(crash)).await?, QUIET_END, "{crash:?}");
    }
    Ok(())
}

// CASES 147
#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_killed_while_a_bottle_wakes_wakes_it_once() -> Result<(), Fault> {
    let mut rig = Rig::start(&waiting_agent()).await?;
    let issue = rig.ask_for_work("Wait", "").await?;
    let slug = rig.wait_for("running").await?;
    go(&rig, &slug).await?;
    rig.wait_for_detail("frozen", "finished run 1").await?;
    rig.forge.comment("bob", REPO, issue, "Once more, please.").await.expect("said");
    restart_in(&mut rig, "rehydrating").await?;
    assert_eq!(rig.wait_for("running").await?, slug);
    go(&rig, &slug).await?;
    rig.wait_for_detail("frozen", "finished run 2").await?;
    let bottles = rig.bottles().await?;
    assert_eq!(bottles.len(), 1);
    assert_eq!(bottles[0]["runs"], 2, "it was told once");
    rig.finish().await
}

/// Plays an issue from label to merge with a crash on the way.
async fn play(crash: Option<Crash>) -> Result<End, Fault> {
    let mut rig = Rig::start(&once_agent()).await?;
    rig.ask_for_work("Add a greeting", "").await?;
    match crash {
        Some(Crash::Stored) => {
            rig.forge.deliveries_settled().await;
            restart(&mut rig).await?;
        }
        Some(Crash::Containers(count)) => {
            wait_until("the containers are there", async || {
                rig.docker.containers().await.is_ok_and(|names| names.len() >= count)
            })
            .await?;
            restart(&mut rig).await?;
        }
        Some(Crash::Doing("starting")) => restart_in(&mut rig, "starting").await?,
        Some(Crash::Doing(_) | Crash::AgentEnded(_) | Crash::Merged(_)) | None => {}
    }
    let slug = rig.wait_for("running").await?;
    go(&rig, &slug).await?;
    if let Some(Crash::AgentEnded(delay)) = crash {
        let ended = rig.data_dir().join("bottles").join(&slug).join("home/work/ended");
        wait_until("the agent has ended", async || ended.exists()).await?;
        tokio::time::sleep(delay).await;
        restart(&mut rig).await?;
    }
    if let Some(Crash::Doing("freezing")) = crash {
        restart_in(&mut rig, "freezing").await?;
    }
    assert_eq!(rig.wait_for_detail("frozen", "all done").await?, slug);
    wait_until("it is paused", async || rig.docker.state(&slug).await.as_deref() == Some("paused"))
        .await?;
    let bottles = rig.bottles().await?;
    let pull = bottles.first().and_then(|bottle| bottle["pr_number"].as_u64());
    let pull = pull.ok_or("no pull request")?;
    rig.forge.merge("alice", REPO, pull).await.expect("merged");
    if let Some(Crash::Merged(delay)) = crash {
        rig.forge.deliveries_settled().await;
        tokio::time::sleep(delay).await;
        restart(&mut rig).await?;
    }
    if let Some(Crash::Doing("destroyed")) = crash {
        restart_in(&mut rig, "destroyed").await?;
    }
    rig.wait_for_detail("destroyed", "pull request merged").await?;
    is_gone(&rig, &slug).await?;
    let end = end(&rig).await?;
    rig.finish().await?;
    Ok(end)
}

async fn restart(rig: &mut Rig) -> Result<(), Fault> {
    rig.end_daemon(Signal::SIGKILL).await?;
    rig.start_daemon().await
}

/// Kills the daemon in the middle of an effect, and makes sure that it was.
async fn restart_in(rig: &mut Rig, status: &str) -> Result<(), Fault> {
    let books = Connection::open_with_flags(
        rig.data_dir().join("bot-bottle.db"),
        OpenFlags::SQLITE_OPEN_READ_WRITE,
    )?;
    let doing = || {
        let asked = "SELECT 1 FROM bottles JOIN effects USING (slug) WHERE status = ?1";
        books.prepare(asked).and_then(|mut asked| asked.exists([status]))
    };
    let deadline = Instant::now() + Duration::from_secs(60);
    // An effect may take no more than some milliseconds.
    while !doing()? {
        if Instant::now() > deadline {
            return Err(format!("the bottle was never {status}\n{}", rig.log()).into());
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    rig.end_daemon(Signal::SIGKILL).await?;
    assert!(doing()?, "the effect of {status} was done before the daemon died");
    rig.start_daemon().await
}

async fn end(rig: &Rig) -> Result<End, Fault> {
    let bottles = rig.bottles().await?;
    let requests = rig.forge.requests();
    let written = |ending: &str| {
        let writes = requests.iter().filter(|request| {
            request.method == "POST"
                && request.status == Some(201)
                && request.user.as_deref() == Some(BOT)
        });
        writes.filter(|request| request.path.ends_with(ending)).count()
    };
    Ok(End {
        bottles: bottles.len(),
        runs: bottles.iter().filter_map(|bottle| bottle["runs"].as_u64()).sum(),
        pulls_opened: written("/pulls"),
        comments_written: written("/comments"),
        containers: rig.docker.containers().await?,
        files: names(&rig.data_dir().join("bottles"))?,
    })
}

fn names(dir: &Path) -> Result<Vec<String>, Fault> {
    std::fs::read_dir(dir)?
        .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
        .collect()
}
