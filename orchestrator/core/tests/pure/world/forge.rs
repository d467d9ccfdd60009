//! The model's forge: issues, pull requests and what people say on them.

use std::collections::{BTreeMap, BTreeSet};

use orchestrator_core::{
    bottle::{Bottle, Heard},
    policy::{Remark, Rules, SeenIssue, Sight},
};
use protocol::{
    ids::{IssueNumber, Login},
    item::{Issue, IssueState, Permission, PullState},
};

use super::engine::Site;
use crate::support::{at, name, number};

/// Who says something.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Speaker {
    Trusted,
    Stranger,
    Ourselves,
}

pub(crate) struct IssueThere {
    pub(crate) number: IssueNumber,
    pub(crate) gone: bool,
    pub(crate) open: bool,
    pub(crate) labelled: bool,
    pub(crate) assigned: bool,
    pub(crate) remarks: Vec<Remark>,
    /// Bottles that may still be made for it: one, and one for each time that people took back what
    /// they asked for.
    launches_left: u32,
}

pub(crate) struct Forge {
    pub(crate) issues: Vec<IssueThere>,
    pub(crate) pulls: BTreeMap<IssueNumber, PullState>,
    pub(crate) kill_switch: bool,
    pub(crate) bob_may_write: bool,
    /// He could not at some time.
    bob_was_silenced: bool,
    said: u64,
    opened: u64,
}

impl Forge {
    /// Three issues that ask for a bottle.
    pub(crate) fn new() -> Self {
        let issue = |n| IssueThere {
            number: number(n),
            gone: false,
            open: true,
            labelled: true,
            assigned: true,
            remarks: vec![],
            launches_left: 1,
        };
        Self {
            issues: (1..=3).map(issue).collect(),
            pulls: BTreeMap::new(),
            kill_switch: false,
            bob_may_write: true,
            bob_was_silenced: false,
            said: 0,
            opened: 0,
        }
    }

    pub(crate) fn rules(&self) -> Rules {
        Rules {
            agent_label: "bot-bottle:".to_owned(),
            profile_label: "bot-bottle-bottle:".to_owned(),
            repos: [name("team/project")].into(),
            agents: [(name("implementer"), vec![])].into(),
            profiles: BTreeSet::new(),
            own_logins: [name("implementer-bot")].into(),
            kill_switch: self.kill_switch,
        }
    }

    /// Somebody says something, each time with words of its own.
    pub(crate) fn say(&mut self, issue: usize, by: Speaker, in_review: bool) {
        self.said += 1;
        let author = match by {
            Speaker::Trusted => "bob",
            Speaker::Stranger => "eve",
            Speaker::Ourselves => "implementer-bot",
        };
        let id = if in_review { Heard::Review(self.said) } else { Heard::Comment(self.said) };
        let issue = &mut self.issues[issue];
        issue.remarks.push(Remark {
            id,
            on: issue.number,
            author: name(author),
            permission: Permission::None,
            text: words(id),
            at: at(0),
        });
    }

    /// Bob is given the permission to write, or it is taken from him.
    pub(crate) fn let_bob_write(&mut self, may: bool) {
        self.bob_may_write = may;
        self.bob_was_silenced |= !may;
    }

    fn permission(&self, of: &Login) -> Permission {
        match of.as_str() {
            "implementer-bot" => Permission::Write,
            "bob" if self.bob_may_write => Permission::Write,
            _ => Permission::Read,
        }
    }

    /// People take back what they asked for, so that asking again means another bottle.
    pub(crate) fn take_back(&mut self, issue: usize) {
        self.issues[issue].launches_left += 1;
    }

    pub(crate) fn keep_account_of_launches(&mut self, issue: usize) {
        let there = &mut self.issues[issue];
        let left = there.launches_left.checked_sub(1);
        there.launches_left =
            left.unwrap_or_else(|| panic!("#{} is launched in a loop", there.number));
    }

    pub(crate) fn open_pull(&mut self) -> IssueNumber {
        self.opened += 1;
        let next = number(99 + self.opened);
        self.pulls.insert(next, PullState::Open);
        next
    }

    pub(crate) fn sight(&self, index: usize, bottle: Option<&Bottle>) -> Sight {
        let issue = &self.issues[index];
        let pulls = bottle.map(|bottle| bottle.pull_requests.as_slice()).unwrap_or_default();
        Sight {
            repo: name("team/project"),
            archived: false,
            base: Some(name("main")),
            issue: if issue.gone { SeenIssue::Gone } else { there(issue) },
            pulls: pulls.iter().map(|number| (*number, self.pulls.get(number).copied())).collect(),
            remarks: issue.remarks.iter().map(|remark| self.judged(remark)).collect(),
            permissions: bottle
                .map(|bottle| bottle.authors().into_iter().cloned())
                .into_iter()
                .flatten()
                .map(|author| (author.clone(), self.permission(&author)))
                .collect(),
        }
    }

    fn judged(&self, remark: &Remark) -> Remark {
        Remark { permission: self.permission(&remark.author), ..remark.clone() }
    }

    /// Who is not wanted any more has no bottle, who asked has had one.
    pub(crate) fn assert_every_issue_is_at_its_end(&self, sites: &[Site]) {
        for issue in &self.issues {
            let last = sites.iter().rfind(|site| site.bottle.home.issue == Some(issue.number));
            let live = last.filter(|site| site.bottle.is_live());
            let asks = issue.open && !issue.gone && issue.labelled && issue.assigned;
            assert!(last.is_some() || !asks, "#{} was never served", issue.number);
            let Some(live) = live else { continue };
            let pulls = || live.bottle.pull_requests.iter();
            let last_pull = pulls().next_back().map(|number| self.pulls.get(number));
            assert!(matches!(last_pull, None | Some(Some(PullState::Open))), "{last_pull:?}");
            let open_pull = pulls().any(|number| self.pulls.get(number) == Some(&PullState::Open));
            assert!(!issue.gone && (issue.open || open_pull), "#{} is closed", issue.number);
            // Once the issue is closed, the pull request alone decides.
            let asked = issue.labelled && issue.assigned;
            assert!(asked || !issue.open, "#{} is not asked for", issue.number);
        }
    }

    /// A trusted remark that a live bottle could hear was told or waits, once, unless its author lost
    /// the right to say it; a stranger's or our own woke nobody. What was said before the bottle is in
    /// its first prompt.
    pub(crate) fn assert_everybody_was_heard_once(&self, sites: &[Site]) {
        for site in sites.iter().filter(|site| site.bottle.is_live()) {
            let about = |issue: &&IssueThere| site.bottle.home.issue == Some(issue.number);
            let remarks = self.issues.iter().filter(about).flat_map(|issue| &issue.remarks);
            for remark in remarks {
                let kept = site.told.iter().chain(&site.bottle.waiting);
                let times = kept
                    .map(|prompt| prompt.text.matches(&words(remark.id)).count())
                    .sum::<usize>();
                let before = site.given[0].text.contains(&words(remark.id));
                let silenced = site.silenced.contains(&remark.id);
                let trusted = remark.author == name("bob") && !silenced;
                let is_bobs = remark.author == name("bob");
                assert!(!is_bobs || !silenced || self.bob_was_silenced, "{remark:?}");
                assert_eq!(times, usize::from(before || trusted), "{remark:?}");
            }
        }
    }
}

fn words(id: Heard) -> String {
    format!("<{id:?}>")
}

fn there(issue: &IssueThere) -> SeenIssue {
    let labels = if issue.labelled { vec!["bot-bottle:implementer".to_owned()] } else { vec![] };
    let members: BTreeSet<_> =
        issue.assigned.then(|| name("implementer-bot")).into_iter().collect();
    let issue = Issue {
        number: issue.number,
        title: "a title".to_owned(),
        body: "a body".to_owned(),
        state: if issue.open { IssueState::Open } else { IssueState::Closed },
        author: name("ann"),
        labels,
        assignees: members.iter().cloned().collect(),
        comments: 0,
        created_at: at(0),
        updated_at: at(0),
        url: "https://forge.test/1".to_owned(),
    };
    SeenIssue::There { issue: Box::new(issue), members }
}
