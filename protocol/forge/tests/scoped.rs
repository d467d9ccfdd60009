//! The scope holds whatever is asked: a fake forge records what reaches it.

#[cfg(test)]
#[path = "support/fake.rs"]
mod fake;

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, sync::Arc, time::Duration};

    use forge::{Forge, ForgeError, ScopedForge, again::Patience, scoped::Scope};
    use proptest::prelude::*;
    use protocol::{
        ids::IssueNumber,
        item::{PullRequest, PullState},
    };

    use super::fake::{BRANCH, Fake, Trouble, pull};

    fn number(number: u64) -> IssueNumber {
        number.try_into().unwrap()
    }

    fn scope(issue: Option<u64>, pulls: &[u64]) -> Scope {
        Scope {
            repo: "alice/widget".parse().unwrap(),
            issue: issue.map(number),
            pull_requests: pulls.iter().copied().map(number).collect(),
            branch: BRANCH.parse().unwrap(),
            base: "main".parse().unwrap(),
        }
    }

    fn scoped(fake: &Arc<Fake>, issue: Option<u64>, pulls: &[u64]) -> ScopedForge {
        let patience =
            Patience { first_pause: Duration::from_millis(1), within: Duration::from_secs(20) };
        ScopedForge::new(Arc::clone(fake) as Arc<dyn Forge>, scope(issue, pulls))
            .with_patience(patience)
    }

    /// What was sent to open pull requests.
    fn openings(fake: &Fake) -> Vec<String> {
        fake.calls().into_iter().filter(|call| call.starts_with("open_pr")).collect()
    }

    /// Each kind of write to a number.
    async fn write(
        forge: &ScopedForge,
        method: usize,
        number: IssueNumber,
    ) -> Result<(), ForgeError> {
        match method {
            0 => forge.post_comment(number, "x").await.map(|_| ()),
            1 => forge.edit_comment(number, 5, "x").await.map(|_| ()),
            _ => forge.update_description(number, "x").await,
        }
    }

    // CASES 46
    #[tokio::test]
    async fn a_foreign_number_is_refused_before_anything_is_sent() {
        let fake = Arc::new(Fake::default());
        let forge = scoped(&fake, Some(17), &[42]);
        for method in 0..3 {
            for foreign in [16, 18, 41, 43, 170, 1] {
                let error = write(&forge, method, number(foreign)).await.unwrap_err();
                assert!(matches!(error, ForgeError::OutOfScope { .. }), "{error:?}");
                assert_eq!(
                    error.to_string(),
                    format!("write to #{foreign} is out of scope, writable are 17, 42")
                );
            }
        }
        assert_eq!(fake.calls(), Vec::<String>::new(), "not even a read");
        let nothing = scoped(&fake, None, &[]).post_comment(number(1), "x").await.unwrap_err();
        assert_eq!(nothing.to_string(), "write to #1 is out of scope, writable are nothing");
    }

    #[tokio::test]
    async fn the_issue_and_own_pull_requests_are_written_to() {
        let fake = Arc::new(Fake::with(vec![pull(42, "bot", BRANCH, Some("alice/widget"))]));
        let forge = scoped(&fake, Some(17), &[42]);
        for method in 0..3 {
            write(&forge, method, number(17)).await.unwrap();
            write(&forge, method, number(42)).await.unwrap();
        }
        assert_eq!(fake.written(), [17, 42, 17, 42, 17, 42].map(number));
    }

    // CASES 46
    #[tokio::test]
    async fn a_pull_request_that_was_pointed_elsewhere_is_refused() {
        let heads = [
            (BRANCH, Some("mallory/widget")),
            (BRANCH, None),
            ("bot-bottle/implementer-k3v9", Some("alice/widget")),
            ("bot-bottle/implementer-k3v9q0", Some("alice/widget")),
            ("main", Some("alice/widget")),
            ("", Some("alice/widget")),
        ];
        for (branch, repo) in heads {
            let fake = Arc::new(Fake::with(vec![pull(42, "bot", branch, repo)]));
            let forge = scoped(&fake, Some(17), &[42]);
            for method in 0..3 {
                let error = write(&forge, method, number(42)).await.unwrap_err();
                assert_eq!(
                    error.to_string(),
                    "write to #42 is out of scope, writable are 17",
                    "{branch} {repo:?}"
                );
            }
            assert_eq!(fake.written(), []);
        }
        let other_case = Arc::new(Fake::with(vec![pull(42, "bot", BRANCH, Some("Alice/Widget"))]));
        write(&scoped(&other_case, None, &[42]), 0, number(42)).await.unwrap();
    }

    // People have decided; their decision may reach the agent later than its own next call.
    #[tokio::test]
    async fn what_was_closed_or_merged_is_not_opened_anew() {
        for state in [PullState::Closed, PullState::Merged] {
            let decided = PullRequest { state, ..pull(42, "bot", BRANCH, Some("alice/widget")) };
            let fake = Arc::new(Fake::with(vec![decided]));
            let error = scoped(&fake, Some(17), &[42]).open_pr("t", "b").await.unwrap_err();
            assert!(matches!(error, ForgeError::Conflict { .. }), "{error:?}");
            assert_eq!(openings(&fake), Vec::<String>::new());
        }
    }

    // CASES 48
    #[tokio::test]
    async fn opening_twice_opens_once() {
        let fake = Arc::new(Fake::default());
        let forge = scoped(&fake, Some(17), &[]);
        let first = forge.open_pr("title", "body").await.unwrap();
        let second = forge.open_pr("other", "other").await.unwrap();
        assert_eq!((first.existed, second.existed), (false, true));
        assert_eq!(first.pull_request, second.pull_request);
        assert_eq!(openings(&fake), [format!("open_pr {BRANCH} main title")]);
        assert_eq!(forge.writable(), BTreeSet::from([number(17)]), "fixed when it was made");
        let wider = forge.with_writable(first.pull_request.number);
        assert_eq!(wider.writable(), BTreeSet::from([number(17), first.pull_request.number]));
        wider.post_comment(first.pull_request.number, "x").await.unwrap();
    }

    // CASES 48, 62, 149, 187, 188, 195
    #[tokio::test]
    async fn a_lost_answer_is_looked_up_before_anything_is_sent_again() {
        for (trouble, lag, outcome, sendings) in [
            (Trouble::OpensButAnswers500, 0, Some(false), 1),
            (Trouble::OpensButAnswers500, 1, Some(false), 1),
            (Trouble::OpensButAnswersNonsense, 1, Some(false), 1),
            (Trouble::SomebodyWasFaster, 0, Some(true), 1),
            (Trouble::SomebodyWasFaster, 1, Some(true), 1),
            (Trouble::SaysItExists, 0, Some(true), 1),
            (Trouble::Answers500, 0, None, 3),
            (Trouble::Forbids, 0, None, 1),
        ] {
            let fake = Arc::new(Fake::default().in_trouble(trouble).lagging(lag));
            let result = scoped(&fake, Some(17), &[]).open_pr("title", "body").await;
            assert_eq!(
                result.as_ref().ok().map(|opened| opened.existed),
                outcome,
                "{trouble:?}: {result:?}"
            );
            assert_eq!(openings(&fake).len(), sendings, "{trouble:?}");
        }
    }

    // CASES 195
    #[tokio::test]
    async fn a_pull_request_that_a_replica_does_not_know_yet_is_written_to() {
        for (lag, is_written) in [(0, true), (1, true), (2, true), (3, false)] {
            let own = pull(42, "bot", BRANCH, Some("alice/widget"));
            let fake = Arc::new(Fake::with(vec![own]).lagging(lag));
            let result = scoped(&fake, Some(17), &[42]).post_comment(number(42), "x").await;
            assert_eq!(result.is_ok(), is_written, "{lag}: {result:?}");
            assert_eq!(fake.written().len(), usize::from(is_written));
        }
    }

    // CASES 201
    #[tokio::test]
    async fn the_default_branch_of_now_takes_the_place_of_a_base_that_is_gone() {
        let fake = Arc::new(Fake::default().in_trouble(Trouble::BaseRenamed));
        let forge = scoped(&fake, Some(17), &[]);
        assert!(!forge.open_pr("title", "body").await.unwrap().existed);
        let wanted = ["main", "trunk"].map(|base| format!("open_pr {BRANCH} {base} title"));
        assert_eq!(openings(&fake), wanted);
        assert!(forge.open_pr("title", "body").await.unwrap().existed);
    }

    // CASES 187
    #[tokio::test]
    async fn nothing_to_propose_is_said_as_such() {
        for trouble in [Trouble::NoBranch, Trouble::NoChanges] {
            let fake = Arc::new(Fake::default().in_trouble(trouble));
            let error = scoped(&fake, Some(17), &[]).open_pr("title", "body").await.unwrap_err();
            let wanted = format!("nothing to propose: push a commit to {BRANCH} first");
            assert!(error.to_string().ends_with(&wanted), "{trouble:?}: {error}");
            assert_eq!(openings(&fake).len(), 1, "{trouble:?}");
        }
    }

    // CASES 46
    #[tokio::test]
    async fn a_pull_request_that_a_person_opened_from_the_branch_is_not_taken() {
        let fake = Arc::new(Fake::with(vec![pull(42, "mallory", BRANCH, Some("alice/widget"))]));
        let error = scoped(&fake, Some(17), &[]).open_pr("title", "body").await.unwrap_err();
        assert!(error.to_string().contains("mallory opened #42 from it"), "{error}");
        assert!(!fake.calls().iter().any(|call| call.starts_with("open_pr")));
    }

    #[derive(Debug, Clone)]
    enum Act {
        Write {
            method: usize,
            number: u64,
        },
        Open,
        /// A person points a pull request to another branch, or back.
        Repoint {
            number: u64,
            own: bool,
        },
    }

    fn act() -> impl Strategy<Value = Act> {
        prop_oneof![
            6 => (0..3_usize, 1..12_u64).prop_map(|(method, number)| Act::Write { method, number }),
            1 => Just(Act::Open),
            2 => (1..12_u64, any::<bool>()).prop_map(|(number, own)| Act::Repoint { number, own }),
        ]
    }

    proptest! {
        // TH2
        #[test]
        fn what_reaches_the_forge_is_within_the_scope(
            issue in proptest::option::of(1..12_u64),
            pulls in proptest::collection::btree_set(1..12_u64, 0..4),
            acts in proptest::collection::vec(act(), 1..30),
        ) {
            let pulls: Vec<u64> = pulls.into_iter().filter(|pull| Some(*pull) != issue).collect();
            let all = (1..12).map(|n| pull(n, "bot", BRANCH, Some("alice/widget"))).collect();
            let fake = Arc::new(Fake::with(all).without_finding());
            let forge = scoped(&fake, issue, &pulls);
            let allowed: BTreeSet<u64> = issue.into_iter().chain(pulls).collect();
            let mut pointed_away = BTreeSet::new();
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
            for act in acts {
                let before = fake.written().len();
                match act {
                    Act::Repoint { number: n, own } => {
                        fake.repoint(number(n), if own { BRANCH } else { "main" });
                        if own { pointed_away.remove(&n) } else { pointed_away.insert(n) };
                    }
                    Act::Open => { runtime.block_on(forge.open_pr("t", "b")).ok(); }
                    Act::Write { method, number: n } => {
                        let done = runtime.block_on(write(&forge, method, number(n))).is_ok();
                        let may = allowed.contains(&n) && (issue == Some(n) || !pointed_away.contains(&n));
                        prop_assert_eq!(done, may);
                        prop_assert_eq!(fake.written().len() - before, usize::from(may));
                    }
                }
            }
            prop_assert!(fake.written().iter().all(|n| allowed.contains(&n.get())));
            prop_assert!(fake.repos().iter().all(|repo| repo == "alice/widget"));
        }
    }
}
