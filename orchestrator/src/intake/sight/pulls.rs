//! Whose a pull request is. Its head tells, never a sidecar: a compromised one may name any number.

use forge::{Forge, ForgeError};
use futures_util::future::try_join_all;
use orchestrator_core::bottle::Bottle;
use protocol::{
    ids::{IssueNumber, RepoName, Slug},
    item::{PullRequest, PullState},
};

use super::{Target, there};

/// What was seen of a bottle's pull requests.
#[derive(Default)]
pub(super) struct Pulls {
    /// Those that are the bottle's, oldest first; `None` for one that is gone.
    pub(super) states: Vec<(IssueNumber, Option<PullState>)>,
    /// Those that were not known as the bottle's.
    pub(super) ours: Vec<IssueNumber>,
    /// Those that were claimed and are not.
    pub(super) foreign: Vec<IssueNumber>,
}

/// Reads the bottle's pull requests, what its sidecar claims, and the number that is looked at.
pub(super) async fn look(forge: &dyn Forge, target: Target<'_>) -> Result<Pulls, ForgeError> {
    let Some(bottle) = target.bottle else { return Ok(Pulls::default()) };
    let mut claimed = bottle.claims.open.clone();
    if bottle.home.issue != Some(target.number) {
        claimed.push(target.number);
    }
    claimed.retain(|number| !bottle.pull_requests.contains(number));
    claimed.dedup();
    let numbers = bottle.pull_requests.iter().chain(&claimed);
    let read = numbers.map(async |number| match there(forge.read_pr(target.repo, *number).await) {
        Ok(pull) => Ok(Some((*number, pull))),
        // Whoever claims what nobody can read must not keep the bottle from its news and its end.
        Err(error) if *number != target.number && claimed.contains(number) => {
            tracing::info!(repo = %target.repo, %number, %error, "cannot read what was claimed");
            Ok(None)
        }
        Err(error) => Err(error),
    });
    let mut pulls = Pulls::default();
    for (number, pull) in try_join_all(read).await?.into_iter().flatten() {
        let known = !claimed.contains(&number);
        match pull {
            Some(pull) if known || is_of(&pull, bottle) => {
                pulls.states.push((number, Some(pull.state)));
                pulls.ours.extend((!known).then_some(number));
            }
            None if known => pulls.states.push((number, None)),
            Some(_) | None => pulls.foreign.push(number),
        }
    }
    Ok(pulls)
}

/// The bottle whose name stands in the head branch of a pull request within this repository. Whether
/// it is really that bottle's branch says its record.
///
/// # Errors
/// The forge's.
pub async fn owner_by_branch(
    forge: &dyn Forge,
    repo: &RepoName,
    number: IssueNumber,
) -> Result<Option<(Slug, String)>, ForgeError> {
    let Some(pull) = there(forge.read_pr(repo, number).await)? else { return Ok(None) };
    let slug = pull.head_branch.rsplit_once('/').and_then(|(_, last)| last.parse().ok());
    Ok(slug.filter(|_| is_within(&pull, repo)).map(|slug| (slug, pull.head_branch)))
}

fn is_of(pull: &PullRequest, bottle: &Bottle) -> bool {
    is_from(pull, bottle.home.branch.as_str(), &bottle.home.repo)
}

fn is_from(pull: &PullRequest, branch: &str, repo: &RepoName) -> bool {
    pull.head_branch == branch && is_within(pull, repo)
}

/// Whether its head is a branch of the repository itself: in a fork anybody may name a branch like ours.
fn is_within(pull: &PullRequest, repo: &RepoName) -> bool {
    let name = repo.to_string();
    pull.head_repo.as_deref().is_some_and(|head| head.eq_ignore_ascii_case(&name))
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    fn pull(head: &str, repo: Option<&str>) -> PullRequest {
        PullRequest {
            number: 18.try_into().unwrap(),
            title: String::new(),
            body: String::new(),
            state: PullState::Open,
            author: "mallory".parse().unwrap(),
            head_branch: head.to_owned(),
            head_repo: repo.map(str::to_owned),
            head_sha: String::new(),
            base_branch: "main".to_owned(),
            mergeable: None,
            created_at: Timestamp::UNIX_EPOCH,
            updated_at: Timestamp::UNIX_EPOCH,
            url: String::new(),
        }
    }

    // In a fork anybody may make a branch that is called like ours.
    #[test]
    fn a_pull_request_is_of_a_branch_of_the_repository_itself_or_not_ours() {
        let (repo, branch) = ("team/project".parse().unwrap(), "bot-bottle/7/implementer-k3v9q");
        let is_ours = |head: &str, of: Option<&str>| is_from(&pull(head, of), branch, &repo);
        assert!(is_ours(branch, Some("team/project")));
        assert!(is_ours(branch, Some("Team/Project")), "forges do not tell case apart");
        assert!(!is_ours(branch, Some("mallory/project")));
        assert!(!is_ours(branch, None), "a head that is gone proves nothing");
        assert!(!is_ours("bot-bottle/7/implementer-k3v9r", Some("team/project")));
        assert!(!is_ours("", Some("team/project")));
    }
}
