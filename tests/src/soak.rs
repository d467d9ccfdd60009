//! A day in the life, in minutes: issues in several repositories, a forge that fails and loses
//! webhooks, a daemon and containers that are killed, and people who change their mind.
//!
//! ```text
//! plan (seed) ─► errands: issue ─► asked ─► worked on ─► remarks ─► ended ─┐
//!             └► trouble: forge, webhooks, daemon, containers              ├─► account: what is not as it must be
//!                board (what status shows), gauge (the daemon's size) ─────┘
//! ```
//!
//! Chance decides what is tried, never what is right: each errand knows how it must end, whatever
//! came between.

mod account;
mod board;
mod errand;
mod gauge;
mod pulls;
mod trouble;

use std::{fmt, time::Duration};

use futures_util::{StreamExt as _, stream::FuturesUnordered};
use rand::{SeedableRng as _, rngs::StdRng};
use tokio::{
    sync::RwLock,
    time::{Instant, sleep, sleep_until},
};

use self::{board::Board, errand::Errand, gauge::Gauge, trouble::Trouble};
use crate::{
    interruption::{Interruption, Signals},
    rig::{Fault, Rig, Setup},
};

/// What all errands are in.
const REPOS: [&str; 3] = ["alice/widget", "alice/gadget", "alice/gizmo"];
/// The agent.
const AGENT: &str = include_str!("../agents/soak.sh");
/// Quick ends, and looks that make up for lost webhooks.
const LIMITS: &str = "grace = \"2s\"\nwatchdog = \"60s\"\nhot_for = \"8s\"\npoll = \"2s\"\n";

/// How long and how rough.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Chance begins with this.
    pub seed: u64,
    /// Issues are opened and trouble is made for so long; then everything may come to its end.
    pub opening: Duration,
    /// Issues at most.
    pub issues_max: usize,
    /// Between two issues.
    pub issue_every: Duration,
    /// Between two troubles, on average.
    pub trouble_every: Duration,
    /// Issues under way at a time.
    pub under_way_max: usize,
    /// The longest wait for any step of an issue.
    pub patience: Duration,
    /// By then all must be over.
    pub over_after: Duration,
    /// Between two reports.
    pub report_every: Duration,
}

impl Plan {
    /// A working week of 20 issues an hour in some minutes.
    pub fn minutes(minutes: u64, seed: u64) -> Self {
        Self {
            seed,
            opening: Duration::from_secs(minutes.saturating_mul(60)),
            issues_max: 2000,
            issue_every: Duration::from_secs(4),
            trouble_every: Duration::from_secs(1),
            under_way_max: 10,
            patience: Duration::from_secs(180),
            over_after: Duration::from_secs(minutes.saturating_mul(60).saturating_add(900)),
            report_every: Duration::from_secs(30),
        }
    }

    /// A test's.
    pub fn short(seed: u64) -> Self {
        Self {
            opening: Duration::from_secs(12),
            issues_max: 5,
            issue_every: Duration::from_secs(1),
            trouble_every: Duration::from_millis(1500),
            under_way_max: 5,
            patience: Duration::from_secs(35),
            over_after: Duration::from_secs(50),
            report_every: Duration::from_secs(5),
            ..Self::minutes(0, seed)
        }
    }
}

/// What became of it.
#[derive(Debug, Default)]
pub struct Summary {
    /// Issues opened.
    pub issues: usize,
    /// Issues that came to their right end.
    pub ended: usize,
    /// Troubles made, by kind.
    pub troubles: Vec<(&'static str, u32)>,
    /// The daemon's size over time.
    pub size: String,
    /// Whatever is not as it must be.
    pub wrong: Vec<String>,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "issues: {} opened, {} at their right end", self.issues, self.ended)?;
        let troubles: Vec<String> =
            self.troubles.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
        writeln!(f, "trouble: {}", troubles.join(", "))?;
        writeln!(f, "daemon: {}", self.size)?;
        for wrong in &self.wrong {
            writeln!(f, "WRONG: {wrong}")?;
        }
        write!(f, "{}", if self.wrong.is_empty() { "nothing is wrong" } else { "see above" })
    }
}

/// How a soak ended.
#[derive(Debug)]
pub enum Ended {
    /// It was played to its end.
    Played(Summary),
    /// It was told to stop.
    Interrupted(Interruption),
}

/// What all parts share.
#[derive(Debug)]
struct World {
    /// Taken for writing by whoever restarts the daemon.
    rig: RwLock<Rig>,
    board: Board,
    gauge: Gauge,
    plan: Plan,
}

/// Plays a soak on an installation of its own, and ends all that it started.
///
/// # Errors
/// When the installation cannot be set up or cleaned up.
pub async fn play(plan: Plan, say: &mut (dyn FnMut(&str) + Send)) -> Result<Ended, Fault> {
    let mut signals = Signals::new()?;
    let setup = Setup {
        agent: AGENT.to_owned(),
        limits: LIMITS.to_owned(),
        repos: REPOS.map(str::to_owned).to_vec(),
        ..Setup::default()
    };
    // To its end, which has a deadline: what is half made is hard to find again.
    let rig = Rig::start(&setup).await?;
    let world = World { rig: RwLock::new(rig), board: Board::default(), gauge: Gauge::new(), plan };
    let ended = tokio::select! {
        summary = world.run(say) => Ok(Ended::Played(summary)),
        by = signals.next() => Ok::<_, Fault>(Ended::Interrupted(by)),
    };
    let finished = world.rig.into_inner().finish().await;
    let ended = ended?;
    finished.map(|()| ended)
}

impl World {
    async fn run(&self, say: &mut (dyn FnMut(&str) + Send)) -> Summary {
        let trouble = Trouble::new(self.plan.seed);
        let mut summary = Summary::default();
        tokio::select! {
            () = self.drive(&trouble, &mut summary, say) => {}
            () = self.board.watch(&self.rig) => {}
            () = self.gauge.watch(&self.rig) => {}
            () = sleep(self.plan.over_after) => {
                let seconds = self.plan.over_after.as_secs();
                summary.wrong.push(format!("not over after {seconds} s; {}", self.board.sentence()));
            }
        }
        summary.troubles = trouble.counts();
        summary.size = self.gauge.sentence();
        summary.wrong.extend(self.gauge.growth());
        summary
    }

    /// Opens issues and makes trouble, lets everything end, and takes account.
    async fn drive(
        &self,
        trouble: &Trouble,
        summary: &mut Summary,
        say: &mut (dyn FnMut(&str) + Send),
    ) {
        let begun = Instant::now();
        let calm = begun + self.plan.opening;
        let make_trouble = async {
            tokio::select! {
                () = trouble.make(self) => {}
                () = sleep_until(calm) => {}
            }
            trouble.end(self).await;
        };
        let mut told = Vec::new();
        {
            let errands = self.errands(calm, summary, &mut told, say);
            tokio::join!(make_trouble, errands);
        }
        summary.wrong.append(&mut told);
        say(&format!("{:4}s  taking account", begun.elapsed().as_secs()));
        summary.wrong.extend(account::take(self).await);
    }

    /// Opens one issue after another until `calm` and sees each to its end.
    async fn errands(
        &self,
        calm: Instant,
        summary: &mut Summary,
        wrong: &mut Vec<String>,
        say: &mut (dyn FnMut(&str) + Send),
    ) {
        let begun = Instant::now();
        let mut under_way = FuturesUnordered::new();
        let mut next = begun;
        let mut report = begun + self.plan.report_every;
        loop {
            let is_open = Instant::now() < calm && summary.issues < self.plan.issues_max;
            if !is_open && under_way.is_empty() {
                return;
            }
            tokio::select! {
                () = sleep_until(next), if is_open && under_way.len() < self.plan.under_way_max => {
                    under_way.push(self.errand(summary.issues).play(self));
                    summary.issues += 1;
                    next += self.plan.issue_every;
                }
                Some(end) = under_way.next(), if !under_way.is_empty() => match end {
                    Ok(()) => summary.ended += 1,
                    Err(error) => {
                        say(&format!("{:4}s  WRONG: {error}", begun.elapsed().as_secs()));
                        wrong.push(error.to_string());
                    }
                },
                () = sleep_until(report) => {
                    report += self.plan.report_every;
                    say(&format!(
                        "{:4}s  {} issues opened, {} ended, {} under way; {}; {}",
                        begun.elapsed().as_secs(), summary.issues, summary.ended, under_way.len(),
                        self.board.sentence(), self.gauge.sentence(),
                    ));
                }
                // Looks again whether it is calm.
                () = sleep_until(calm), if is_open => {}
            }
        }
    }

    fn errand(&self, index: usize) -> Errand {
        let index = u64::try_from(index).unwrap_or(u64::MAX);
        Errand::new(index, &mut StdRng::seed_from_u64(self.plan.seed.wrapping_add(index)))
    }
}
