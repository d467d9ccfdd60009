//! Looking at the forge: what an issue, its pull requests and its remarks are right now.

mod people;
mod pulls;

use std::collections::{BTreeMap, BTreeSet};

use forge::{Forge, ForgeError, Repository};
use futures_util::future::try_join_all;
use orchestrator_core::{
    bottle::{Bottle, Heard},
    policy::{Remark, SeenIssue, Sight},
};
use protocol::{
    ids::{IssueNumber, Login, RepoName},
    item::{Permission, PullState, Review, ReviewComment, Verdict},
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
#[derive(Debug)]
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
    /// Why the sight lacks pull requests or all that was said, if it does. What is there may end a
    /// bottle, and nothing else: nobody can keep one at work by a comment that is too long.
    pub unread: Option<ForgeError>,
}

/// Reads everything that a decision needs, side by side as far as it is known where to look. An
/// issue that asks for nothing, and has no bottle, is read no further: anybody may open thousands.
///
/// # Errors
/// The forge's, but for what keeps no bottle from its end ([`Seen::unread`]). An issue or pull
/// request that is gone is part of the sight and no error; one that is only hidden is not gone. A
/// repository that is gone is an error: from here it looks the same as a permission that was taken
/// from us for a moment, and that must not end a bottle. One that was renamed is part of the sight.
pub async fn look(whose: &Whose<'_>, target: Target<'_>) -> Result<Seen, ForgeError> {
    let Target { repo, number, bottle } = target;
    let issue = bottle.map_or(Some(number), |bottle| bottle.home.issue);
    let read = tokio::try_join!(
        whose.forge.repository(repo),
        see_issue(whose.forge, repo, issue),
        pulls::look(whose.forge, target),
        async { Ok(known_words(whose.forge, target).await) },
    );
    let (repository, mut issue, mut pulls, words) = match read {
        Ok(read) => read,
        Err(error) => return moved(whose.forge, repo, error).await,
    };
    let hidden = switched_off(whose.forge, &repository, &issue, &pulls).await?;
    if hidden.is_some() {
        pulls = pulls::Pulls::default();
    }
    let (members, judged) = match bottle.is_some() || asks(whose, &issue) {
        true => tokio::try_join!(members(whose, &issue), async {
            Ok(heard(whose.forge, target, &issue, &pulls.states, words).await)
        })?,
        false => (BTreeSet::new(), Ok(people::Judged::default())),
    };
    if let SeenIssue::There { members: seen, .. } = &mut issue {
        *seen = members;
    }
    let (judged, unheard) = judged
        .map_or_else(|error| (people::Judged::default(), Some(error)), |judged| (judged, None));
    let people::Judged { remarks, permissions, more } = judged;
    let Repository { archived, default_branch, .. } = repository;
    let sight = Sight {
        repo: repo.clone(),
        archived,
        base: default_branch.parse().ok(),
        issue,
        pulls: pulls.states,
        remarks,
        permissions,
    };
    let unread = hidden.or(unheard);
    Ok(Seen { sight, ours: pulls.ours, foreign: pulls.foreign, more, unread })
}

/// Why something that seemed gone may be there: a repository whose issues or pull requests are
/// switched off answers as if none were there. It must have been on `before` and must be after it
/// seemed so. Pull requests that are hidden are told of, since the issue may still end the bottle; a
/// hidden issue is an error.
async fn switched_off(
    forge: &dyn Forge,
    before: &Repository,
    issue: &SeenIssue,
    pulls: &pulls::Pulls,
) -> Result<Option<ForgeError>, ForgeError> {
    let no_issue = *issue == SeenIssue::Gone;
    let no_pull =
        !pulls.foreign.is_empty() || pulls.states.iter().any(|(_, state)| state.is_none());
    if !no_issue && !no_pull {
        return Ok(None);
    }
    let after = forge.repository(&before.name).await?;
    let off = |unit: &str| ForgeError::NoPermission {
        what: format!("read the {unit} of {}", before.name),
        message: "they are switched off in its settings".to_owned(),
    };
    if no_issue && !(before.has_issues && after.has_issues) {
        return Err(off("issues"));
    }
    let hides_pulls = !(before.has_pull_requests && after.has_pull_requests);
    Ok((no_pull && hides_pulls).then(|| off("pull requests")))
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
        permissions: BTreeMap::new(),
    };
    Ok(Seen { sight, ours: vec![], foreign: vec![], more: false, unread: None })
}

/// Whether an issue asks for an agent.
fn asks(whose: &Whose<'_>, issue: &SeenIssue) -> bool {
    match issue {
        SeenIssue::There { issue, .. } => {
            issue.labels.iter().any(|label| label.starts_with(whose.label))
        }
        SeenIssue::Gone | SeenIssue::None | SeenIssue::Elsewhere(_) => false,
    }
}

/// An issue, before anybody was asked who is a member.
async fn see_issue(
    forge: &dyn Forge,
    repo: &RepoName,
    number: Option<IssueNumber>,
) -> Result<SeenIssue, ForgeError> {
    let Some(number) = number else { return Ok(SeenIssue::None) };
    match forge.read_issue(repo, number).await {
        Ok(issue) => Ok(SeenIssue::There { issue: Box::new(issue), members: BTreeSet::new() }),
        Err(ForgeError::WrongKind { .. }) => Ok(SeenIssue::None),
        Err(ForgeError::Gone { .. }) => Ok(SeenIssue::Gone),
        Err(error) => Err(error),
    }
}

async fn members(whose: &Whose<'_>, issue: &SeenIssue) -> Result<BTreeSet<Login>, ForgeError> {
    let SeenIssue::There { issue, .. } = issue else { return Ok(BTreeSet::new()) };
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

/// What was said, and what those who said it may do.
async fn heard(
    forge: &dyn Forge,
    target: Target<'_>,
    issue: &SeenIssue,
    pulls: &[(IssueNumber, Option<PullState>)],
    known: Result<Words, ForgeError>,
) -> Result<people::Judged, ForgeError> {
    let spoken = spoken(forge, target.repo, issue, pulls, known?).await?;
    people::judge(forge, target, spoken).await
}

/// What was said, by where.
type Words = BTreeMap<IssueNumber, Vec<Remark>>;

/// What was said on the issue and the pull requests that a bottle is known to have.
async fn known_words(forge: &dyn Forge, target: Target<'_>) -> Result<Words, ForgeError> {
    let Target { repo, bottle: Some(bottle), .. } = target else { return Ok(Words::new()) };
    let on_issue = bottle.home.issue.iter().map(|issue| (*issue, false));
    let on_pulls = bottle.pull_requests.iter().map(|pull| (*pull, true));
    let read = on_issue.chain(on_pulls).map(|(on, is_pull)| words(forge, repo, on, is_pull));
    Ok(try_join_all(read).await?.into_iter().collect())
}

/// Everything that was said on an issue and its pull requests, of which some is known.
async fn spoken(
    forge: &dyn Forge,
    repo: &RepoName,
    issue: &SeenIssue,
    pulls: &[(IssueNumber, Option<PullState>)],
    mut known: Words,
) -> Result<Vec<Remark>, ForgeError> {
    let on_issue = match issue {
        SeenIssue::There { issue, .. } => Some((issue.number, false)),
        SeenIssue::Gone | SeenIssue::None | SeenIssue::Elsewhere(_) => None,
    };
    let there = pulls.iter().filter(|(_, state)| state.is_some()).map(|(pull, _)| (*pull, true));
    let mut spoken = vec![];
    let mut unread = vec![];
    for (on, is_pull) in on_issue.into_iter().chain(there) {
        match known.remove(&on) {
            Some(remarks) => spoken.extend(remarks),
            None => unread.push(words(forge, repo, on, is_pull)),
        }
    }
    spoken.extend(try_join_all(unread).await?.into_iter().flat_map(|(_, remarks)| remarks));
    Ok(spoken)
}

/// What was said on one number.
async fn words(
    forge: &dyn Forge,
    repo: &RepoName,
    on: IssueNumber,
    is_pull: bool,
) -> Result<(IssueNumber, Vec<Remark>), ForgeError> {
    let reviews = async { if is_pull { reviews(forge, repo, on).await } else { Ok(vec![]) } };
    let (mut words, reviews) = tokio::try_join!(comments(forge, repo, on), reviews)?;
    words.extend(reviews);
    Ok((on, words))
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
