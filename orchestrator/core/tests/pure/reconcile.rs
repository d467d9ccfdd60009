//! What should be against what is: the plan as one table, and its fixed point.

use std::collections::{BTreeMap, BTreeSet};

use orchestrator_core::{
    bottle::{Attempts, Bottle, Reason, State, Tier},
    event::Event,
    reconcile::{Container, Pair, Plan, SidecarGrant, plan},
};
use protocol::ids::Slug;

use crate::support::{at, frozen, in_state, name, queued, reported, run, waking};

fn bottles() -> Vec<(&'static str, Bottle)> {
    let destroyed = |cleaning| {
        in_state(State::Destroyed { reason: Reason::Merged, at: at(0), cleaning, released: false })
    };
    let attempts = Attempts::FIRST;
    let running = State::Running { run: run(2), since: at(0), last_news: at(0), done: None };
    let failed = State::Failed { reason: "no disk".to_owned(), since: at(0), retry: false };
    vec![
        ("queued", queued()),
        ("starting", in_state(State::Starting(waking(2, 0, None)))),
        ("rehydrating", in_state(State::Rehydrating(waking(2, 0, None)))),
        ("running", in_state(running.clone())),
        ("running, starved", Bottle { starved_at: Some(at(0)), ..in_state(running) }),
        (
            "freezing",
            in_state(State::Freezing {
                tier: Tier::Hot,
                ending: reported(),
                attempts,
                held: false,
            }),
        ),
        ("frozen hot", frozen(Tier::Hot, reported(), false)),
        ("frozen cold", frozen(Tier::Cold, reported(), false)),
        ("failed", in_state(failed)),
        ("destroyed, cleaning", destroyed(Some(attempts))),
        ("destroyed, clean", destroyed(None)),
    ]
}

fn exited(code: i64, out_of_memory: bool) -> Container {
    Container::Exited { code, out_of_memory }
}

fn pairs() -> Vec<(&'static str, Pair)> {
    let pair = |sidecar, bottle, grant| Pair { sidecar, bottle, grant };
    let up = |grant| pair(Container::Running, Container::Running, grant);
    let unknown = SidecarGrant::Unknown;
    let own = SidecarGrant::Nonce(name("00000000000000aa"));
    vec![
        ("both missing", Pair::MISSING),
        ("both created", pair(Container::Created, Container::Created, unknown.clone())),
        ("both run, own nonce", up(own.clone())),
        ("both run, no answer", up(unknown.clone())),
        ("both run, grant lost", up(SidecarGrant::None)),
        ("both run, foreign nonce", up(SidecarGrant::Nonce(name("00000000000000ff")))),
        ("bottle paused", pair(Container::Running, Container::Paused, SidecarGrant::None)),
        ("bottle created", pair(Container::Running, Container::Created, own.clone())),
        ("bottle exited", pair(Container::Running, exited(0, false), own.clone())),
        ("bottle killed", pair(Container::Running, exited(137, false), own.clone())),
        ("bottle stopped", pair(Container::Running, exited(143, false), own.clone())),
        ("bottle out of memory", pair(Container::Running, exited(137, true), own.clone())),
        ("bottle exited, was short", pair(Container::Running, exited(1, true), own.clone())),
        ("bottle missing", pair(Container::Running, Container::Missing, own)),
        ("sidecar killed", pair(exited(137, true), Container::Running, unknown.clone())),
        ("sidecar exited", pair(exited(1, false), Container::Running, unknown.clone())),
        ("sidecar missing, paused", pair(Container::Missing, Container::Paused, unknown.clone())),
        ("both exited", pair(exited(143, false), exited(143, false), unknown)),
    ]
}

fn plan_of(bottle: &Bottle, pair: &Pair) -> Plan {
    let seen: BTreeMap<Slug, Pair> = [(bottle.slug.clone(), pair.clone())].into();
    plan(std::slice::from_ref(bottle), &BTreeSet::new(), &seen)
}

fn shown(plan: &Plan) -> String {
    match &plan.events[..] {
        [] => "-".to_owned(),
        [(_, Event::Died { detail })] => format!("died: {detail}"),
        [(_, Event::Drifted { detail })] => format!("drifted: {detail}"),
        events => panic!("neither died nor drifted: {events:?}"),
    }
}

// CASES 138, 140, 146, 164, 167, 168, 174
#[test]
fn what_is_put_right_is_as_reviewed() {
    let block = |(title, bottle): (&str, Bottle)| {
        let rows: Vec<(&str, String)> =
            pairs().iter().map(|(label, pair)| (*label, shown(&plan_of(&bottle, pair)))).collect();
        if rows.iter().all(|(_, told)| told == "-") {
            return format!("== {title}\n  left alone whatever is seen\n\n");
        }
        let lines: String =
            rows.iter().map(|(label, told)| format!("  {label:<24} {told}\n")).collect();
        format!("== {title}\n{lines}\n")
    };
    let table: String = bottles().into_iter().map(block).collect();
    insta::assert_snapshot!("plan", table);
}

#[test]
fn a_bottle_that_the_engine_does_not_list_is_missing() {
    for (title, bottle) in bottles() {
        let unseen = plan(std::slice::from_ref(&bottle), &BTreeSet::new(), &BTreeMap::new());
        assert_eq!(unseen, plan_of(&bottle, &Pair::MISSING), "{title}");
    }
}

#[test]
fn a_busy_bottle_is_left_alone_and_is_no_orphan() {
    for (title, bottle) in bottles() {
        for (label, pair) in pairs() {
            let seen: BTreeMap<Slug, Pair> = [(bottle.slug.clone(), pair)].into();
            let busy: BTreeSet<Slug> = [bottle.slug.clone()].into();
            let plan = plan(std::slice::from_ref(&bottle), &busy, &seen);
            assert_eq!(plan, Plan::default(), "{title}, {label}");
        }
    }
}

#[test]
fn what_the_engine_cannot_tell_of_is_left_alone_and_is_no_orphan() {
    for (title, bottle) in bottles() {
        for (label, clear) in pairs() {
            for pair in [
                Pair { bottle: Container::Unclear, ..clear.clone() },
                Pair { sidecar: Container::Unclear, ..clear },
            ] {
                assert_eq!(plan_of(&bottle, &pair), Plan::default(), "{title}, {label}");
                let seen = [(bottle.slug.clone(), pair)].into();
                assert_eq!(plan(&[], &BTreeSet::new(), &seen), Plan::default(), "{label}");
            }
        }
    }
}

// CASES I6
#[test]
fn a_container_without_a_record_is_an_orphan() {
    let orphan: Slug = name("implementer-zzzzz");
    let seen: BTreeMap<Slug, Pair> = [(orphan.clone(), Pair::MISSING)].into();
    let plan = plan(&[queued()], &BTreeSet::new(), &seen);
    assert_eq!(plan, Plan { events: vec![], orphans: vec![orphan] });
}

#[test]
fn one_broken_bottle_does_not_touch_another() {
    let good = frozen(Tier::Cold, reported(), false);
    let broken = Bottle { slug: name("implementer-bbbbb"), ..bottles().remove(3).1 };
    let plan = plan(&[good, broken], &BTreeSet::new(), &BTreeMap::new());
    let told: Vec<&str> = plan.events.iter().map(|(slug, _)| slug.as_str()).collect();
    assert_eq!(told, ["implementer-bbbbb"]);
}
