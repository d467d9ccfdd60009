//! From what was seen on the forge to what becomes of it: [`decide`].
//!
//! A webhook is a hint that something about an issue changed. The shell reads what is there now (a
//! [`Sight`]); this module judges it. The same sight leads to the same verdict however often and in
//! whatever order its hints came.
//!
//! Each rule is one function of `rules`; [`decide`] stops at the first that says no, [`explain`] asks
//! all of them.

mod explain;
mod rules;
mod why;

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use protocol::{
    ids::{AgentName, BranchName, IssueNumber, Login, ProfileName, RepoName},
    item::{Issue, Permission, PullState},
};

use crate::{
    bottle::{Bottle, Heard, Prompt, State},
    event::Event,
    prompt,
};

pub use explain::{Check, Finding, explain};
pub use why::Why;

/// What the configuration allows, as the pure half needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// A label `<this><agent>` asks for an agent; normally `bot-bottle:`.
    pub agent_label: String,
    /// A label `<this><profile>` picks a profile; normally `bot-bottle-bottle:`.
    pub profile_label: String,
    /// The repositories that are served.
    pub repos: BTreeSet<RepoName>,
    /// The agents that there are, with their own profiles.
    pub agents: BTreeMap<AgentName, Vec<ProfileName>>,
    /// The profiles that there are.
    pub profiles: BTreeSet<ProfileName>,
    /// Our own accounts: nothing that they do wakes anybody.
    pub own_logins: BTreeSet<Login>,
    /// Nothing new is started while it is on.
    pub kill_switch: bool,
}

impl Rules {
    /// Whether an account is one of ours. Forges do not tell case apart, configurations do.
    pub fn is_ours(&self, login: &Login) -> bool {
        self.own_logins.iter().any(|own| own.as_str().eq_ignore_ascii_case(login.as_str()))
    }
}

/// What was seen of one issue or of one bottle's pull request, read from the forge just now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sight {
    /// The repository.
    pub repo: RepoName,
    /// Nothing can be written to it.
    pub archived: bool,
    /// Its default branch, where that has a name that we accept.
    pub base: Option<BranchName>,
    /// The issue.
    pub issue: SeenIssue,
    /// The bottle's pull requests; `None` for one that is gone.
    pub pulls: Vec<(IssueNumber, Option<PullState>)>,
    /// What people have said on them, oldest first.
    pub remarks: Vec<Remark>,
    /// What people may do in the repository now: at least those who made the remarks that the bottle
    /// is still to be told of ([`Bottle::authors`]).
    pub permissions: BTreeMap<Login, Permission>,
}

/// The issue of a [`Sight`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SeenIssue {
    /// Not there, or not to be seen.
    Gone,
    /// There is none: a pull request's number, or a bottle without an issue.
    None,
    /// Its repository is served under a name that it does not have any more; this is the new one.
    Elsewhere(RepoName),
    /// As it stands.
    There {
        /// Itself.
        issue: Box<Issue>,
        /// Those of its assignees that are members of the agent organisation now.
        members: BTreeSet<Login>,
    },
}

/// A comment or a review.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remark {
    /// Which.
    pub id: Heard,
    /// On which issue or pull request.
    pub on: IssueNumber,
    /// By whom.
    pub author: Login,
    /// What the author may do in the repository now.
    pub permission: Permission,
    /// What is said, with file and line where it has one.
    pub text: String,
    /// When.
    pub at: Timestamp,
}

/// What becomes of a sight.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Make a bottle.
    Launch(Box<Launch>),
    /// Tell the bottle.
    Tell(Event),
    /// Nothing, for this reason.
    Nothing(Why),
}

/// What a new bottle starts with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Launch {
    /// The issue.
    pub issue: IssueNumber,
    /// The agent.
    pub agent: AgentName,
    /// Its profiles.
    pub profiles: Vec<ProfileName>,
    /// Where its pull request goes.
    pub base: BranchName,
    /// The issue and what was said on it.
    pub prompt: Prompt,
    /// What is part of the prompt, or was said before.
    pub heard: Vec<Heard>,
}

/// Judges a sight. `bottle` is the live bottle of the issue, or the last one that it had.
pub fn decide(rules: &Rules, sight: &Sight, bottle: Option<&Bottle>) -> Verdict {
    match bottle {
        Some(live) if live.is_live() => decide_live(rules, sight, live),
        Some(ended) => decide_ended(rules, sight, ended),
        None => wanted(rules, sight)
            .map_or_else(Verdict::Nothing, |launch| Verdict::Launch(Box::new(launch))),
    }
}

fn decide_live(rules: &Rules, sight: &Sight, bottle: &Bottle) -> Verdict {
    if let Some(reason) = rules::end(rules, sight, bottle) {
        return Verdict::Tell(Event::Cancel { reason });
    }
    if let Some(why) = rules::pause(rules, sight, bottle) {
        return Verdict::Nothing(why);
    }
    let new = new_remarks(rules, sight, bottle);
    if new.is_empty() {
        return Verdict::Nothing(Why::NothingNew);
    }
    if rules.kill_switch {
        return Verdict::Nothing(Why::KillSwitch);
    }
    let prompts = new.iter().filter(|remark| is_trusted(remark)).map(|r| prompt::for_remark(r));
    let prompts = prompts.collect();
    // Strangers' remarks count as heard, so that a permission given later does not wake them up.
    Verdict::Tell(Event::Wake { prompts, heard: new.iter().map(|remark| remark.id).collect() })
}

/// What was said since the bottle last heard, but for what we said ourselves.
fn new_remarks<'a>(rules: &Rules, sight: &'a Sight, bottle: &Bottle) -> Vec<&'a Remark> {
    let is_new =
        |remark: &&Remark| !rules.is_ours(&remark.author) && !bottle.heard.contains(&remark.id);
    sight.remarks.iter().filter(is_new).collect()
}

/// Whose words may wake an agent: those who may push now.
fn is_trusted(remark: &Remark) -> bool {
    may_speak(remark.permission)
}

fn may_speak(permission: Permission) -> bool {
    permission >= Permission::Write
}

/// Remarks that wait to be told although their authors may not push any more.
pub fn rights_lost(sight: &Sight, bottle: &Bottle) -> Vec<Heard> {
    let sayings = bottle.waiting.iter().filter_map(|prompt| prompt.saying.as_ref());
    // Who is not in the sight spoke while the forge was read, and was judged by another look.
    let lost = sayings.filter(|saying| {
        sight.permissions.get(&saying.author).is_some_and(|permission| !may_speak(*permission))
    });
    lost.map(|saying| saying.id).collect()
}

fn decide_ended(rules: &Rules, sight: &Sight, bottle: &Bottle) -> Verdict {
    let State::Destroyed { reason, released, .. } = bottle.state else {
        return Verdict::Nothing(Why::NothingNew);
    };
    // Only people's own doing releases it: a change of our configuration that is taken back must
    // not bring all ended bottles to life.
    if !released && rules.repos.contains(&sight.repo) && rules::is_taken_back(rules, sight) {
        return Verdict::Tell(Event::Released {});
    }
    match wanted(rules, sight) {
        Ok(_) if !released => Verdict::Nothing(Why::Spent(reason.sentence())),
        Ok(launch) => Verdict::Launch(Box::new(launch)),
        Err(why) => Verdict::Nothing(why),
    }
}

/// The bottle that an issue asks for, or the first rule that it fails.
fn wanted(rules: &Rules, sight: &Sight) -> Result<Launch, Why> {
    rules::refusal(rules, sight)?;
    let SeenIssue::There { issue, .. } = &sight.issue else { return Err(Why::NotOurs) };
    let agent = rules::agent(rules, issue)?;
    let profiles = rules::profiles(rules, issue, &agent)?;
    let base = sight.base.clone().ok_or(Why::BadBase)?;
    let prompt = prompt::for_issue(issue, &sight.remarks);
    let heard = sight.remarks.iter().map(|remark| remark.id).collect();
    Ok(Launch { issue: issue.number, agent, profiles, base, prompt, heard })
}
