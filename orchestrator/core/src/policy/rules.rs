//! The rules themselves, each one function, in the order in which they are asked.

use std::collections::BTreeSet;

use protocol::{
    ids::{AgentName, ProfileName},
    item::{Issue, IssueState, PullState},
};

use super::{Rules, SeenIssue, Sight, Why};
use crate::bottle::{Bottle, Origin, Reason};

/// What one rule finds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Judged {
    /// It holds; what was seen.
    Holds(String),
    /// It forbids a start or a waking.
    Refuses(Why),
    /// It ends a live bottle.
    Ends(Reason),
    /// A rule before it does not hold, so that this one cannot be judged.
    Unknown,
}

/// A rule of what is to get a bottle.
pub(super) type LaunchRule = fn(&Rules, &Sight) -> Judged;
/// A rule of what a live bottle must keep to.
pub(super) type LifeRule = fn(&Rules, &Sight, &Bottle) -> Judged;

/// What an issue without a live bottle must fulfil.
pub(super) const LAUNCH: [(&str, LaunchRule); 12] = [
    ("repo_served", repo_served),
    ("repo_named", repo_named),
    ("issue_there", issue_there),
    ("issue_by_others", issue_by_others),
    ("agent_labelled", agent_labelled),
    ("agent_known", agent_known),
    ("profiles_known", profiles_known),
    ("issue_open", issue_open),
    ("member_assigned", member_assigned),
    ("repo_writable", repo_writable),
    ("base_accepted", base_accepted),
    ("kill_switch_off", kill_switch_off),
];

/// What a live bottle must fulfil to go on; the first that does not hold decides.
pub(super) const LIFE: [(&str, LifeRule); 8] = [
    ("pull_request_open", pull_open),
    ("issue_there", bottle_issue_there),
    ("issue_open", bottle_issue_open),
    ("agent_labelled", own_label),
    ("member_assigned", still_assigned),
    ("repo_served", |rules, sight, _| repo_served(rules, sight)),
    ("repo_named", |rules, sight, _| repo_named(rules, sight)),
    ("repo_writable", |rules, sight, _| repo_writable(rules, sight)),
];

/// The first rule that keeps an issue from getting a bottle.
pub(super) fn refusal(rules: &Rules, sight: &Sight) -> Result<(), Why> {
    for (_, rule) in LAUNCH {
        if let Judged::Refuses(why) = rule(rules, sight) {
            return Err(why);
        }
    }
    Ok(())
}

/// Why a live bottle must end, if it must.
pub(super) fn end(rules: &Rules, sight: &Sight, bottle: &Bottle) -> Option<Reason> {
    LIFE.into_iter().find_map(|(_, rule)| match rule(rules, sight, bottle) {
        Judged::Ends(reason) => Some(reason),
        Judged::Holds(_) | Judged::Refuses(_) | Judged::Unknown => None,
    })
}

/// Why a live bottle is told nothing, if it is not.
pub(super) fn pause(rules: &Rules, sight: &Sight, bottle: &Bottle) -> Option<Why> {
    LIFE.into_iter().find_map(|(_, rule)| match rule(rules, sight, bottle) {
        Judged::Refuses(why) => Some(why),
        Judged::Holds(_) | Judged::Ends(_) | Judged::Unknown => None,
    })
}

/// The agent that labels name.
pub(super) fn agent(rules: &Rules, issue: &Issue) -> Result<AgentName, Why> {
    let asked = asked_agent(rules, issue)?;
    let known = asked.parse().ok().filter(|agent| rules.agents.contains_key(agent));
    known.ok_or(Why::UnknownAgent(asked))
}

/// The profiles that labels name, or else the agent's own.
pub(super) fn profiles(
    rules: &Rules,
    issue: &Issue,
    agent: &AgentName,
) -> Result<Vec<ProfileName>, Why> {
    let mut profiles = Vec::new();
    for name in named(&rules.profile_label, &issue.labels) {
        let profile = name.parse().ok().filter(|profile| rules.profiles.contains(profile));
        profiles.push(profile.ok_or(Why::UnknownProfile(name))?);
    }
    if profiles.is_empty() {
        profiles = rules.agents.get(agent).cloned().unwrap_or_default();
    }
    Ok(profiles)
}

/// Whether people have taken back what they asked for: the issue, the label or the assignment. To
/// close an issue is no such word: who may reopen it need not be one who may ask for a bottle.
pub(super) fn is_taken_back(rules: &Rules, sight: &Sight) -> bool {
    match &sight.issue {
        SeenIssue::Gone => true,
        SeenIssue::None | SeenIssue::Elsewhere(_) => false,
        SeenIssue::There { issue, members } => {
            members.is_empty() || named(&rules.agent_label, &issue.labels).is_empty()
        }
    }
}

fn repo_served(rules: &Rules, sight: &Sight) -> Judged {
    if rules.repos.contains(&sight.repo) {
        return Judged::Holds(format!("{} is served", sight.repo));
    }
    Judged::Refuses(Why::RepoNotServed)
}

fn repo_named(_: &Rules, sight: &Sight) -> Judged {
    match &sight.issue {
        SeenIssue::Elsewhere(name) => Judged::Refuses(Why::Renamed(name.clone())),
        SeenIssue::Gone | SeenIssue::None | SeenIssue::There { .. } => {
            Judged::Holds("the repository has that name".to_owned())
        }
    }
}

fn repo_writable(_: &Rules, sight: &Sight) -> Judged {
    match (&sight.issue, sight.archived) {
        (SeenIssue::Elsewhere(_), _) => Judged::Unknown,
        (_, true) => Judged::Refuses(Why::Archived),
        (_, false) => Judged::Holds("the repository is not archived".to_owned()),
    }
}

fn issue_there(_: &Rules, sight: &Sight) -> Judged {
    match &sight.issue {
        SeenIssue::There { issue, .. } => Judged::Holds(format!("#{} is an issue", issue.number)),
        SeenIssue::Gone => Judged::Refuses(Why::Gone),
        SeenIssue::None => Judged::Refuses(Why::NotOurs),
        SeenIssue::Elsewhere(_) => Judged::Unknown,
    }
}

/// An agent that could open, label and assign issues would go on for ever.
fn issue_by_others(rules: &Rules, sight: &Sight) -> Judged {
    of_issue(sight, |issue| match rules.is_ours(&issue.author) {
        true => Err(Why::OwnIssue),
        false => Ok(format!("the issue was opened by {}", issue.author)),
    })
}

fn agent_labelled(rules: &Rules, sight: &Sight) -> Judged {
    of_issue(sight, |issue| {
        let agent = asked_agent(rules, issue)?;
        Ok(format!("the label asks for {agent:?}"))
    })
}

fn agent_known(rules: &Rules, sight: &Sight) -> Judged {
    of_issue(sight, |issue| Ok(format!("there is an agent {}", agent(rules, issue)?)))
        .unless(|why| matches!(why, Why::NoLabel | Why::TwoAgents(_)))
}

fn profiles_known(rules: &Rules, sight: &Sight) -> Judged {
    of_issue(sight, |issue| {
        let profiles = profiles(rules, issue, &agent(rules, issue)?)?;
        let names: Vec<&str> = profiles.iter().map(ProfileName::as_str).collect();
        Ok(format!("its bottle profiles: {}", names.join(", ")))
    })
    .unless(|why| !matches!(why, Why::UnknownProfile(_)))
}

fn issue_open(_: &Rules, sight: &Sight) -> Judged {
    of_issue(sight, |issue| match issue.state {
        IssueState::Open => Ok("the issue is open".to_owned()),
        IssueState::Closed => Err(Why::Closed),
    })
}

fn member_assigned(_: &Rules, sight: &Sight) -> Judged {
    match members(sight) {
        Some(members) if members.is_empty() => Judged::Refuses(Why::NoMember),
        Some(members) => Judged::Holds(format!("assigned to {}", members.join(", "))),
        None => Judged::Unknown,
    }
}

fn base_accepted(_: &Rules, sight: &Sight) -> Judged {
    match (&sight.issue, &sight.base) {
        (SeenIssue::Elsewhere(_), _) => Judged::Unknown,
        (_, Some(base)) => Judged::Holds(format!("pull requests go to {base}")),
        (_, None) => Judged::Refuses(Why::BadBase),
    }
}

fn kill_switch_off(rules: &Rules, _: &Sight) -> Judged {
    if rules.kill_switch {
        return Judged::Refuses(Why::KillSwitch);
    }
    Judged::Holds("the kill switch is off".to_owned())
}

/// The newest pull request decides.
fn pull_open(_: &Rules, sight: &Sight, _: &Bottle) -> Judged {
    match sight.pulls.last() {
        None => Judged::Holds("it has no pull request yet".to_owned()),
        Some((number, Some(PullState::Open))) => Judged::Holds(format!("#{number} is open")),
        Some((_, Some(PullState::Merged))) => Judged::Ends(Reason::Merged),
        Some((_, Some(PullState::Closed))) => Judged::Ends(Reason::PullClosed),
        Some((_, None)) => Judged::Ends(Reason::PullGone),
    }
}

fn bottle_issue_there(_: &Rules, sight: &Sight, _: &Bottle) -> Judged {
    match &sight.issue {
        SeenIssue::Gone => Judged::Ends(Reason::Gone),
        SeenIssue::None => Judged::Holds("it works without an issue".to_owned()),
        SeenIssue::There { issue, .. } => Judged::Holds(format!("#{} is there", issue.number)),
        SeenIssue::Elsewhere(_) => Judged::Unknown,
    }
}

/// A merge that "closes #1" closes the issue too; the pull request decides then.
fn bottle_issue_open(_: &Rules, sight: &Sight, bottle: &Bottle) -> Judged {
    let open_pull = sight.pulls.iter().any(|(_, state)| *state == Some(PullState::Open));
    match asking(sight, bottle) {
        Some(issue) if issue.state == IssueState::Open => {
            Judged::Holds("the issue is open".to_owned())
        }
        Some(_) if open_pull => {
            Judged::Holds("the issue is closed, its pull request open".to_owned())
        }
        Some(_) => Judged::Ends(Reason::IssueClosed),
        None => Judged::Unknown,
    }
}

fn own_label(rules: &Rules, sight: &Sight, bottle: &Bottle) -> Judged {
    let own = format!("{}{}", rules.agent_label, bottle.agent);
    match open_issue(sight, bottle) {
        Some(issue) if issue.labels.contains(&own) => {
            Judged::Holds(format!("the label {own} is set"))
        }
        Some(_) => Judged::Ends(Reason::Unlabelled),
        None => Judged::Unknown,
    }
}

fn still_assigned(_: &Rules, sight: &Sight, bottle: &Bottle) -> Judged {
    match (open_issue(sight, bottle), members(sight)) {
        (Some(_), Some(members)) if members.is_empty() => Judged::Ends(Reason::Unassigned),
        (Some(_), Some(members)) => Judged::Holds(format!("assigned to {}", members.join(", "))),
        _ => Judged::Unknown,
    }
}

/// The issue whose labels, assignees and state a bottle lives by.
fn asking<'a>(sight: &'a Sight, bottle: &Bottle) -> Option<&'a Issue> {
    match (&sight.issue, bottle.home.origin) {
        (SeenIssue::There { issue, .. }, Origin::Issue) => Some(issue),
        _ => None,
    }
}

/// The same, while it is open: a closed one with an open pull request is not asked for its label.
fn open_issue<'a>(sight: &'a Sight, bottle: &Bottle) -> Option<&'a Issue> {
    asking(sight, bottle).filter(|issue| issue.state == IssueState::Open)
}

fn members(sight: &Sight) -> Option<Vec<&str>> {
    match &sight.issue {
        SeenIssue::There { members, .. } => {
            Some(members.iter().map(protocol::ids::Login::as_str).collect())
        }
        SeenIssue::Gone | SeenIssue::None | SeenIssue::Elsewhere(_) => None,
    }
}

fn of_issue(sight: &Sight, rule: impl FnOnce(&Issue) -> Result<String, Why>) -> Judged {
    match &sight.issue {
        SeenIssue::There { issue, .. } => rule(issue).map_or_else(Judged::Refuses, Judged::Holds),
        SeenIssue::Gone | SeenIssue::None | SeenIssue::Elsewhere(_) => Judged::Unknown,
    }
}

impl Judged {
    /// Nothing is known of this rule where another one refuses.
    fn unless(self, others: impl FnOnce(&Why) -> bool) -> Self {
        match self {
            Self::Refuses(why) if others(&why) => Self::Unknown,
            judged => judged,
        }
    }
}

fn asked_agent(rules: &Rules, issue: &Issue) -> Result<String, Why> {
    let mut agents = named(&rules.agent_label, &issue.labels);
    match agents.len() {
        0 => Err(Why::NoLabel),
        1 => agents.pop_first().ok_or(Why::NoLabel),
        _ => Err(Why::TwoAgents(agents.into_iter().collect::<Vec<_>>().join(", "))),
    }
}

fn named(prefix: &str, labels: &[String]) -> BTreeSet<String> {
    labels.iter().filter_map(|label| label.strip_prefix(prefix)).map(str::to_owned).collect()
}
