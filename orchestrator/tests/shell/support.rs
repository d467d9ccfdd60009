//! What the tests share: a store in a temporary directory, laws, and bottles as records.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Debug,
    num::NonZeroU32,
    process::{Command, Output, Stdio},
    str::FromStr,
    time::Duration,
};

use jiff::Timestamp;
use orchestrator::{
    life::Laws,
    store::{Store, open},
};
use orchestrator_core::{
    bottle::{Bottle, Claims, Home, Origin, Prompt, Rights, State},
    policy::Rules,
    timing::Timing,
};
use protocol::ids::IssueNumber;
use tempfile::TempDir;

pub(crate) fn name<T>(text: &str) -> T
where
    T: FromStr,
    T::Err: Debug,
{
    text.parse().unwrap()
}

pub(crate) fn number(number: u64) -> IssueNumber {
    number.try_into().unwrap()
}

/// For a program to end, on a machine that builds at the same time.
const PROGRAM_PATIENCE: Duration = Duration::from_secs(30);

/// What a program says, if it ends; it is killed if it does not.
pub(crate) async fn output_of(command: Command) -> Output {
    let mut command = tokio::process::Command::from(command);
    let output = command.kill_on_drop(true).output();
    tokio::time::timeout(PROGRAM_PATIENCE, output).await.expect("it ends").unwrap()
}

/// The exit code of a program whose output nobody reads.
pub(crate) async fn code_unread(command: Command) -> Option<i32> {
    let mut command = tokio::process::Command::from(command);
    let mut child = command.stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
    drop(child.stdout.take());
    let ended = tokio::time::timeout(PROGRAM_PATIENCE, child.wait()).await;
    ended.expect("it ends").unwrap().code()
}

/// For tests without a runtime.
pub(crate) fn block_on<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(work)
}

/// A directory with a store in it.
#[derive(Debug)]
pub(crate) struct Disk {
    pub(crate) dir: TempDir,
    pub(crate) store: Store,
}

impl Disk {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::start(open(&dir.path().join("bot-bottle.db")).unwrap()).unwrap();
        Self { dir, store }
    }

    /// The lanes in which something waits.
    pub(crate) async fn lanes(&self) -> Vec<String> {
        self.store.write(|books| Ok(books.work(Timestamp::MAX)?.hints)).await.unwrap()
    }

    /// Rows of the inbox that wait in a lane.
    pub(crate) async fn waiting(&self, lane: &str) -> usize {
        let lane = lane.to_owned();
        let hints = self.store.write(move |books| books.hints(&lane, Timestamp::MAX)).await;
        hints.unwrap().len()
    }
}

pub(crate) fn laws(slots: u32) -> Laws {
    Laws {
        timing: Timing::default(),
        slots,
        rules: Rules {
            agent_label: "bot-bottle:".to_owned(),
            profile_label: "bot-bottle-bottle:".to_owned(),
            repos: BTreeSet::from([name("team/project")]),
            agents: BTreeMap::from([(name("implementer"), vec![])]),
            profiles: BTreeSet::new(),
            own_logins: BTreeSet::from([name("implementer-bot")]),
            kill_switch: false,
        },
        lack: None,
        forge: name("gitea"),
        branch_prefix: name("bot-bottle"),
        backend: "docker".to_owned(),
    }
}

pub(crate) fn queued(slug: &str, serial: u32, issue: u64) -> Bottle {
    Bottle {
        slug: name(slug),
        serial,
        home: Home {
            forge: name("gitea"),
            repo: name("team/project"),
            issue: Some(number(issue)),
            origin: Origin::Issue,
            base: name("main"),
            branch: name(&format!("bot-bottle/{issue}/{slug}")),
        },
        agent: name("implementer"),
        login: name("implementer-bot"),
        profiles: vec![],
        backend: "docker".to_owned(),
        label: None,
        pull_requests: vec![],
        claims: Claims::default(),
        heard: BTreeSet::new(),
        waiting: vec![Prompt {
            source: "a test".to_owned(),
            text: "do it".to_owned(),
            saying: None,
        }],
        asked_at: None,
        rights: Rights::Seen { at: Timestamp::now() },
        runs: 0,
        nonce: None,
        last_checkin: None,
        starved_at: None,
        created_at: Timestamp::UNIX_EPOCH,
        state: State::Queued { since: Timestamp::UNIX_EPOCH },
    }
}

/// The nonce of [`running`].
pub(crate) const NONCE: &str = "00000000000000aa";

pub(crate) fn running(slug: &str, serial: u32, issue: u64) -> Bottle {
    let now = Timestamp::now();
    Bottle {
        waiting: vec![],
        runs: 1,
        nonce: Some(name(NONCE)),
        state: State::Running { run: NonZeroU32::MIN, since: now, last_news: now, done: None },
        ..queued(slug, serial, issue)
    }
}
