//! The daemon is killed by `SIGKILL` before and after every call that it makes, in a process of its
//! own; the next one goes on.

use std::{
    fs::{self, File},
    os::unix::process::ExitStatusExt as _,
    path::Path,
    process::{ExitStatus, Stdio},
    sync::Arc,
    time::Duration,
};

use nix::sys::signal::Signal;
use tempfile::TempDir;
use tokio::{process::Command, sync::Semaphore, task::JoinSet, time::timeout};

use crate::{
    failures::calls,
    gate::{Fault, How},
    installation::{End, Installation, furnish},
};

/// Where a child finds its installation.
const DIR: &str = "BOT_BOTTLE_TEST_WORLD";
/// What befalls it.
const FAULT: &str = "BOT_BOTTLE_TEST_FAULT";
/// For one child.
const PATIENCE: Duration = Duration::from_secs(45);
/// Commits that change something in most stories; how many share one is a matter of speed.
const COMMITS: u32 = 30;
/// In the shortest.
const COMMITS_MIN: usize = 10;
/// Children at a time.
const TOGETHER: usize = 6;

/// Not a test by itself: the daemon that is killed.
#[tokio::test(flavor = "multi_thread")]
async fn child() {
    let Some(dir) = std::env::var_os(DIR) else { return };
    let dir = Path::new(&dir);
    tracing_subscriber::fmt().with_ansi(false).init();
    let fault = std::env::var_os(FAULT).map(|word| word.to_str().unwrap().parse().unwrap());
    let end = Installation::start(dir, fault.into_iter().collect()).await.finish().await;
    fs::write(dir.join("end.json"), serde_json::to_vec(&end).unwrap()).unwrap();
}

/// Where a child is killed.
#[derive(Debug)]
enum Death {
    /// At a call of a port.
    Call(Fault),
    /// Before or after the `n`th commit that changes something.
    Commit(&'static str, u32),
}

/// A story that is told by one process after another.
struct Told(TempDir);

impl Told {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        furnish(dir.path());
        Self(dir)
    }

    /// Lets a child tell it until it is killed or the story ends.
    async fn on(&self, death: Option<&Death>) -> ExitStatus {
        let log =
            File::options().create(true).append(true).open(self.0.path().join("log")).unwrap();
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["crashes::child", "--exact", "--nocapture"]).env(DIR, self.0.path());
        match death {
            Some(Death::Call(fault)) => command.env(FAULT, fault.word()),
            Some(Death::Commit(point, nth)) => {
                command.env("BOT_BOTTLE_CRASH_AT", format!("{point}:{nth}"))
            }
            None => &mut command,
        };
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        let mut child = command.kill_on_drop(true).spawn().unwrap();
        timeout(PATIENCE, child.wait()).await.unwrap_or_else(|_| panic!("{}", self.log())).unwrap()
    }

    /// To its end, which nothing disturbs any more.
    async fn end(&self) -> End {
        let status = self.on(None).await;
        assert!(status.success(), "{status:?} {}", self.log());
        serde_json::from_slice(&fs::read(self.0.path().join("end.json")).unwrap()).unwrap()
    }

    fn log(&self) -> String {
        fs::read_to_string(self.0.path().join("log")).unwrap_or_default()
    }
}

fn was_killed(status: ExitStatus) -> bool {
    status.signal() == Some(Signal::SIGKILL as i32)
}

/// Plays one story for each death of its daemon; says which did not come to it.
async fn killed_once(deaths: Vec<Death>) -> Vec<Death> {
    let places = Arc::new(Semaphore::new(TOGETHER));
    let mut playing = JoinSet::new();
    for death in deaths {
        let places = Arc::clone(&places);
        playing.spawn(async move {
            let _place = places.acquire_owned().await.unwrap();
            let told = Told::new();
            let status = told.on(Some(&death)).await;
            if !was_killed(status) {
                assert!(status.success(), "{death:?} {status:?} {}", told.log());
                return Some(death);
            }
            assert_eq!(told.end().await, End::good(), "{death:?} {}", told.log());
            None
        });
    }
    playing.join_all().await.into_iter().flatten().collect()
}

/// Calls that change something, and those after which something is remembered.
async fn points(how: How) -> Vec<Death> {
    let calls = calls().await;
    let each = calls.iter().flat_map(|(call, count)| (1..=*count).map(move |nth| (call, nth)));
    each.map(|(call, nth)| Death::Call(Fault::new(call, nth, how))).collect()
}

// CASES 136-139, 142, 145, 147
#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_killed_before_a_call_makes_it_afterwards() {
    let points = points(How::KilledBefore).await;
    let all = points.len();
    let missed = killed_once(points).await;
    assert!(missed.len() * 4 < all, "too many points are not reached: {missed:?}");
}

// CASES 137-140, 142, 145, 146
#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_killed_after_a_call_does_not_make_it_matter_twice() {
    let points = points(How::KilledAfter).await;
    let all = points.len();
    let missed = killed_once(points).await;
    assert!(missed.len() * 4 < all, "too many points are not reached: {missed:?}");
}

// CASES 135, 136, 140-142, 146: whatever was to follow a commit, or whoever waits to hear of it.
#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_killed_at_a_commit_goes_on_from_before_or_after_it() {
    let nth = 1..=COMMITS;
    let before = nth.clone().map(|nth| Death::Commit("committing", nth));
    let after = nth.map(|nth| Death::Commit("committed", nth));
    let deaths: Vec<Death> = before.chain(after).collect();
    let all = deaths.len();
    let missed = killed_once(deaths).await;
    assert!(all - missed.len() > 2 * COMMITS_MIN, "hardly any commit is reached: {missed:?}");
}

// CASES 155
#[tokio::test(flavor = "multi_thread")]
async fn twenty_kills_inside_recovery_change_nothing_in_the_end() {
    let told = Told::new();
    let first = Death::Call(Fault::new("pause bottle", 1, How::KilledAfter));
    assert!(was_killed(told.on(Some(&first)).await), "{}", told.log());
    for nth in 1..=20 {
        let next = Death::Call(Fault::new("any", nth, How::KilledAfter));
        told.on(Some(&next)).await;
    }
    assert_eq!(told.end().await, End::good(), "{}", told.log());
}
