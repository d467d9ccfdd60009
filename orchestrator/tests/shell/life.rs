//! Telling bottles things with the real store under it: slots, races, the kill switch.

mod host;
mod rights;

use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroU32,
};

use jiff::Timestamp;
use orchestrator::{
    life::{self, Laws, Told},
    store::{Books, StoreError},
};
use orchestrator_core::{
    bottle::{Bottle, Tier},
    event::{Effect, Event, News},
    policy::{SeenIssue, Sight, Verdict},
};
use protocol::{
    agent::DoneStatus,
    item::{Issue, IssueState},
};

use crate::support::{Disk, NONCE, laws, name, number, queued};

const FIRST: &str = "implementer-aaaaa";
const SECOND: &str = "implementer-bbbbb";

fn now() -> Timestamp {
    Timestamp::now()
}

impl Disk {
    pub(crate) async fn create(&self, laws: &Laws, bottle: Bottle) -> Result<(), StoreError> {
        let laws = laws.clone();
        self.store.write(move |books| life::create(books, &laws, &bottle, now())).await
    }

    pub(crate) async fn tell(&self, laws: &Laws, slug: &str, event: Event) -> Told {
        let (laws, slug) = (laws.clone(), name(slug));
        let work = move |books: &Books<'_>| life::tell(books, &laws, &slug, &event, now());
        self.store.write(work).await.unwrap()
    }

    pub(crate) async fn state(&self, slug: &str) -> String {
        let slug = name(slug);
        let found = self.store.write(move |books| books.bottle(&slug)).await.unwrap();
        found.unwrap().state.word().to_owned()
    }

    pub(crate) async fn effect(&self, slug: &str) -> Option<Effect> {
        let slug = name(slug);
        let next = self.store.write(move |books| books.next_effect(&slug)).await.unwrap();
        next.map(|(_, effect)| effect)
    }
}

#[tokio::test]
async fn a_slot_goes_to_the_next_when_the_first_sleeps() {
    let disk = Disk::new();
    let laws = laws(1);
    disk.create(&laws, queued(FIRST, 1, 7)).await.unwrap();
    disk.create(&laws, queued(SECOND, 2, 8)).await.unwrap();
    assert_eq!(disk.state(FIRST).await, "starting");
    assert!(matches!(disk.effect(FIRST).await, Some(Effect::Awaken { .. })));
    assert_eq!(disk.state(SECOND).await, "queued");
    assert_eq!(disk.effect(SECOND).await, None);

    let run = NonZeroU32::MIN;
    let done = News::Done { status: DoneStatus::Success, summary: "done".to_owned() };
    for event in [
        Event::Awoken { run, nonce: name(NONCE) },
        Event::News { run, news: done },
        Event::News { run, news: News::Exited { code: 0 } },
    ] {
        assert_eq!(disk.tell(&laws, FIRST, event).await, Told::Changed);
        assert_eq!(disk.state(SECOND).await, "queued", "the slot is still in use");
    }
    disk.tell(&laws, FIRST, Event::Asleep { tier: Tier::Hot }).await;
    assert_eq!(disk.state(FIRST).await, "frozen");
    assert_eq!(disk.state(SECOND).await, "starting", "in the same transaction");
    assert!(disk.effect(SECOND).await.is_some());
}

#[tokio::test]
async fn nothing_starts_while_the_kill_switch_is_on() {
    let disk = Disk::new();
    let mut laws = laws(4);
    laws.rules.kill_switch = true;
    disk.create(&laws, queued(FIRST, 1, 7)).await.unwrap();
    assert_eq!(disk.state(FIRST).await, "queued");
    laws.rules.kill_switch = false;
    disk.create(&laws, queued(SECOND, 2, 8)).await.unwrap();
    assert_eq!(disk.state(FIRST).await, "starting", "it was not forgotten");
}

#[tokio::test]
async fn a_refused_bottle_leaves_no_line_and_no_effect() {
    let disk = Disk::new();
    let laws = laws(4);
    disk.create(&laws, queued(FIRST, 1, 7)).await.unwrap();
    disk.create(&laws, queued(SECOND, 2, 7)).await.unwrap_err();
    let slug = name(SECOND);
    let left = disk.store.write(move |books| {
        Ok((
            books.bottle(&slug)?,
            books.log_after(&slug, 0, NonZeroU32::MIN)?,
            books.next_effect(&slug)?,
        ))
    });
    let (bottle, lines, effect) = left.await.unwrap();
    assert!(bottle.is_none() && lines.is_empty() && effect.is_none());
    assert_eq!(disk.tell(&laws, SECOND, Event::Tick {}).await, Told::Unknown);
}

fn sight() -> Sight {
    let issue = Issue {
        number: number(7),
        title: "a bug".to_owned(),
        body: "fix it".to_owned(),
        state: IssueState::Open,
        author: name("ann"),
        labels: vec!["bot-bottle:implementer".to_owned()],
        assignees: vec![name("implementer-bot")],
        comments: 0,
        created_at: Timestamp::UNIX_EPOCH,
        updated_at: Timestamp::UNIX_EPOCH,
        url: String::new(),
    };
    Sight {
        repo: name("team/project"),
        archived: false,
        base: Some(name("main")),
        issue: SeenIssue::There {
            issue: Box::new(issue),
            members: BTreeSet::from([name("implementer-bot")]),
        },
        pulls: vec![],
        remarks: vec![],
        permissions: BTreeMap::new(),
    }
}

// CASES 11, 26: however many hints there are at a time, one bottle comes of them.
#[tokio::test]
async fn a_race_of_hints_makes_one_bottle() {
    let disk = Disk::new();
    let mut judges = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let store = disk.store.clone();
        judges.spawn(async move {
            let judge = move |books: &Books<'_>| {
                let login = |_: &_| Some(name("implementer-bot"));
                life::judge(books, &laws(4), &sight(), number(7), login, now())
            };
            store.write(judge).await.unwrap()
        });
    }
    let verdicts = judges.join_all().await;
    let launches = verdicts.iter().filter(|v| matches!(v, Verdict::Launch(_))).count();
    assert_eq!(launches, 1);
    let live = disk.store.write(|books| books.recent_bottles(0)).await.unwrap();
    assert_eq!(live.len(), 1);
    assert_eq!(live[0].home.issue, Some(number(7)));
    assert_eq!(live[0].home.branch.as_str(), format!("bot-bottle/7/{}", live[0].slug));
}

#[tokio::test]
async fn slugs_and_serials_are_never_given_twice() {
    let disk = Disk::new();
    let mut slugs = BTreeSet::new();
    let mut serials = BTreeSet::new();
    for issue in 1..=100 {
        let work = move |books: &Books<'_>| {
            let mut sight = sight();
            if let SeenIssue::There { issue: seen, .. } = &mut sight.issue {
                seen.number = number(issue);
            }
            let login = |_: &_| Some(name("implementer-bot"));
            life::judge(books, &laws(1), &sight, number(issue), login, now())?;
            Ok(books.bottle_about(&name("team/project"), number(issue))?.unwrap())
        };
        let bottle = disk.store.write(work).await.unwrap();
        assert!(slugs.insert(bottle.slug) && serials.insert(bottle.serial));
    }
}
