//! Looking at the forge: what an issue, its pull requests and its remarks are right now.

use std::collections::{BTreeMap, BTreeSet};

use forge::{Forge, ForgeError};
use orchestrator_core::{
    bottle::{Bottle, Heard},
    policy::{Remark, SeenIssue, Sight},
};
use protocol::{
    ids::{IssueNumber, Login, RepoName},
    item::{Issue, Permission, Review, Verdict},
};

/// Reads everything that a decision about `number` needs. `bottle` is the live bottle that the
/// number belongs to, if any.
///
/// # Errors
/// The forge's; what is gone is part of the sight and no error.
pub async fn look(
    forge: &dyn Forge,
    org: &Login,
    repo: &RepoName,
    number: IssueNumber,
    bottle: Option<&Bottle>,
) -> Result<Sight, ForgeError> {
    let Some(repository) = there(forge.repository(repo).await)? else {
        return Ok(nothing(repo, SeenIssue::Gone));
    };
    let issue = match bottle {
        Some(bottle) => bottle.home.issue,
        None => Some(number),
    };
    let seen = match issue {
        Some(issue) => see_issue(forge, org, repo, issue).await?,
        None => SeenIssue::None,
    };
    let mut pulls = Vec::new();
    for pull in bottle.map(|bottle| bottle.pull_requests.clone()).unwrap_or_default() {
        pulls.push((pull, there(forge.read_pr(repo, pull).await)?.map(|found| found.state)));
    }
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
        repo: repository.name,
        archived: repository.archived,
        base: repository.default_branch.parse().ok(),
        issue: seen,
        pulls,
        remarks,
    })
}

fn nothing(repo: &RepoName, issue: SeenIssue) -> Sight {
    Sight { repo: repo.clone(), archived: false, base: None, issue, pulls: vec![], remarks: vec![] }
}

async fn see_issue(
    forge: &dyn Forge,
    org: &Login,
    repo: &RepoName,
    number: IssueNumber,
) -> Result<SeenIssue, ForgeError> {
    let issue: Issue = match forge.read_issue(repo, number).await {
        Ok(issue) => issue,
        Err(ForgeError::WrongKind { .. }) => return Ok(SeenIssue::None),
        Err(ForgeError::Gone { .. }) => return Ok(SeenIssue::Gone),
        Err(error) => return Err(error),
    };
    let mut members = BTreeSet::new();
    for assignee in &issue.assignees {
        if forge.is_org_member(org, assignee).await? {
            members.insert(assignee.clone());
        }
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
