//! All rules at once, as `orchestrate explain` shows them.

use orchestrator_core::{
    bottle::{Bottle, Reason},
    event::Event,
    policy::{Check, Finding, SeenIssue, Sight, Verdict, Why, decide, explain},
};
use proptest::{prelude::*, sample::select};
use protocol::item::Permission;

use super::{ended, labelled, live, remark, renamed, rules, sight, sights, with_remarks};

/// What is explained, as a person reads it.
fn explained(sight: &Sight, bottle: Option<&Bottle>) -> String {
    let line = |check: Check| {
        let code = check.code.map(|code| format!(" [{code}]")).unwrap_or_default();
        format!("{:?} {}{code}: {}\n", check.finding, check.rule, check.sentence)
    };
    explain(&rules(), sight, bottle).into_iter().map(line).collect()
}

#[test]
fn an_explanation_names_all_rules_and_what_each_finds() {
    let two = labelled(&["bot-bottle:implementer", "bot-bottle:reviewer"]);
    let spoken = [remark(2, "bob", Permission::Write), remark(3, "eve", Permission::Read)];
    let told = [
        ("asks", explained(&sight(), None)),
        ("two agents, nobody assigned", explained(&two, None)),
        ("gone", explained(&Sight { issue: SeenIssue::Gone, ..sight() }, None)),
        ("renamed", explained(&renamed(), None)),
        ("spent", explained(&sight(), Some(&ended(Reason::Merged, false)))),
        ("live, spoken to", explained(&with_remarks(&spoken), Some(&live()))),
        ("live, unlabelled", explained(&labelled(&[]), Some(&live()))),
    ];
    let text: String = told.iter().map(|(what, text)| format!("{what}\n{text}\n")).collect();
    insta::assert_snapshot!("explained", text);
}

proptest! {
    // What is explained is what is decided.
    #[test]
    fn an_explanation_agrees_with_the_decision(
        sight in sights(),
        bottle in select(vec![None, Some(live()), Some(ended(Reason::Merged, false))]),
    ) {
        let checks = explain(&rules(), &sight, bottle.as_ref());
        let failed = checks.iter().find(|check| check.finding == Finding::Fail);
        let code = failed.and_then(|check| check.code.clone());
        match decide(&rules(), &sight, bottle.as_ref()) {
            Verdict::Launch(_)
            | Verdict::Tell(Event::Wake { .. })
            | Verdict::Nothing(Why::NothingNew) => prop_assert_eq!(code, None),
            Verdict::Nothing(why) => prop_assert_eq!(code.as_deref(), Some(why.code())),
            Verdict::Tell(_) => prop_assert!(code.is_some()),
        }
    }
}
