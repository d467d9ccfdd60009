//! Looking at the forge: what an issue, its pull requests and its remarks are right now.

use std::collections::{BTreeMap, BTreeSet};

use forge::{Forge, ForgeError};
use orchestrator_core::{
    bottle::{Bottle, Heard},
    policy::{Remark, SeenIssue, Sight},
};
use protocol::{
    ids::{IssueNumber, Login, RepoName},
    item::{Issue, Permission, PullState, Review, Verdict},
};

/// Who looks, and for whom.
#[derive(Debug, Clone, Copy)]
pub struct Whose<'a> {
    /// The forge, with the daemon's token.
    pub forge: &'a dyn Forge,
    /// The organisation whose members are agents.
    pub org: &'a Login,
    /// The daemon's own account.
    pub us: &'a Login,
}

/// Reads everything that a decision about `number` needs. `bottle` is the live bottle that the
/// number belongs to, if any.
///
/// # Errors
/// The forge's. An issue or pull request that is gone is part of the sight and no error. A
/// repository that is gone is an error: from here it looks the same as a permission that was taken
/// from us for a moment, and that must not end a bottle.
pub async fn look(
    whose: &Whose<'_>,
    repo: &RepoName,
    number: IssueNumber,
    bottle: Option<&Bottle>,
) -> Result<Sight, ForgeError> {
    let forge = whose.forge;
    let repository = forge.repository(repo).await?;
    let issue = match bottle {
        Some(bottle) => bottle.home.issue,
        None => Some(number),
    };
    let seen = match issue {
        Some(issue) => see_issue(whose, repo, issue).await?,
        None => SeenIssue::None,
    };
    let pulls = match bottle {
        Some(bottle) => own_pulls(forge, repo, bottle).await?,
        None => vec![],
    };
    let mut spoken = Vec::new();
    if let SeenIssue::There { issue, .. } = &seen {
        spoken.extend(comments(forge, repo, issue.number).await?);
    }
    for (pull, _) in pulls.iter().filter(|(_, state)| state.is_some()) {
        spoken.extend(comments(forge, repo, *pull).await?);
        spoken.extend(reviews(forge, repo, *pull).await?);
    }
    let remarks = with_permissions(forge, repo, bottle, spoken).await?;
    Ok(Sight {
        repo: repo.clone(),
        archived: repository.archived,
        base: repository.default_branch.parse().ok(),
        issue: seen,
        pulls,
        remarks,
    })
}

/// The pull requests that the bottle's sidecar told of, as far as they really are of its branch: a
/// compromised sidecar may name others.
async fn own_pulls(
    forge: &dyn Forge,
    repo: &RepoName,
    bottle: &Bottle,
) -> Result<Vec<(IssueNumber, Option<PullState>)>, ForgeError> {
    let mut pulls = Vec::new();
    for number in &bottle.pull_requests {
        match there(forge.read_pr(repo, *number).await)? {
            Some(pull) if pull.head_branch == bottle.home.branch.as_str() => {
                pulls.push((*number, Some(pull.state)));
            }
            Some(_) => tracing::warn!(slug = %bottle.slug, %number, "not of this bottle's branch"),
            None => pulls.push((*number, None)),
        }
    }
    Ok(pulls)
}

async fn see_issue(
    whose: &Whose<'_>,
    repo: &RepoName,
    number: IssueNumber,
) -> Result<SeenIssue, ForgeError> {
    let issue: Issue = match whose.forge.read_issue(repo, number).await {
        Ok(issue) => issue,
        Err(ForgeError::WrongKind { .. }) => return Ok(SeenIssue::None),
        Err(ForgeError::Gone { .. }) => return Ok(SeenIssue::Gone),
        Err(error) => return Err(error),
    };
    let mut members = BTreeSet::new();
    for assignee in &issue.assignees {
        if whose.forge.is_org_member(whose.org, assignee).await? {
            members.insert(assignee.clone());
        }
    }
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
    Ok(SeenIssue::There { issue: Box::new(issue), members })
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
    // An approval without a word asks for nothing.
    let says_something = |review: &Review| {
        review.verdict == Verdict::ChangesRequested
            || !review.body.trim().is_empty()
            || !review.comments.is_empty()
    };
    let remark = |review: Review| Remark {
        id: Heard::Review(review.id),
        on,
        text: review_text(&review),
        author: review.author,
        permission: Permission::None,
        at: review.submitted_at,
    };
    Ok(reviews.into_iter().filter(says_something).map(remark).collect())
}

/// A review's text, each remark with its file and line.
fn review_text(review: &Review) -> String {
    let mut text = match review.verdict {
        Verdict::Approved => "Approved.".to_owned(),
        Verdict::ChangesRequested => "Changes requested.".to_owned(),
        Verdict::Commented | Verdict::Pending => String::new(),
    };
    let lines = review.comments.iter().map(|comment| {
        let line = comment.line.map(|line| format!(":{line}")).unwrap_or_default();
        format!("{}{line}: {}", comment.path, comment.body)
    });
    for part in
        std::iter::once(review.body.clone()).chain(lines).filter(|part| !part.trim().is_empty())
    {
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(&part);
    }
    text
}

/// Asks what the authors may do, each once, and only for what the bottle has not heard.
async fn with_permissions(
    forge: &dyn Forge,
    repo: &RepoName,
    bottle: Option<&Bottle>,
    mut remarks: Vec<Remark>,
) -> Result<Vec<Remark>, ForgeError> {
    let mut known: BTreeMap<Login, Permission> = BTreeMap::new();
    for remark in &mut remarks {
        let heard = bottle.is_none_or(|bottle| {
            bottle.heard.contains(&remark.id) || bottle.login == remark.author
        });
        if heard {
            continue;
        }
        remark.permission = match known.get(&remark.author) {
            Some(permission) => *permission,
            None => {
                let asked = forge.permission_of(repo, &remark.author).await?;
                *known.entry(remark.author.clone()).or_insert(asked)
            }
        };
    }
    remarks.sort_by_key(|remark| (remark.at, remark.id));
    Ok(remarks)
}

/// What is gone is a fact, not a failure.
fn there<T>(answer: Result<T, ForgeError>) -> Result<Option<T>, ForgeError> {
    match answer {
        Ok(found) => Ok(Some(found)),
        Err(ForgeError::Gone { .. } | ForgeError::WrongKind { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}
