//! Every state against every event, as one table to be read by people, and laws for its cells.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use orchestrator_core::{
    bottle::{Attempts, Bottle, Claims, Ending, Heard, Reason, Rights, Said, State, Tier},
    event::{Effect, Event, News},
    step::{Impossible, Step, step},
    timing::Timing,
};
use protocol::agent::DoneStatus;

use crate::support::{
    at, awaken_failed, awoken, cancel, comment, died, done, drifted, exited, frozen, in_state,
    news, number, prompt, pulls, queued, reported, rights_lost, run, said, sleep_failed, waking,
};

/// One bottle of each kind that behaves in its own way.
fn bottles() -> Vec<(&'static str, Bottle)> {
    let mut all = on_their_way();
    all.extend(at_work());
    all.extend(asleep());
    all.extend(at_an_end());
    all
}

fn on_their_way() -> Vec<(&'static str, Bottle)> {
    let first = Bottle { runs: 1, waiting: vec![], rights: Rights::Unknown {}, ..queued() };
    let starting = |failed, next_at| Bottle {
        state: State::Starting(waking(1, failed, next_at)),
        ..first.clone()
    };
    vec![
        ("queued", queued()),
        ("queued, the forge is asked", Bottle { rights: ASKED, ..queued() }),
        ("starting, first attempt", starting(0, None)),
        ("starting, retry due at 4 s", starting(2, Some(4))),
        ("rehydrating, last attempt", in_state(State::Rehydrating(waking(2, 4, None)))),
    ]
}

const ASKED: Rights = Rights::Asked { at: Timestamp::constant(1_700_000_000, 0) };

fn at_work() -> Vec<(&'static str, Bottle)> {
    let running =
        |done| in_state(State::Running { run: run(2), since: at(0), last_news: at(0), done });
    let said = Said { status: DoneStatus::Blocked, summary: "which colour?".to_owned(), at: at(0) };
    let freezing = |tier, ending, failed, next_at: Option<i64>| {
        let attempts = Attempts { failed, next_at: next_at.map(at) };
        let held = ending == Ending::Halted {};
        in_state(State::Freezing { tier, ending, attempts, held })
    };
    vec![
        ("running", running(None)),
        ("running, has said done", running(Some(said))),
        ("freezing hot, first attempt", freezing(Tier::Hot, reported(), 0, None)),
        ("freezing hot, silent", freezing(Tier::Hot, Ending::Silent { code: 1 }, 0, None)),
        ("freezing cold by operator", freezing(Tier::Cold, Ending::Halted {}, 0, None)),
        ("freezing cold, retry due", freezing(Tier::Cold, Ending::TimedOut {}, 2, Some(4))),
        ("freezing cold, last attempt", freezing(Tier::Cold, Ending::TimedOut {}, 4, None)),
    ]
}

fn asleep() -> Vec<(&'static str, Bottle)> {
    let waits = |bottle: Bottle| Bottle { waiting: vec![prompt("waits")], ..bottle };
    vec![
        ("frozen hot", frozen(Tier::Hot, reported(), false)),
        ("frozen hot, a prompt waits", waits(frozen(Tier::Hot, reported(), false))),
        (
            "frozen hot, a prompt waits, the forge is asked",
            Bottle { rights: ASKED, ..waits(frozen(Tier::Hot, reported(), false)) },
        ),
        (
            "frozen hot, nothing but comment 7 waits, the forge is asked",
            Bottle {
                waiting: vec![said(7)],
                asked_at: Some(at(0)),
                rights: ASKED,
                ..frozen(Tier::Hot, reported(), false)
            },
        ),
        (
            "frozen cold, a sidecar's claim is open",
            Bottle {
                claims: Claims { open: vec![number(19)], refuted: vec![] },
                ..frozen(Tier::Cold, reported(), false)
            },
        ),
        ("frozen cold, silent", frozen(Tier::Cold, Ending::Silent { code: 1 }, false)),
        ("frozen cold, held", frozen(Tier::Cold, Ending::Halted {}, true)),
        ("frozen cold, held, a prompt waits", waits(frozen(Tier::Cold, Ending::Halted {}, true))),
    ]
}

fn at_an_end() -> Vec<(&'static str, Bottle)> {
    let failed = |retry| {
        let state = State::Failed { reason: "no disk".to_owned(), since: at(0), retry };
        Bottle { waiting: vec![prompt("waits")], ..in_state(state) }
    };
    let destroyed = |reason: Reason, cleaning| {
        let released = reason.releases();
        let state = State::Destroyed { reason, at: at(0), cleaning, released };
        Bottle { nonce: None, ..in_state(state) }
    };
    let due = Attempts { failed: 2, next_at: Some(at(4)) };
    vec![
        ("failed", failed(false)),
        ("failed, asked to try again", failed(true)),
        ("failed, asked by comment 7", Bottle { waiting: vec![said(7)], ..failed(true) }),
        ("destroyed, cleaning", destroyed(Reason::Merged, Some(Attempts::FIRST))),
        ("destroyed, cleaning again at 4 s", destroyed(Reason::Merged, Some(due))),
        ("destroyed, clean", destroyed(Reason::Merged, None)),
        ("destroyed and released, clean", destroyed(Reason::Unlabelled, None)),
    ]
}

/// One event of each kind, and when it comes. "This" run is the bottle's newest.
fn events(bottle: &Bottle) -> Vec<(&'static str, Event, Timestamp)> {
    let this = bottle.runs.max(1);
    let mut all = vec![("slot granted", Event::SlotGranted {})];
    all.extend(outcomes(this));
    all.extend(news_of(this, &NEWS_OF_THIS_RUN));
    if this > 1 {
        all.push(("awoken, older run", awoken(this - 1)));
        all.push(("awaken failed, older run", awaken_failed(this - 1, false)));
        all.extend(news_of(this - 1, &NEWS_OF_OLDER_RUN));
    }
    all.extend(from_people());
    all.extend(from_the_host());
    let mut timed: Vec<_> = all.into_iter().map(|(label, event)| (label, event, at(1))).collect();
    timed.push(("tick, early", Event::Tick {}, at(1)));
    timed.push(("tick, two days later", Event::Tick {}, at(2 * 86_400)));
    timed
}

fn outcomes(this: u32) -> Vec<(&'static str, Event)> {
    vec![
        ("awoken", awoken(this)),
        ("awaken failed for now", awaken_failed(this, true)),
        ("awaken failed for good", awaken_failed(this, false)),
        ("asleep hot", Event::Asleep { tier: Tier::Hot }),
        ("asleep cold", Event::Asleep { tier: Tier::Cold }),
        ("sleep failed", sleep_failed()),
        ("cleaned", Event::Cleaned {}),
        ("clean failed", Event::CleanFailed { error: "busy".to_owned() }),
    ]
}

const NEWS_OF_THIS_RUN: [&str; 5] =
    ["news: alive", "news: opened #19", "news: opened #18", "news: done", "news: exited 1"];
const NEWS_OF_OLDER_RUN: [&str; 5] = [
    "older news: alive",
    "older news: opened #19",
    "older news: opened #18",
    "older news: done",
    "older news: exited 1",
];

fn news_of(run: u32, labels: &[&'static str; 5]) -> Vec<(&'static str, Event)> {
    let events = [
        news(run, News::Alive {}),
        news(run, News::PrOpened { number: number(19) }),
        news(run, News::PrOpened { number: number(18) }),
        done(run),
        exited(run, 1),
    ];
    labels.iter().copied().zip(events).collect()
}

fn from_people() -> Vec<(&'static str, Event)> {
    let unspoken = |id| Event::Wake { prompts: vec![], heard: vec![Heard::Comment(id)] };
    let typed = Event::Wake { prompts: vec![prompt("typed")], heard: vec![] };
    vec![
        ("wake: comment 2", comment(2)),
        ("wake: comment 1 again", comment(1)),
        ("wake: a stranger's comment 3", unspoken(3)),
        ("wake: operator", typed),
        ("freeze hot", Event::Freeze { tier: Tier::Hot }),
        ("freeze cold", Event::Freeze { tier: Tier::Cold }),
        ("died", died()),
        ("drifted", drifted()),
        ("cancel: merged", cancel(Reason::Merged)),
        ("cancel: unlabelled", cancel(Reason::Unlabelled)),
        ("released", Event::Released {}),
    ]
}

fn from_the_host() -> Vec<(&'static str, Event)> {
    vec![
        ("starved", Event::Starved {}),
        ("cool", Event::Cool {}),
        ("look asked", Event::LookAsked {}),
        ("seen", Event::Seen {}),
        ("rights lost: comment 7", rights_lost(&[7])),
        ("pulls: #19 ours", pulls(&[19], &[])),
        ("pulls: #19 foreign", pulls(&[], &[19])),
        ("clock jumped ahead", Event::ClockJumped { by: SignedDuration::from_hours(1) }),
        ("clock jumped back", Event::ClockJumped { by: SignedDuration::from_hours(-1) }),
    ]
}

/// A state as users see it, and behind it what they do not see.
fn shown(bottle: &Bottle) -> String {
    let due = |attempts: &Attempts| match attempts.next_at {
        Some(next_at) => format!(" (due in {} s)", next_at.duration_since(at(1)).as_secs()),
        None => String::new(),
    };
    let behind = match &bottle.state {
        State::Starting(waking) | State::Rehydrating(waking) => {
            format!(" (run {}){}", waking.run, due(&waking.attempts))
        }
        State::Freezing { tier, ending, attempts, held } => {
            let held = if *held { " (held)" } else { "" };
            format!("{held} ({}, {}){}", tier.word(), ending.sentence(), due(attempts))
        }
        State::Frozen { held: true, .. } => " (held)".to_owned(),
        State::Failed { retry: true, .. } => " (retry)".to_owned(),
        State::Destroyed { cleaning, released, .. } => {
            let released = if *released { " (released)" } else { "" };
            format!("{released}{}", cleaning.as_ref().map(due).unwrap_or_default())
        }
        State::Queued { .. }
        | State::Running { .. }
        | State::Frozen { held: false, .. }
        | State::Failed { retry: false, .. } => String::new(),
    };
    let detail = bottle.detail();
    let colon = if detail.is_empty() { "" } else { ": " };
    format!("{}{colon}{detail}{behind}", bottle.state.word())
}

fn effect(effect: &Effect) -> String {
    match effect {
        Effect::Awaken { run, prompts } => {
            let told: Vec<&str> = prompts.iter().map(|prompt| prompt.text.as_str()).collect();
            format!("AWAKEN run {run}, telling [{}]", told.join(", "))
        }
        Effect::Sleep { tier } => format!("SLEEP {}", tier.word()),
        Effect::Remove {} => "REMOVE".to_owned(),
    }
}

/// What changed in the record beside the state.
fn beside(before: &Bottle, after: &Bottle) -> Vec<String> {
    let mut changes = Vec::new();
    let mut note = |changed: bool, text: String| {
        if changed {
            changes.push(text);
        }
    };
    let waiting: Vec<&str> = after.waiting.iter().map(|prompt| prompt.text.as_str()).collect();
    note(before.waiting != after.waiting, format!("waiting [{}]", waiting.join(", ")));
    note(before.heard != after.heard, format!("heard {}", after.heard.len()));
    let pulls: Vec<String> = after.pull_requests.iter().map(|n| format!("#{n}")).collect();
    note(before.pull_requests != after.pull_requests, format!("pulls {}", pulls.join(" ")));
    let claims = |numbers: &[protocol::ids::IssueNumber]| -> String {
        numbers.iter().map(|number| format!(" #{number}")).collect()
    };
    note(before.claims.open != after.claims.open, format!("claims{}", claims(&after.claims.open)));
    let refuted = &after.claims.refuted;
    note(before.claims.refuted != *refuted, format!("refuted{}", claims(refuted)));
    note(before.asked_at != after.asked_at, format!("asked {}", seconds(after.asked_at)));
    note(
        before.rights != after.rights,
        match after.rights {
            Rights::Unknown {} => "rights unknown".to_owned(),
            Rights::Asked { at } => format!("rights asked {}", seconds(Some(at))),
            Rights::Overdue {} => "rights overdue".to_owned(),
            Rights::Seen { at } => format!("rights seen {}", seconds(Some(at))),
        },
    );
    note(before.starved_at != after.starved_at, format!("starved {}", seconds(after.starved_at)));
    note(before.runs != after.runs, format!("runs {}", after.runs));
    let nonce = if after.nonce.is_some() { "new nonce" } else { "no nonce" };
    note(before.nonce != after.nonce, nonce.to_owned());
    note(before.last_checkin != after.last_checkin, "checked in".to_owned());
    changes
}

fn seconds(time: Option<Timestamp>) -> String {
    time.map_or_else(
        || "never".to_owned(),
        |time| format!("at {} s", time.duration_since(at(0)).as_secs()),
    )
}

/// What an event leads to.
fn cell(before: &Bottle, taken: Result<Step, Impossible>) -> String {
    let Ok(taken) = taken else { return "IMPOSSIBLE".to_owned() };
    if let Some(why) = taken.ignored {
        return format!("ignored: {why}");
    }
    let mut parts = vec![if before.state == taken.next.state {
        "stays".to_owned()
    } else if shown(before) == shown(&taken.next) {
        "stays, with new times".to_owned()
    } else {
        shown(&taken.next)
    }];
    parts.extend(taken.effects.iter().map(effect));
    parts.extend(beside(before, &taken.next));
    parts.join("; ")
}

/// All of a state's cells; events that lead to the same stand together.
fn rows(bottle: &Bottle) -> String {
    let mut rows: Vec<(String, Vec<&str>)> = Vec::new();
    for (label, event, now) in events(bottle) {
        let cell = cell(bottle, take(bottle, &event, now));
        match rows.iter_mut().find(|(known, _)| *known == cell) {
            Some((_, labels)) => labels.push(label),
            None => rows.push((cell, vec![label])),
        }
    }
    // What changes something first, then what is ignored, then what is impossible.
    rows.sort_by_key(|(cell, _)| (cell == "IMPOSSIBLE", cell.starts_with("ignored")));
    let line = |(cell, labels): (String, Vec<&str>)| match labels[..] {
        [label] => format!("  {label:<28} -> {cell}\n"),
        _ => format!("  {cell} <-\n{}", wrapped(&labels)),
    };
    rows.into_iter().map(line).collect()
}

/// Labels side by side, 88 characters wide.
fn wrapped(labels: &[&str]) -> String {
    let mut lines = vec![String::new()];
    for label in labels {
        let full = lines.last().is_some_and(|line| line.len() + label.len() > 88);
        if full {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            let separator = if line.is_empty() { "      " } else { " | " };
            line.push_str(separator);
            line.push_str(label);
        }
    }
    lines.iter().map(|line| format!("{line}\n")).collect()
}

fn take(bottle: &Bottle, event: &Event, now: Timestamp) -> Result<Step, Impossible> {
    step(bottle, event, now, &Timing::default())
}

#[test]
fn every_state_against_every_event_is_as_reviewed() {
    let block = |(title, bottle): (&str, Bottle)| {
        format!("== {title}\n   {}\n\n{}\n", shown(&bottle), rows(&bottle))
    };
    let table: String = bottles().into_iter().map(block).collect();
    insta::assert_snapshot!("table", table);
}

#[test]
fn an_impossible_event_names_state_and_event() {
    let error = take(&queued(), &Event::Cleaned {}, at(1)).unwrap_err();
    assert_eq!(error.to_string(), "a bottle that is queued cannot get Cleaned");
}

/// Counts the variants; a new one does not compile before it has a number, and then needs a sample.
fn kind(event: &Event) -> usize {
    match event {
        Event::SlotGranted {} => 0,
        Event::Awoken { .. } => 1,
        Event::AwakenFailed { .. } => 2,
        Event::News { news: News::Alive {}, .. } => 3,
        Event::News { news: News::PrOpened { .. }, .. } => 4,
        Event::News { news: News::Done { .. }, .. } => 5,
        Event::News { news: News::Exited { .. }, .. } => 6,
        Event::Wake { .. } => 7,
        Event::Freeze { .. } => 8,
        Event::Asleep { .. } => 9,
        Event::SleepFailed { .. } => 10,
        Event::Died { .. } => 11,
        Event::Drifted { .. } => 12,
        Event::Cancel { .. } => 13,
        Event::Released {} => 14,
        Event::Cleaned {} => 15,
        Event::CleanFailed { .. } => 16,
        Event::Tick {} => 17,
        Event::Starved {} => 18,
        Event::Cool {} => 19,
        Event::LookAsked {} => 20,
        Event::Seen {} => 21,
        Event::Pulls { .. } => 22,
        Event::ClockJumped { .. } => 23,
        Event::RightsLost { .. } => 24,
    }
}
const KINDS: usize = 25;

#[test]
fn the_table_has_every_kind_of_event_and_every_word() {
    let kinds: BTreeSet<usize> =
        events(&in_state(State::Queued { since: at(0) })).iter().map(|(_, e, _)| kind(e)).collect();
    assert_eq!(kinds, (0..KINDS).collect());
    let words: BTreeSet<&str> = bottles().iter().map(|(_, bottle)| bottle.state.word()).collect();
    let all = "queued starting running freezing frozen rehydrating failed destroyed";
    assert_eq!(words, all.split(' ').collect());
}

#[test]
fn every_cell_keeps_the_laws() {
    for (title, bottle) in bottles() {
        for (label, event, now) in events(&bottle) {
            let Ok(taken) = take(&bottle, &event, now) else { continue };
            crate::world::assert_laws(&bottle, &event, &taken, &format!("{title} + {label}"));
            if taken.ignored.is_some() {
                let after = (&taken.next, taken.effects.len());
                assert_eq!(after, (&bottle, 0), "{title} + {label}: ignored, and yet a change");
            }
        }
    }
}

#[test]
fn a_repeated_event_leads_nowhere_new() {
    for (title, bottle) in bottles() {
        for (label, event, now) in events(&bottle) {
            let Ok(once) = take(&bottle, &event, now) else { continue };
            // What an inbox with unique keys keeps out, or what is counted by purpose.
            let counted = match &event {
                Event::SlotGranted {} | Event::AwakenFailed { .. } => true,
                Event::SleepFailed { .. } | Event::CleanFailed { .. } => true,
                // Moves the times once more, each time that the clock does.
                Event::ClockJumped { .. } => true,
                Event::Wake { heard, .. } => heard.is_empty(),
                Event::Awoken { .. }
                | Event::News { .. }
                | Event::Freeze { .. }
                | Event::Asleep { .. }
                | Event::Died { .. }
                | Event::Drifted { .. }
                | Event::Starved {}
                | Event::Cool {}
                | Event::LookAsked {}
                | Event::Seen {}
                | Event::RightsLost { .. }
                | Event::Pulls { .. }
                | Event::Cancel { .. }
                | Event::Released {}
                | Event::Cleaned {}
                | Event::Tick {} => false,
            };
            if !counted {
                let twice = take(&once.next, &event, now).unwrap();
                assert_eq!(twice.next, once.next, "{title} + {label} twice");
            }
        }
    }
}
