//! Looking at the forge: what an issue, its pull requests and its remarks are right now.

mod people;
mod pulls;

use std::collections::BTreeSet;

use forge::{Forge, ForgeError, Repository};
use futures_util::future::try_join_all;
use orchestrator_core::{
    bottle::{Bottle, Heard},
    policy::{Remark, SeenIssue, Sight},
};
use protocol::{
    ids::{IssueNumber, Login, RepoName},
    item::{Issue, Permission, PullState, Review, ReviewComment, Verdict},
};

pub use pulls::owner_by_branch;

/// Who looks, and for whom.
#[derive(Debug, Clone, Copy)]
pub struct Whose<'a> {
    /// The forge, with the daemon's token.
    pub forge: &'a dyn Forge,
    /// The organisation whose members are agents.
    pub org: &'a Login,
    /// The daemon's own account.
    pub us: &'a Login,
    /// Labels that ask for an agent begin with this.
    pub label: &'a str,
}

/// What a look is about.
#[derive(Debug, Clone, Copy)]
pub struct Target<'a> {
    /// The repository.
    pub repo: &'a RepoName,
    /// The issue or pull request.
    pub number: IssueNumber,
    /// The live bottle that the number belongs to, if any.
    pub bottle: Option<&'a Bottle>,
}

/// What was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// For [`orchestrator_core::policy::decide`].
    pub sight: Sight,
    /// Numbers that are pull requests of the bottle's branch, by the forge's word, and were not
    /// known as such.
    pub ours: Vec<IssueNumber>,
    /// Numbers that its sidecar claimed and that are not.
    pub foreign: Vec<IssueNumber>,
    /// Not all that was said could be judged in one look.
    pub more: bool,
}

/// Reads everything that a decision needs. An issue that asks for nothing, and has no bottle, is
/// read no further: anybody may open thousands.
///
/// # Errors
/// The forge's. An issue or pull request that is gone is part of the sight and no error. A
/// repository that is gone is an error: from here it looks the same as a permission that was taken
/// from us for a moment, and that must not end a bottle. One that was renamed is part of the sight.
pub async fn look(whose: &Whose<'_>, target: Target<'_>) -> Result<Seen, ForgeError> {
    let Target { repo, number, bottle } = target;
    let issue = bottle.map_or(Some(number), |bottle| bottle.home.issue);
    let read = tokio::try_join!(
        whose.forge.repository(repo),
        see_issue(whose, target, issue),
        pulls::look(whose.forge, target),
    );
    let (repository, issue, pulls) = match read {
        Ok(read) => read,
        Err(error) => return moved(whose.forge, repo, error).await,
    };
    let spoken = match bottle.is_some() || asks(whose, &issue) {
        true => spoken(whose.forge, repo, &issue, &pulls.states).await?,
        false => vec![],
    };
    let people::Judged { remarks, more } = people::judge(whose.forge, target, spoken).await?;
    let Repository { archived, default_branch, .. } = repository;
    let sight = Sight {
        repo: repo.clone(),
        archived,
        base: default_branch.parse().ok(),
        issue,
        pulls: pulls.states,
        remarks,
    };
    Ok(Seen { sight, ours: pulls.ours, foreign: pulls.foreign, more })
}

/// A repository that has another name now: nothing else is known of it.
async fn moved(forge: &dyn Forge, repo: &RepoName, error: ForgeError) -> Result<Seen, ForgeError> {
    let may_be = matches!(error, ForgeError::Gone { .. } | ForgeError::BadAnswer { .. });
    let name = if may_be { forge.new_name(repo).await.ok().flatten() } else { None };
    let Some(name) = name else { return Err(error) };
    let sight = Sight {
        repo: repo.clone(),
        archived: false,
        base: None,
        issue: SeenIssue::Elsewhere(name),
        pulls: vec![],
        remarks: vec![],
    };
    Ok(Seen { sight, ours: vec![], foreign: vec![], more: false })
}

/// Whether an issue asks for an agent.
fn asks(whose: &Whose<'_>, issue: &SeenIssue) -> bool {
    match issue {
        SeenIssue::There { issue, .. } => is_asking(whose, issue),
        SeenIssue::Gone | SeenIssue::None | SeenIssue::Elsewhere(_) => false,
    }
}

fn is_asking(whose: &Whose<'_>, issue: &Issue) -> bool {
    issue.labels.iter().any(|label| label.starts_with(whose.label))
}

async fn see_issue(
    whose: &Whose<'_>,
    target: Target<'_>,
    number: Option<IssueNumber>,
) -> Result<SeenIssue, ForgeError> {
    let Some(number) = number else { return Ok(SeenIssue::None) };
    let issue: Issue = match whose.forge.read_issue(target.repo, number).await {
        Ok(issue) => issue,
        Err(ForgeError::WrongKind { .. }) => return Ok(SeenIssue::None),
        Err(ForgeError::Gone { .. }) => return Ok(SeenIssue::Gone),
        Err(error) => return Err(error),
    };
    let members = match target.bottle.is_some() || is_asking(whose, &issue) {
        true => members(whose, &issue).await?,
        false => BTreeSet::new(),
    };
    Ok(SeenIssue::There { issue: Box::new(issue), members })
}

async fn members(whose: &Whose<'_>, issue: &Issue) -> Result<BTreeSet<Login>, ForgeError> {
    let asked = issue.assignees.iter().map(async |assignee| {
        let is_member = whose.forge.is_org_member(whose.org, assignee).await?;
        Ok::<_, ForgeError>(is_member.then(|| assignee.clone()))
    });
    let members: BTreeSet<Login> = try_join_all(asked).await?.into_iter().flatten().collect();
    // "Not a member" and "you may not see" are one answer: it counts only from somebody who sees.
    if members.is_empty()
        && !issue.assignees.is_empty()
        && !whose.forge.is_org_member(whose.org, whose.us).await?
    {
        return Err(ForgeError::NoPermission {
            what: format!("see the members of {}", whose.org),
            message: format!("make {} a member of it", whose.us),
        });
    }
    Ok(members)
}

/// Everything that was said on an issue and its pull requests.
async fn spoken(
    forge: &dyn Forge,
    repo: &RepoName,
    issue: &SeenIssue,
    pulls: &[(IssueNumber, Option<PullState>)],
) -> Result<Vec<Remark>, ForgeError> {
    let on_issue = async {
        match issue {
            SeenIssue::There { issue, .. } => comments(forge, repo, issue.number).await,
            SeenIssue::Gone | SeenIssue::None | SeenIssue::Elsewhere(_) => Ok(vec![]),
        }
    };
    let there = pulls.iter().filter(|(_, state)| state.is_some()).map(|(pull, _)| *pull);
    let on_pulls = try_join_all(there.map(async |pull| {
        tokio::try_join!(comments(forge, repo, pull), reviews(forge, repo, pull))
    }));
    let (mut spoken, on_pulls) = tokio::try_join!(on_issue, on_pulls)?;
    spoken.extend(
        on_pulls.into_iter().flat_map(|(comments, reviews)| comments.into_iter().chain(reviews)),
    );
    Ok(spoken)
}

async fn comments(
    forge: &dyn Forge,
    repo: &RepoName,
    on: IssueNumber,
) -> Result<Vec<Remark>, ForgeError> {
    let comments = there(forge.read_comments(repo, on).await)?.unwrap_or_default();
    let remark = |comment: protocol::item::Comment| Remark {
        id: Heard::Comment(comment.id),
        on,
        author: comment.author,
        permission: Permission::None,
        text: comment.body,
        at: comment.created_at,
    };
    Ok(comments.into_iter().map(remark).collect())
}

async fn reviews(
    forge: &dyn Forge,
    repo: &RepoName,
    on: IssueNumber,
) -> Result<Vec<Remark>, ForgeError> {
    let reviews = there(forge.read_reviews(repo, on).await)?.unwrap_or_default();
    Ok(reviews.into_iter().flat_map(|review| review_remarks(on, review)).collect())
}

/// A review's own words, and each remark on a line as one of its own: it may be an answer that came
/// later and by somebody else, whose rights are not the reviewer's.
fn review_remarks(on: IssueNumber, review: Review) -> Vec<Remark> {
    let at = review.submitted_at;
    let remark =
        |id, author, text| Remark { id, on, author, permission: Permission::None, text, at };
    // An approval without a word asks for nothing.
    let speaks = review.verdict == Verdict::ChangesRequested || !review.body.trim().is_empty();
    let own =
        speaks.then(|| remark(Heard::Review(review.id), review.author.clone(), said(&review)));
    let lines = review.comments.into_iter().filter(|line| !line.body.trim().is_empty());
    let lines = lines.map(|line| {
        let text = on_line(&line);
        remark(Heard::Line(line.id), line.author, text)
    });
    own.into_iter().chain(lines).collect()
}

fn said(review: &Review) -> String {
    let verdict = match review.verdict {
        Verdict::Approved => "Approved.",
        Verdict::ChangesRequested => "Changes requested.",
        Verdict::Commented | Verdict::Pending => "",
    };
    let parts = [verdict, review.body.as_str()];
    parts.into_iter().filter(|part| !part.trim().is_empty()).collect::<Vec<_>>().join("\n")
}

/// A remark with its file and line.
fn on_line(comment: &ReviewComment) -> String {
    let line = comment.line.map(|line| format!(":{line}")).unwrap_or_default();
    format!("{}{line}: {}", comment.path, comment.body)
}

/// What is gone is a fact, not a failure.
fn there<T>(answer: Result<T, ForgeError>) -> Result<Option<T>, ForgeError> {
    match answer {
        Ok(found) => Ok(Some(found)),
        Err(ForgeError::Gone { .. } | ForgeError::WrongKind { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}
