//! What becomes of what is seen on the forge.

mod explained;

use std::collections::{BTreeMap, BTreeSet};

use orchestrator_core::{
    bottle::{Bottle, Heard, Origin, Reason, State, Tier},
    event::Event,
    policy::{Launch, Remark, Rules, SeenIssue, Sight, Verdict, Why, decide, rights_lost},
    prompt::{for_issue, for_operator, for_remark},
    step::step,
    timing::Timing,
};
use proptest::{collection::vec, prelude::*, sample::select};
use protocol::item::{Issue, IssueState, Permission, PullState};

use crate::support::{at, frozen, in_state, name, number, queued, reported};

fn rules() -> Rules {
    Rules {
        agent_label: "bot-bottle:".to_owned(),
        profile_label: "bot-bottle-bottle:".to_owned(),
        repos: [name("team/project")].into(),
        agents: [(name("implementer"), vec![name("rust")]), (name("reviewer"), vec![])].into(),
        profiles: [name("rust"), name("big"), name("net")].into(),
        own_logins: [name("implementer-bot"), name("reviewer-bot")].into(),
        kill_switch: false,
    }
}

/// An issue that asks for the implementer, seen whole.
fn sight() -> Sight {
    let issue = Issue {
        number: number(17),
        title: "Sorting is slow".to_owned(),
        body: "It takes a minute.".to_owned(),
        state: IssueState::Open,
        author: name("ann"),
        labels: vec!["bot-bottle:implementer".to_owned(), "bug".to_owned()],
        assignees: vec![name("implementer-bot")],
        comments: 0,
        created_at: at(0),
        updated_at: at(0),
        url: "https://forge.test/team/project/issues/17".to_owned(),
    };
    Sight {
        repo: name("team/project"),
        archived: false,
        base: Some(name("main")),
        issue: SeenIssue::There {
            issue: Box::new(issue),
            members: [name("implementer-bot")].into(),
        },
        pulls: vec![],
        remarks: vec![],
        permissions: BTreeMap::new(),
    }
}

/// A sight with something changed in its issue.
fn seen(change: impl FnOnce(&mut Issue)) -> Sight {
    let mut sight = sight();
    if let SeenIssue::There { issue, .. } = &mut sight.issue {
        change(issue);
    }
    sight
}

fn labelled(labels: &[&str]) -> Sight {
    seen(|issue| issue.labels = labels.iter().map(|label| (*label).to_owned()).collect())
}

fn unassigned() -> Sight {
    let mut sight = sight();
    if let SeenIssue::There { members, .. } = &mut sight.issue {
        members.clear();
    }
    sight
}

fn renamed() -> Sight {
    Sight { issue: SeenIssue::Elsewhere(name("team/new")), base: None, ..sight() }
}

fn closed() -> Sight {
    seen(|issue| issue.state = IssueState::Closed)
}

fn with_pulls(sight: Sight, pulls: &[(u64, Option<PullState>)]) -> Sight {
    Sight { pulls: pulls.iter().map(|(n, state)| (number(*n), *state)).collect(), ..sight }
}

fn remark(id: u64, author: &str, permission: Permission) -> Remark {
    Remark {
        id: Heard::Comment(id),
        on: number(17),
        author: name(author),
        permission,
        text: format!("remark {id}"),
        at: at(0),
    }
}

fn with_remarks(remarks: &[Remark]) -> Sight {
    Sight { remarks: remarks.to_vec(), ..sight() }
}

fn live() -> Bottle {
    frozen(Tier::Hot, reported(), false)
}

fn ended(reason: Reason, released: bool) -> Bottle {
    in_state(State::Destroyed { reason, at: at(0), cleaning: None, released })
}

fn launched(sight: &Sight, bottle: Option<&Bottle>) -> Launch {
    match decide(&rules(), sight, bottle) {
        Verdict::Launch(launch) => *launch,
        other => panic!("not launched: {other:?}"),
    }
}

fn refused(sight: &Sight) -> Why {
    match decide(&rules(), sight, None) {
        Verdict::Nothing(why) => why,
        other => panic!("not refused: {other:?}"),
    }
}

#[test]
fn an_issue_that_asks_gets_a_bottle() {
    let remarks = [
        remark(1, "bob", Permission::Write),
        remark(2, "eve", Permission::None),
        remark(3, "implementer-bot", Permission::Write),
    ];
    let launch = launched(&with_remarks(&remarks), None);
    assert_eq!((launch.issue, launch.agent), (number(17), name("implementer")));
    assert_eq!((launch.profiles, launch.base), (vec![name("rust")], name("main")));
    assert_eq!(launch.prompt.source, "issue #17");
    assert!(launch.prompt.text.contains("| remark 2"));
    let heard = [Heard::Comment(1), Heard::Comment(2), Heard::Comment(3)];
    assert_eq!(launch.heard, heard, "what is in the first prompt is not told again");
}

// DESIGN §4.2: each refusal has a reason that a person can act on.
#[test]
fn every_refusal_has_its_reason() {
    let table = [
        (Sight { repo: name("team/other"), ..sight() }, "the repository is not on the list"),
        (Sight { archived: true, ..sight() }, "the repository is archived"),
        (Sight { base: None, ..sight() }, "the repository's default branch has a name"),
        (Sight { issue: SeenIssue::None, ..sight() }, "it is not an issue, and no bottle's"),
        (Sight { issue: SeenIssue::Gone, ..sight() }, "the issue is gone"),
        (closed(), "the issue is closed"),
        (labelled(&[]), "no label asks for an agent"),
        (labelled(&["bot-bottle", "bug"]), "no label asks for an agent"),
        (labelled(&["BOT-BOTTLE:implementer"]), "no label asks for an agent"),
        (labelled(&["x bot-bottle:implementer"]), "no label asks for an agent"),
        (labelled(&["bot-bottle-bottle:rust"]), "no label asks for an agent"),
        (labelled(&["bot-bottle:"]), "there is no agent \"\""),
        (labelled(&["bot-bottle:implementer "]), "there is no agent \"implementer \""),
        (labelled(&["bot-bottle:../etc"]), "there is no agent \"../etc\""),
        (labelled(&["bot-bottle:\u{1b}[2J"]), "there is no agent \"\\u{1b}[2J\""),
        (
            labelled(&["bot-bottle:implementer", "bot-bottle:reviewer"]),
            "labels ask for more than one agent: \"implementer, reviewer\"",
        ),
        (
            labelled(&["bot-bottle:implementer", "bot-bottle-bottle:huge"]),
            "there is no bottle profile \"huge\"",
        ),
        (unassigned(), "no assignee is a member of the agent organisation"),
        (renamed(), "the repository is called team/new now"),
        (
            seen(|issue| issue.author = name("Implementer-Bot")),
            "the issue was opened by one of our",
        ),
    ];
    for (sight, why) in table {
        let refusal = refused(&sight).to_string();
        assert!(refusal.starts_with(why), "{refusal:?} does not begin with {why:?}");
    }
}

#[test]
fn the_kill_switch_starts_and_wakes_nobody_but_lets_end() {
    let rules = Rules { kill_switch: true, ..rules() };
    let kill = Verdict::Nothing(Why::KillSwitch);
    assert_eq!(decide(&rules, &sight(), None), kill);
    let spoken = with_remarks(&[remark(2, "bob", Permission::Write)]);
    assert_eq!(decide(&rules, &spoken, Some(&live())), kill);
    assert_eq!(decide(&rules, &sight(), Some(&ended(Reason::Unlabelled, true))), kill);
    assert_eq!(decide(&rules, &sight(), Some(&ended(Reason::Merged, false))), kill);
    let cancel = Verdict::Tell(Event::Cancel { reason: Reason::Unlabelled });
    assert_eq!(decide(&rules, &labelled(&[]), Some(&live())), cancel);
}

#[test]
fn a_profile_label_replaces_the_agents_profiles() {
    let sight =
        labelled(&["bot-bottle-bottle:net", "bot-bottle:implementer", "bot-bottle-bottle:big"]);
    assert_eq!(launched(&sight, None).profiles, [name("big"), name("net")]);
}

#[test]
fn the_same_label_twice_is_one_agent() {
    let sight = labelled(&["bot-bottle:implementer", "bot-bottle:implementer"]);
    assert_eq!(launched(&sight, None).agent, name("implementer"));
}

#[test]
fn every_end_of_a_live_bottle_has_its_reason() {
    let open = Some(PullState::Open);
    let merged = Some(PullState::Merged);
    let shut = Some(PullState::Closed);
    let gone = Sight { issue: SeenIssue::Gone, ..sight() };
    let elsewhere = labelled(&["bot-bottle:reviewer"]);
    let table = [
        (sight(), None),
        (with_pulls(sight(), &[(18, open)]), None),
        (with_pulls(sight(), &[(18, merged)]), Some(Reason::Merged)),
        // A merge that closes the issue is a merge.
        (with_pulls(closed(), &[(18, merged)]), Some(Reason::Merged)),
        (with_pulls(labelled(&[]), &[(18, merged)]), Some(Reason::Merged)),
        (with_pulls(gone.clone(), &[(18, merged)]), Some(Reason::Merged)),
        (with_pulls(sight(), &[(18, shut)]), Some(Reason::PullClosed)),
        (with_pulls(sight(), &[(18, None)]), Some(Reason::PullGone)),
        // The newest pull request decides.
        (with_pulls(sight(), &[(18, shut), (19, open)]), None),
        (with_pulls(sight(), &[(18, merged), (19, open)]), None),
        (with_pulls(sight(), &[(18, None), (19, open)]), None),
        (with_pulls(sight(), &[(18, shut), (19, merged)]), Some(Reason::Merged)),
        (closed(), Some(Reason::IssueClosed)),
        // An issue can be closed while its pull request lives.
        (with_pulls(closed(), &[(18, open)]), None),
        (gone.clone(), Some(Reason::Gone)),
        (with_pulls(gone, &[(18, open)]), Some(Reason::Gone)),
        (labelled(&["bug"]), Some(Reason::Unlabelled)),
        (labelled(&["bot-bottle:"]), Some(Reason::Unlabelled)),
        (labelled(&["bot-bottle:implementer2"]), Some(Reason::Unlabelled)),
        (elsewhere, Some(Reason::Unlabelled)),
        (labelled(&["bot-bottle:implementer", "bot-bottle:reviewer"]), None),
        (with_pulls(labelled(&[]), &[(18, open)]), Some(Reason::Unlabelled)),
        (unassigned(), Some(Reason::Unassigned)),
        (Sight { issue: SeenIssue::None, ..sight() }, None),
    ];
    for (sight, reason) in table {
        let wanted = reason.map_or(Verdict::Nothing(Why::NothingNew), |reason| {
            Verdict::Tell(Event::Cancel { reason })
        });
        assert_eq!(decide(&rules(), &sight, Some(&live())), wanted, "{sight:#?}");
    }
}

#[test]
fn labels_do_not_end_what_an_operator_started() {
    let mut bottle = live();
    bottle.home.origin = Origin::Operator;
    for sight in [labelled(&[]), unassigned(), closed()] {
        assert_eq!(
            decide(&rules(), &sight, Some(&bottle)),
            Verdict::Nothing(Why::NothingNew),
            "{sight:#?}"
        );
    }
    let merged = with_pulls(sight(), &[(18, Some(PullState::Merged))]);
    let cancel = Verdict::Tell(Event::Cancel { reason: Reason::Merged });
    assert_eq!(decide(&rules(), &merged, Some(&bottle)), cancel);
}

// A renamed or archived repository is a matter of its owner, who may change it back: nobody is
// ended, nobody is woken, and nothing that was said is lost.
// CASES 29, 197
#[test]
fn a_repository_that_was_renamed_or_archived_pauses_its_bottles() {
    let spoken = with_remarks(&[remark(2, "bob", Permission::Write)]);
    let verdict = decide(&rules(), &renamed(), Some(&live()));
    assert_eq!(verdict, Verdict::Nothing(Why::Renamed(name("team/new"))));
    let archived = Sight { archived: true, ..spoken.clone() };
    assert_eq!(decide(&rules(), &archived, Some(&live())), Verdict::Nothing(Why::Archived));
    let later = decide(&rules(), &spoken, Some(&live()));
    assert!(matches!(later, Verdict::Tell(Event::Wake { .. })), "{later:?}");
}

// CASES 27: an agent that could open and label issues would otherwise go on for ever.
#[test]
fn what_our_own_accounts_open_or_say_in_any_spelling_starts_nobody() {
    let own = seen(|issue| issue.author = name("REVIEWER-bot"));
    assert_eq!(refused(&own), Why::OwnIssue);
    let said = with_remarks(&[remark(2, "Implementer-BOT", Permission::Admin)]);
    assert_eq!(decide(&rules(), &said, Some(&live())), Verdict::Nothing(Why::NothingNew));
}

// A stranger is heard, so that a permission given later does not bring the words back to life.
#[test]
fn only_trusted_words_are_told() {
    let remarks = [
        remark(1, "bob", Permission::Admin), // heard before
        remark(2, "eve", Permission::None),
        remark(3, "eve", Permission::Read),
        remark(4, "bob", Permission::Write),
        remark(5, "cid", Permission::Admin),
        remark(6, "implementer-bot", Permission::Admin),
        remark(7, "reviewer-bot", Permission::Write),
    ];
    let Verdict::Tell(Event::Wake { prompts, heard }) =
        decide(&rules(), &with_remarks(&remarks), Some(&live()))
    else {
        panic!("nobody is told")
    };
    let texts: Vec<&str> = prompts.iter().map(|prompt| prompt.text.as_str()).collect();
    assert_eq!(
        texts,
        ["A comment by bob on #17:\n| remark 4", "A comment by cid on #17:\n| remark 5"]
    );
    assert_eq!(heard, (2..=5).map(Heard::Comment).collect::<Vec<_>>());
}

#[test]
fn nothing_that_we_did_wakes_anybody() {
    let own = [
        remark(6, "implementer-bot", Permission::Admin),
        remark(7, "reviewer-bot", Permission::Write),
    ];
    let verdict = decide(&rules(), &with_remarks(&own), Some(&live()));
    assert_eq!(verdict, Verdict::Nothing(Why::NothingNew));
}

#[test]
fn a_comment_and_a_review_with_one_number_are_two() {
    let review = Remark { id: Heard::Review(1), ..remark(1, "bob", Permission::Write) };
    let verdict = decide(&rules(), &with_remarks(&[review]), Some(&live()));
    assert!(matches!(verdict, Verdict::Tell(Event::Wake { .. })), "{verdict:?}");
}

#[test]
fn a_spent_issue_asks_again_by_label_only() {
    for reason in [Reason::Merged, Reason::PullClosed, Reason::PullGone, Reason::Operator] {
        let spent = ended(reason, false);
        let verdict = decide(&rules(), &sight(), Some(&spent));
        assert_eq!(verdict, Verdict::Nothing(Why::Spent(reason.sentence())));
        for stopped in [labelled(&[]), unassigned()] {
            let verdict = decide(&rules(), &stopped, Some(&spent));
            assert_eq!(verdict, Verdict::Tell(Event::Released {}), "{stopped:#?}");
        }
        // Who reopens an issue, perhaps its own agent, asks for nothing by that.
        assert_eq!(decide(&rules(), &closed(), Some(&spent)), Verdict::Nothing(Why::Closed));
        let verdict = decide(&rules(), &labelled(&[]), Some(&ended(reason, true)));
        assert_eq!(verdict, Verdict::Nothing(Why::NoLabel));
        assert_eq!(launched(&sight(), Some(&ended(reason, true))).issue, number(17));
    }
}

// What the operator or the repository's owner changes says nothing about what the issue asks for:
// it must not bring all spent issues back to life when it is changed back.
#[test]
fn what_is_no_word_of_the_issues_does_not_release_it() {
    for (sight, why) in [
        (Sight { repo: name("team/other"), ..sight() }, Why::RepoNotServed),
        (Sight { archived: true, ..sight() }, Why::Archived),
        (Sight { base: None, ..sight() }, Why::BadBase),
        (Sight { issue: SeenIssue::None, ..sight() }, Why::NotOurs),
        (renamed(), Why::Renamed(name("team/new"))),
        (closed(), Why::Closed),
    ] {
        let verdict = decide(&rules(), &sight, Some(&ended(Reason::PullClosed, false)));
        assert_eq!(verdict, Verdict::Nothing(why));
    }
}

#[test]
fn a_manifest_that_is_missing_for_a_while_brings_no_ended_bottle_back() {
    let spent = ended(Reason::Merged, false);
    let rules = Rules { agents: BTreeMap::new(), ..rules() };
    let verdict = decide(&rules, &sight(), Some(&spent));
    assert!(matches!(verdict, Verdict::Nothing(Why::UnknownAgent(_))), "{verdict:?}");
}

#[test]
fn an_issue_that_only_an_operators_bottle_had_can_ask_by_its_first_label() {
    let mut bottle = live();
    bottle.home.origin = Origin::Operator;
    let cancel = Event::Cancel { reason: Reason::Operator };
    let ended = step(&bottle, &cancel, at(1), &Timing::default()).unwrap().next;
    launched(&sight(), Some(&ended));
}

#[test]
fn a_repository_that_is_not_served_any_more_wakes_nobody() {
    let rules = Rules { repos: BTreeSet::new(), ..rules() };
    let spoken = with_remarks(&[remark(1, "bob", Permission::Write)]);
    assert_eq!(decide(&rules, &spoken, Some(&live())), Verdict::Nothing(Why::RepoNotServed));
}

// TH25: only people's remarks hang on what these people may do now.
#[test]
fn a_remark_loses_its_right_with_its_author() {
    let told = |id, who| for_remark(&remark(id, who, Permission::Write));
    let SeenIssue::There { issue, .. } = sight().issue else { panic!("no issue") };
    let waiting =
        vec![for_issue(&issue, &[]), told(5, "bob"), for_operator("go on"), told(6, "ann")];
    let bottle = Bottle { waiting, ..live() };
    assert_eq!(bottle.authors(), [&name("ann"), &name("bob")].into());
    let cases = [
        (Permission::None, vec![Heard::Comment(5)]),
        (Permission::Read, vec![Heard::Comment(5)]),
        (Permission::Write, vec![]),
        (Permission::Admin, vec![]),
    ];
    for (bobs, lost) in cases {
        let permissions = [(name("bob"), bobs), (name("ann"), Permission::Write)].into();
        let sight = Sight { permissions, ..sight() };
        assert_eq!(rights_lost(&sight, &bottle), lost, "{bobs:?}");
    }
    // Spoke since the look began, and was judged by another one.
    assert_eq!(rights_lost(&sight(), &bottle), []);
}

fn remarks() -> impl Strategy<Value = Vec<Remark>> {
    let author = select(vec!["bob", "eve", "implementer-bot"]);
    let permission = select(vec![Permission::None, Permission::Read, Permission::Write]);
    vec((0..8_u64, author, permission).prop_map(|(id, who, may)| remark(id, who, may)), 0..8)
}

fn sights() -> impl Strategy<Value = Sight> {
    let labels = vec(select(vec!["bot-bottle:implementer", "bot-bottle:reviewer", "bug"]), 0..3);
    let pulls = select(vec![
        vec![],
        vec![(18, Some(PullState::Open))],
        vec![(18, Some(PullState::Merged))],
        vec![(18, None)],
    ]);
    (labels, pulls, remarks(), any::<[bool; 4]>()).prop_map(|(labels, pulls, remarks, flags)| {
        let [open, assigned, archived, there] = flags;
        let mut sight = Sight { remarks, archived, ..with_pulls(labelled(&labels), &pulls) };
        if let SeenIssue::There { issue, members } = &mut sight.issue {
            issue.state = if open { IssueState::Open } else { IssueState::Closed };
            if !assigned {
                members.clear();
            }
        }
        if !there {
            sight.issue = SeenIssue::Gone;
        }
        sight
    })
}

proptest! {
    // Deliveries are repeated: what was done about a sight is not done again.
    #[test]
    fn a_sight_is_acted_on_once(
        sight in sights(),
        bottle in select(vec![live(), queued(), ended(Reason::Merged, false)]),
    ) {
        let verdict = decide(&rules(), &sight, Some(&bottle));
        prop_assert_eq!(&verdict, &decide(&rules(), &sight, Some(&bottle)));
        if let Verdict::Tell(event) = verdict {
            let told = step(&bottle, &event, at(1), &Timing::default()).unwrap();
            prop_assert_eq!(told.ignored, None, "a verdict that the bottle does not take");
            let again = decide(&rules(), &sight, Some(&told.next));
            let acts = matches!(again, Verdict::Tell(Event::Wake { .. } | Event::Cancel { .. }));
            prop_assert!(!acts, "acted on twice: {again:?}");
        }
    }
}
