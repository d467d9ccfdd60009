//! The memory of a real daemon with a thousand frozen bottles, after it has looked at all of them.

use std::time::Duration;

use e2e::{
    forge_double::NewIssue,
    rig::{BOT, LABEL, REPO, Rig, Setup},
};
use nix::sys::signal::Signal;
use tokio::time::{Instant, sleep};

use crate::{
    Fault, Row,
    figure::Unit,
    memory,
    rows::Effort,
    world::{self, Life},
};

/// On record.
const BOTTLES: u32 = 1000;
/// No request for so long: it has looked at everything.
const QUIET: Duration = Duration::from_secs(2);
/// Longest wait for that.
const PATIENCE: Duration = Duration::from_secs(90);
/// Between two samples.
const PAUSE: Duration = Duration::from_millis(100);

/// Takes the row.
pub(super) async fn take(effort: Effort) -> Result<Row, Fault> {
    let setup = Setup { agent: "true".to_owned(), ..Setup::default() };
    let mut rig = Rig::start(&setup).await?;
    let taken = resident(&mut rig, effort).await;
    rig.finish().await?;
    taken
}

async fn resident(rig: &mut Rig, effort: Effort) -> Result<Row, Fault> {
    let count = BOTTLES / effort.part;
    rig.end_daemon(Signal::SIGTERM).await?;
    for serial in 1..=count {
        let issue = NewIssue { title: "Add a greeting".to_owned(), ..NewIssue::default() };
        let number = rig.forge.create_issue("alice", REPO, &issue).await?;
        if number != u64::from(serial) {
            return Err(format!("issue {number} instead of {serial}").into());
        }
        rig.forge.label("alice", REPO, number, LABEL).await?;
        rig.forge.assign("alice", REPO, number, BOT).await?;
    }
    let bottles: Result<Vec<_>, Fault> =
        (1..=count).map(|serial| world::bottle(serial, true, Life::Cold)).collect();
    world::fill(&rig.data_dir(), bottles?).await?;
    rig.start_daemon().await?;
    until_quiet(rig).await?;
    let pid = rig.daemon_pid().ok_or("the daemon does not run")?;
    let mut row = Row::new("orchestrator_rss", Unit::Mebibytes);
    for _ in 0..effort.samples {
        row.samples.push(memory::rss_mib(pid)?);
        sleep(PAUSE).await;
    }
    let frozen = rig.bottles().await?.iter().filter(|bottle| bottle["status"] == "frozen").count();
    if frozen != usize::try_from(count)? {
        return Err(format!("{frozen} bottles are frozen\n{}", rig.log()).into());
    }
    Ok(row)
}

async fn until_quiet(rig: &Rig) -> Result<(), Fault> {
    let deadline = Instant::now() + PATIENCE;
    let (mut known, mut since) = (0, Instant::now());
    while since.elapsed() < QUIET {
        let count = rig.forge.requests().len();
        if count != known {
            (known, since) = (count, Instant::now());
        }
        if Instant::now() > deadline {
            return Err("the daemon does not come to rest".into());
        }
        sleep(Duration::from_millis(200)).await;
    }
    Ok(())
}
