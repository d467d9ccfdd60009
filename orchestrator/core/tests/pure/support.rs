//! What the tests share: one bottle, a clock that starts at zero, and a [`Life`] that is told
//! events.

use std::{collections::BTreeSet, fmt::Debug, num::NonZeroU32, str::FromStr};

use jiff::{SignedDuration, Timestamp};
use orchestrator_core::{
    bottle::{
        Attempts, Bottle, Claims, Ending, Heard, Home, Origin, Prompt, Reason, Rights, Saying,
        State, Tier, Waking,
    },
    event::{Effect, Event, News},
    step::step,
    timing::Timing,
};
use protocol::{agent::DoneStatus, ids::IssueNumber};

/// Seconds after the tests' zero.
pub(crate) fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + seconds).unwrap()
}

/// A checked name.
pub(crate) fn name<T>(text: &str) -> T
where
    T: FromStr,
    T::Err: Debug,
{
    text.parse().unwrap()
}

pub(crate) fn run(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).unwrap()
}

pub(crate) fn number(number: u64) -> IssueNumber {
    number.try_into().unwrap()
}

pub(crate) fn prompt(text: &str) -> Prompt {
    Prompt { source: "a test".to_owned(), text: text.to_owned(), saying: None }
}

/// What bob said in a comment.
pub(crate) fn said(id: u64) -> Prompt {
    let saying = Saying { id: Heard::Comment(id), author: name("bob") };
    Prompt { saying: Some(saying), ..prompt(&format!("comment {id}")) }
}

/// A queued bottle of issue 17 that has not run yet.
pub(crate) fn queued() -> Bottle {
    Bottle {
        slug: name("implementer-k3v9q"),
        serial: 1,
        home: Home {
            forge: name("gitea"),
            repo: name("team/project"),
            issue: Some(number(17)),
            origin: Origin::Issue,
            base: name("main"),
            branch: name("bot/implementer-k3v9q"),
        },
        agent: name("implementer"),
        login: name("implementer-bot"),
        profiles: vec![],
        backend: "docker".to_owned(),
        label: None,
        pull_requests: vec![],
        claims: Claims::default(),
        heard: BTreeSet::new(),
        waiting: vec![prompt("the issue")],
        asked_at: None,
        rights: Rights::Seen { at: at(0) },
        runs: 0,
        nonce: None,
        last_checkin: None,
        starved_at: None,
        created_at: at(0),
        state: State::Queued { since: at(0) },
    }
}

/// A bottle in its second run or after it, with pull request 18 and one comment heard.
pub(crate) fn in_state(state: State) -> Bottle {
    Bottle {
        pull_requests: vec![number(18)],
        heard: [Heard::Comment(1)].into(),
        waiting: vec![],
        rights: Rights::Unknown {},
        runs: 2,
        nonce: Some(name("00000000000000aa")),
        last_checkin: Some(at(0)),
        state,
        ..queued()
    }
}

pub(crate) fn waking(number: u32, failed: u32, next_at: Option<i64>) -> Waking {
    let attempts = Attempts { failed, next_at: next_at.map(at) };
    Waking { run: run(number), prompts: vec![prompt("told")], attempts }
}

pub(crate) fn reported() -> Ending {
    Ending::Reported { status: DoneStatus::Success, summary: "it works".to_owned() }
}

pub(crate) fn frozen(tier: Tier, ending: Ending, held: bool) -> Bottle {
    in_state(State::Frozen { tier, since: at(0), ending, held })
}

pub(crate) fn awoken(number: u32) -> Event {
    Event::Awoken { run: run(number), nonce: name("00000000000000bb") }
}

pub(crate) fn awaken_failed(number: u32, transient: bool) -> Event {
    Event::AwakenFailed { run: run(number), error: "no disk".to_owned(), transient }
}

pub(crate) fn news(number: u32, news: News) -> Event {
    Event::News { run: run(number), news }
}

pub(crate) fn done(number: u32) -> Event {
    news(number, News::Done { status: DoneStatus::Success, summary: "it works".to_owned() })
}

pub(crate) fn exited(number: u32, code: i32) -> Event {
    news(number, News::Exited { code })
}

/// A trusted person's comment.
pub(crate) fn comment(id: u64) -> Event {
    Event::Wake { prompts: vec![said(id)], heard: vec![Heard::Comment(id)] }
}

/// What an operator types.
pub(crate) fn typed(text: &str) -> Event {
    Event::Wake { prompts: vec![prompt(text)], heard: vec![] }
}

/// Who made these comments may not write any more.
pub(crate) fn rights_lost(comments: &[u64]) -> Event {
    Event::RightsLost { remarks: comments.iter().copied().map(Heard::Comment).collect() }
}

/// What the forge says of pull requests.
pub(crate) fn pulls(ours: &[u64], foreign: &[u64]) -> Event {
    let numbers = |list: &[u64]| list.iter().copied().map(number).collect();
    Event::Pulls { ours: numbers(ours), foreign: numbers(foreign) }
}

pub(crate) fn died() -> Event {
    Event::Died { detail: "the sidecar is gone".to_owned() }
}

pub(crate) fn drifted() -> Event {
    Event::Drifted { detail: "a container runs".to_owned() }
}

pub(crate) fn sleep_failed() -> Event {
    Event::SleepFailed { error: "no cgroup".to_owned() }
}

pub(crate) fn cancel(reason: Reason) -> Event {
    Event::Cancel { reason }
}

/// Whether an event is how an effect ended.
pub(crate) fn is_outcome(event: &Event) -> bool {
    match event {
        Event::Awoken { .. }
        | Event::AwakenFailed { .. }
        | Event::Asleep { .. }
        | Event::SleepFailed { .. }
        | Event::Cleaned {}
        | Event::CleanFailed { .. } => true,
        Event::SlotGranted {}
        | Event::News { .. }
        | Event::Wake { .. }
        | Event::Freeze { .. }
        | Event::Died { .. }
        | Event::Drifted { .. }
        | Event::Starved {}
        | Event::Cool {}
        | Event::LookAsked {}
        | Event::Seen {}
        | Event::RightsLost { .. }
        | Event::Pulls { .. }
        | Event::ClockJumped { .. }
        | Event::Cancel { .. }
        | Event::Released {}
        | Event::Tick {} => false,
    }
}

/// One bottle with the effect that is still to be done, as the store keeps them.
pub(crate) struct Life {
    pub(crate) bottle: Bottle,
    pub(crate) pending: Option<Effect>,
    pub(crate) ignored: Option<&'static str>,
    pub(crate) now: Timestamp,
    pub(crate) timing: Timing,
}

impl Life {
    pub(crate) fn of(bottle: Bottle) -> Self {
        Self { bottle, pending: None, ignored: None, now: at(0), timing: Timing::default() }
    }

    /// Queued, then given a slot.
    pub(crate) fn starting() -> Self {
        let mut life = Self::of(queued());
        life.tell(Event::SlotGranted {});
        life
    }

    /// In its first run.
    pub(crate) fn running() -> Self {
        let mut life = Self::starting();
        life.tell(awoken(1));
        life
    }

    /// Frozen hot after a first run that was reported.
    pub(crate) fn frozen() -> Self {
        let mut life = Self::running();
        life.tell(done(1)).tell(exited(1, 0)).tell(Event::Asleep { tier: Tier::Hot });
        life
    }

    /// Takes one event; an outcome ends the effect that it belongs to.
    pub(crate) fn tell(&mut self, event: Event) -> &mut Self {
        let taken = step(&self.bottle, &event, self.now, &self.timing).unwrap();
        if is_outcome(&event) {
            self.pending = None;
        }
        self.pending = taken.effects.into_iter().next().or_else(|| self.pending.take());
        self.bottle = taken.next;
        self.ignored = taken.ignored;
        self
    }

    /// Lets time pass, then ticks.
    pub(crate) fn wait(&mut self, seconds: i64) -> &mut Self {
        self.now += SignedDuration::from_secs(seconds);
        self.tell(Event::Tick {})
    }

    pub(crate) fn word(&self) -> &'static str {
        self.bottle.state.word()
    }

    /// `word: detail`, as users see it.
    pub(crate) fn shown(&self) -> String {
        format!("{}: {}", self.word(), self.bottle.detail())
    }

    /// What the bottle's next run would be told, or is being told.
    pub(crate) fn told(&self) -> Vec<&str> {
        match &self.pending {
            Some(Effect::Awaken { prompts, .. }) => {
                prompts.iter().map(|prompt| prompt.text.as_str()).collect()
            }
            Some(Effect::Sleep { .. } | Effect::Remove {}) | None => vec![],
        }
    }
}
