//! From what was seen on the forge to what becomes of it: [`decide`].
//!
//! A webhook is a hint that something about an issue changed. The shell reads what is there now (a
//! [`Sight`]); this module judges it. The same sight leads to the same verdict however often and in
//! whatever order its hints came.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use protocol::{
    ids::{AgentName, BranchName, IssueNumber, Login, ProfileName, RepoName},
    item::{Issue, IssueState, Permission, PullState},
};

use crate::{
    bottle::{Bottle, Heard, Origin, Prompt, Reason, State},
    event::Event,
    prompt,
};

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
}

/// The issue of a [`Sight`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SeenIssue {
    /// Not there, or not to be seen.
    Gone,
    /// There is none: a pull request's number, or a bottle without an issue.
    None,
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

/// Why nothing is done. Each is a sentence for `orchestrate`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Why {
    /// Not served.
    #[error("the repository is not on the list of served repositories")]
    RepoNotServed,
    /// Nothing can be written.
    #[error("the repository is archived")]
    Archived,
    /// The default branch cannot be used.
    #[error("the repository's default branch has a name with characters that are not accepted")]
    BadBase,
    /// A pull request that no bottle opened.
    #[error("it is not an issue, and no bottle's pull request")]
    NotOurs,
    /// Not there.
    #[error("the issue is gone")]
    Gone,
    /// Closed.
    #[error("the issue is closed")]
    Closed,
    /// No agent is asked for.
    #[error("no label asks for an agent")]
    NoLabel,
    /// More than one agent is asked for.
    #[error("labels ask for more than one agent: {0:?}")]
    TwoAgents(String),
    /// A label names something that is not configured.
    #[error("there is no agent {0:?}")]
    UnknownAgent(String),
    /// A label names something that is not configured.
    #[error("there is no bottle profile {0:?}")]
    UnknownProfile(String),
    /// Nobody from the organisation is assigned.
    #[error("no assignee is a member of the agent organisation")]
    NoMember,
    /// Its bottle has ended, and nobody has asked anew.
    #[error("its last bottle has ended ({0}); take the label off and set it again for another one")]
    Spent(&'static str),
    /// The operator's emergency stop.
    #[error("the kill switch is on")]
    KillSwitch,
    /// All as it should be.
    #[error("nothing new")]
    NothingNew,
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
    if let Some(reason) = unwanted(rules, sight, bottle) {
        return Verdict::Tell(Event::Cancel { reason });
    }
    if !rules.repos.contains(&bottle.home.repo) {
        return Verdict::Nothing(Why::RepoNotServed);
    }
    let new: Vec<&Remark> = sight
        .remarks
        .iter()
        .filter(|remark| {
            !rules.own_logins.contains(&remark.author) && !bottle.heard.contains(&remark.id)
        })
        .collect();
    if new.is_empty() {
        return Verdict::Nothing(Why::NothingNew);
    }
    if rules.kill_switch {
        return Verdict::Nothing(Why::KillSwitch);
    }
    let trusted = new.iter().filter(|remark| remark.permission >= Permission::Write);
    let prompts = trusted.map(|remark| prompt::for_remark(remark)).collect();
    // Strangers' remarks count as heard, so that a permission given later does not wake them up.
    Verdict::Tell(Event::Wake { prompts, heard: new.iter().map(|remark| remark.id).collect() })
}

/// Why a live bottle must end, if it must.
fn unwanted(rules: &Rules, sight: &Sight, bottle: &Bottle) -> Option<Reason> {
    let open_pull = sight.pulls.iter().any(|(_, state)| *state == Some(PullState::Open));
    let last_pull = sight.pulls.last().map(|(_, state)| *state);
    match last_pull {
        Some(Some(PullState::Merged)) => return Some(Reason::Merged),
        Some(Some(PullState::Closed)) => return Some(Reason::PullClosed),
        Some(None) => return Some(Reason::Gone),
        Some(Some(PullState::Open)) | None => {}
    }
    match (&sight.issue, bottle.home.origin) {
        (SeenIssue::Gone, _) => Some(Reason::Gone),
        (SeenIssue::None, _) | (_, Origin::Operator) => None,
        // A merge that "closes #1" closes the issue too; the pull request decides then.
        (SeenIssue::There { issue, .. }, Origin::Issue) if issue.state == IssueState::Closed => {
            (!open_pull).then_some(Reason::IssueClosed)
        }
        (SeenIssue::There { issue, members }, Origin::Issue) => {
            let own = format!("{}{}", rules.agent_label, bottle.agent);
            if !issue.labels.contains(&own) {
                return Some(Reason::Unlabelled);
            }
            members.is_empty().then_some(Reason::Unassigned)
        }
    }
}

fn decide_ended(rules: &Rules, sight: &Sight, bottle: &Bottle) -> Verdict {
    let State::Destroyed { reason, released, .. } = bottle.state else {
        return Verdict::Nothing(Why::NothingNew);
    };
    match wanted(rules, sight) {
        Ok(_) if !released => Verdict::Nothing(Why::Spent(reason.sentence())),
        Ok(launch) => Verdict::Launch(Box::new(launch)),
        // Only people's own doing releases it: a change of our configuration that is taken back
        // must not bring all ended bottles to life.
        Err(Why::Gone | Why::Closed | Why::NoLabel | Why::NoMember) if !released => {
            Verdict::Tell(Event::Released {})
        }
        Err(why) => Verdict::Nothing(why),
    }
}

/// The bottle that an issue asks for, or the first rule that it fails.
fn wanted(rules: &Rules, sight: &Sight) -> Result<Launch, Why> {
    if !rules.repos.contains(&sight.repo) {
        return Err(Why::RepoNotServed);
    }
    let (issue, members) = match &sight.issue {
        SeenIssue::Gone => return Err(Why::Gone),
        SeenIssue::None => return Err(Why::NotOurs),
        SeenIssue::There { issue, members } => (issue, members),
    };
    let (agent, profiles) = asked_for(rules, &issue.labels)?;
    if issue.state == IssueState::Closed {
        return Err(Why::Closed);
    }
    if members.is_empty() {
        return Err(Why::NoMember);
    }
    if sight.archived {
        return Err(Why::Archived);
    }
    let base = sight.base.clone().ok_or(Why::BadBase)?;
    if rules.kill_switch {
        return Err(Why::KillSwitch);
    }
    let prompt = prompt::for_issue(issue, &sight.remarks);
    let heard = sight.remarks.iter().map(|remark| remark.id).collect();
    Ok(Launch { issue: issue.number, agent, profiles, base, prompt, heard })
}

/// The agent and the profiles that labels name.
fn asked_for(rules: &Rules, labels: &[String]) -> Result<(AgentName, Vec<ProfileName>), Why> {
    let named = |prefix: &str| -> BTreeSet<String> {
        labels.iter().filter_map(|label| label.strip_prefix(prefix)).map(str::to_owned).collect()
    };
    let agents = named(&rules.agent_label);
    let name = match agents.first() {
        None => return Err(Why::NoLabel),
        Some(_) if agents.len() > 1 => {
            return Err(Why::TwoAgents(agents.into_iter().collect::<Vec<_>>().join(", ")));
        }
        Some(name) => name,
    };
    let known = name.parse().ok().and_then(|agent| rules.agents.get_key_value(&agent));
    let (agent, own_profiles) = known.ok_or_else(|| Why::UnknownAgent(name.clone()))?;
    let mut profiles = Vec::new();
    for name in named(&rules.profile_label) {
        let profile = name.parse().ok().filter(|profile| rules.profiles.contains(profile));
        profiles.push(profile.ok_or(Why::UnknownProfile(name))?);
    }
    if profiles.is_empty() {
        profiles.clone_from(own_profiles);
    }
    Ok((agent.clone(), profiles))
}

/// Whose turn it is when slots are free: the longest waiting first, as many as there are slots.
pub fn admit<'a>(bottles: impl Iterator<Item = &'a Bottle> + Clone, slots: u32) -> Vec<&'a Bottle> {
    let used = bottles.clone().filter(|bottle| bottle.uses_slot()).count();
    let free = usize::try_from(slots).unwrap_or(usize::MAX).saturating_sub(used);
    let mut waiting: Vec<_> = bottles
        .filter_map(|bottle| Some((bottle.wants_slot_since()?, bottle.serial, bottle)))
        .collect();
    waiting.sort_by_key(|(since, serial, _)| (*since, *serial));
    waiting.into_iter().take(free).map(|(_, _, bottle)| bottle).collect()
}
