//! One issue from its opening to its right end, whatever comes between.

use std::time::Duration;

use rand::{RngExt as _, rngs::StdRng};
use tokio::time::{Instant, sleep};

use super::{
    REPOS, World,
    board::Row,
    pulls::{self, PullState},
};
use crate::{
    forge_double::NewIssue,
    rig::{BOT, Fault, LABEL},
};

/// Between two looks at the board.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// After so long without an answer a person asks once more.
const ASK_AGAIN: Duration = Duration::from_secs(15);

/// What is asked for by somebody who may not.
const UNTRUSTED: &str = "untrusted";

/// What the agent does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    Work,
    Talk,
    Silent,
    Failing,
    Linger,
}

/// How people end it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Merge,
    ClosePull,
    CloseIssue,
    DeleteIssue,
    Unlabel,
    Unassign,
}

/// An issue, and how it must end.
#[derive(Debug)]
pub(super) struct Errand {
    repo: &'static str,
    manner: Manner,
    end: End,
    label_first: bool,
    /// Ended before the agent has.
    early: bool,
    /// Somebody who may not write asks for more each time.
    disturbed: bool,
    /// What the agent is to do, asked for one after another: the first in the issue.
    items: Vec<String>,
}

impl Errand {
    /// By chance.
    pub(super) fn new(index: u64, chance: &mut StdRng) -> Self {
        let any = |chance: &mut StdRng, all: &[(Manner, End)]| {
            all.get(chance.random_range(0..all.len())).copied()
        };
        let lives = [
            (Manner::Work, End::Merge),
            (Manner::Work, End::Merge),
            (Manner::Work, End::ClosePull),
            (Manner::Work, End::Unlabel),
            (Manner::Work, End::Unassign),
            (Manner::Talk, End::CloseIssue),
            (Manner::Talk, End::DeleteIssue),
            (Manner::Silent, End::Merge),
            (Manner::Failing, End::ClosePull),
            (Manner::Linger, End::Merge),
        ];
        let (manner, end) = any(chance, &lives).unwrap_or((Manner::Work, End::Merge));
        let remarks = chance.random_range(0..3_u32);
        Self {
            repo: REPOS.get(chance.random_range(0..REPOS.len())).copied().unwrap_or(REPOS[0]),
            manner,
            end,
            label_first: chance.random(),
            early: matches!(end, End::Unlabel | End::Unassign | End::CloseIssue)
                && chance.random_range(0..3_u32) == 0,
            disturbed: chance.random(),
            items: (0..=remarks).map(|item| format!("i{index}-{item}")).collect(),
        }
    }

    /// Plays it. An error says what is not as it must be.
    pub(super) async fn play(self, world: &World) -> Result<(), Fault> {
        let number = self.ask(world).await?;
        let Err(error) = self.see_through(world, number).await else { return Ok(()) };
        let last = world.board.of(self.repo, number);
        let mut log = String::new();
        for row in &last {
            log += &world.rig.read().await.op_log(&row.slug).await.unwrap_or_default();
        }
        let (manner, end) = (self.manner, self.end);
        let what = format!("{}#{number} ({manner:?}, {end:?}): {error}", self.repo);
        Err(format!("{what}; seen last: {last:?}; its log:\n{log}").into())
    }

    /// Opens the issue, labels and assigns it.
    async fn ask(&self, world: &World) -> Result<u64, Fault> {
        let rig = world.rig.read().await;
        let item = self.items.first().map_or("", String::as_str);
        let issue = NewIssue {
            title: format!("Do {item}"),
            body: Some(format!("manner={}\nitem={item}", self.manner.word())),
            ..NewIssue::default()
        };
        let number = rig.forge.create_issue("alice", self.repo, &issue).await?;
        for label in [self.label_first, !self.label_first] {
            if label {
                rig.forge.label("alice", self.repo, number, LABEL).await?;
            } else {
                rig.forge.assign("alice", self.repo, number, BOT).await?;
            }
        }
        Ok(number)
    }

    async fn see_through(&self, world: &World, number: u64) -> Result<(), Fault> {
        if self.early {
            self.until(world, number, "it has a bottle", |_| true).await?;
            self.finish(world, number, None).await?;
            return self.ended(world, number).await;
        }
        let mut row = self.worked(world, number, 1).await?;
        for count in 2..=self.items.len() {
            self.remark(world, number, &row, count).await?;
            row = self.worked(world, number, count).await?;
        }
        self.finish(world, number, row.pull).await?;
        self.ended(world, number).await
    }

    /// Waits until the first `count` items are done and the bottle sleeps. Where a run came to
    /// nothing, or nobody answers, a person asks again.
    async fn worked(&self, world: &World, number: u64, count: usize) -> Result<Row, Fault> {
        let deadline = Instant::now() + world.plan.patience;
        let mut asked: Option<(Row, Instant)> = None;
        loop {
            if let Some(row) = self.one(world, number)? {
                if self.is_done(world, &row, count).await {
                    return Ok(row);
                }
                let again = asked
                    .as_ref()
                    .is_none_or(|(then, at)| then.runs < row.runs || at.elapsed() > ASK_AGAIN);
                if again && has_failed(&row) {
                    self.remark(world, number, &row, count).await?;
                    asked = Some((row, Instant::now()));
                }
            }
            if Instant::now() > deadline {
                return Err(format!("{} is not done", self.first(count).join(", ")).into());
            }
            sleep(LOOK_EVERY).await;
        }
    }

    async fn is_done(&self, world: &World, row: &Row, count: usize) -> bool {
        if row.status != "frozen" {
            return false;
        }
        let has_all = |text: &str| {
            self.first(count).iter().all(|item| text.split_whitespace().any(|word| word == item))
        };
        if self.manner == Manner::Talk {
            return row.detail.contains("success") && has_all(&row.detail);
        }
        row.pull.is_some() && self.text(world, row).await.is_some_and(|text| has_all(&text))
    }

    /// What the agent has written on its branch.
    async fn text(&self, world: &World, row: &Row) -> Option<String> {
        let file = format!("issue-{}.txt", row.issue);
        world.rig.read().await.forge.file_at(self.repo, &branch(row), &file).await
    }

    /// A comment that asks for the first `count` items, on the pull request if there is one.
    async fn remark(
        &self,
        world: &World,
        number: u64,
        row: &Row,
        count: usize,
    ) -> Result<(), Fault> {
        let mut text = String::from("Please go on.\n");
        if self.manner == Manner::Talk {
            text.push_str("manner=talk\n");
        }
        for item in self.first(count) {
            text.push_str("item=");
            text.push_str(item);
            text.push('\n');
        }
        let on = row.pull.unwrap_or(number);
        let rig = world.rig.read().await;
        rig.forge.comment("bob", self.repo, on, &text).await?;
        if self.disturbed {
            let text = format!("item={UNTRUSTED}");
            rig.forge.comment("mallory", self.repo, on, &text).await?;
        }
        Ok(())
    }

    /// What people do in the end.
    async fn finish(&self, world: &World, number: u64, pull: Option<u64>) -> Result<(), Fault> {
        let rig = world.rig.read().await;
        let pull = || pull.ok_or("no pull request");
        match self.end {
            End::Merge => rig.forge.merge("alice", self.repo, pull()?).await?,
            End::ClosePull => rig.forge.close("alice", self.repo, pull()?).await?,
            End::CloseIssue => rig.forge.close("alice", self.repo, number).await?,
            End::DeleteIssue => rig.forge.delete_issue("alice", self.repo, number).await?,
            End::Unlabel => rig.forge.unlabel("alice", self.repo, number, LABEL).await?,
            End::Unassign => rig.forge.unassign("alice", self.repo, number, BOT).await?,
        }
        Ok(())
    }

    /// Waits for the bottle's end and looks whether everything is as it must be.
    async fn ended(&self, world: &World, number: u64) -> Result<(), Fault> {
        let is_destroyed = |row: &Row| row.status == "destroyed";
        let row = self.until(world, number, "its bottle is destroyed", is_destroyed).await?;
        if !row.detail.starts_with(self.end.reason()) {
            return Err(format!("destroyed: {}, not {}", row.detail, self.end.reason()).into());
        }
        if self.early {
            return Ok(());
        }
        if self.text(world, &row).await.is_some_and(|text| text.contains(UNTRUSTED)) {
            return Err("it did what somebody asked who may not".into());
        }
        let base_url = world.rig.read().await.forge.base_url().to_owned();
        let own = loop {
            // A planned fault may strike this request as well.
            match pulls::all(&base_url, self.repo).await {
                Ok(all) => {
                    let own = all.into_iter().filter(|pull| pull.branch == branch(&row));
                    break own.collect::<Vec<_>>();
                }
                Err(_) => sleep(LOOK_EVERY).await,
            }
        };
        let right: &[PullState] = match (self.manner, self.end) {
            (Manner::Talk, _) => &[],
            (_, End::Merge) => &[PullState::Merged],
            (_, End::ClosePull) => &[PullState::Closed],
            (_, _) => &[PullState::Open],
        };
        if own.iter().map(|pull| pull.state).eq(right.iter().copied()) {
            return Ok(());
        }
        Err(format!("its pull requests are {own:?}, not {right:?}").into())
    }

    async fn until(
        &self,
        world: &World,
        number: u64,
        what: &str,
        holds: impl Fn(&Row) -> bool,
    ) -> Result<Row, Fault> {
        let deadline = Instant::now() + world.plan.patience;
        loop {
            if let Some(row) = self.one(world, number)?.filter(|row| holds(row)) {
                return Ok(row);
            }
            if Instant::now() > deadline {
                return Err(format!("waited in vain until {what}").into());
            }
            sleep(LOOK_EVERY).await;
        }
    }

    /// The issue's bottle; it never has two.
    fn one(&self, world: &World, number: u64) -> Result<Option<Row>, Fault> {
        let mut rows = world.board.of(self.repo, number);
        if rows.len() > 1 {
            return Err("it has more than one bottle".into());
        }
        Ok(rows.pop())
    }

    fn first(&self, count: usize) -> &[String] {
        self.items.get(..count).unwrap_or(&self.items)
    }
}

/// Whether its last run came to nothing that it would get over by itself.
fn has_failed(row: &Row) -> bool {
    row.status == "failed" || row.status == "frozen" && row.detail.contains("incomplete")
}

fn branch(row: &Row) -> String {
    format!("bot-bottle/{}/{}", row.issue, row.slug)
}

impl Manner {
    fn word(self) -> &'static str {
        match self {
            Self::Work => "work",
            Self::Talk => "talk",
            Self::Silent => "silent",
            Self::Failing => "failing",
            Self::Linger => "linger",
        }
    }
}

impl End {
    fn reason(self) -> &'static str {
        match self {
            Self::Merge => "pull request merged",
            Self::ClosePull => "pull request closed",
            Self::CloseIssue => "issue closed",
            Self::DeleteIssue => "issue or repository gone",
            Self::Unlabel => "label removed",
            Self::Unassign => "unassigned",
        }
    }
}
