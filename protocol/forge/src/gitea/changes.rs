//! What has changed: issues since a moment, and a repository's name.

use http::header;
use jiff::Timestamp;
use protocol::{
    ids::{Login, RepoName},
    limits::FORGE_PAGES_MAX,
};

use super::{
    Gitea,
    address::Address,
    http::Answer,
    is_same,
    pages::Pages,
    wire::{WireIssue, WireRepository},
};
use crate::{Changed, ForgeError};

impl Gitea {
    /// Issues and pull requests that changed; `None` when the list may not have been read to its end.
    pub(super) async fn changes(
        &self,
        repo: &RepoName,
        since: Timestamp,
    ) -> Result<Option<Vec<Changed>>, ForgeError> {
        // Forges read seconds; a moment within one must not leave it out.
        let since = Timestamp::from_second(since.as_second()).unwrap_or(since);
        let address =
            Address::repo(repo).word("issues").query("state", "all").query("since", since);
        let what = format!("list the changes of {repo}");
        let mut pages = Pages::new(&self.http, address, &what, WireIssue::id);
        let mut changed = Vec::new();
        for _ in 0..FORGE_PAGES_MAX {
            let page = pages.next().await?;
            if page.is_empty() {
                return Ok(Some(changed));
            }
            changed.extend(page.into_iter().map(|issue| {
                let is_pull_request = issue.is_pull_request();
                let issue = issue.into_issue();
                Changed {
                    is_pull_request,
                    number: issue.number,
                    updated_at: issue.updated_at,
                    labels: issue.labels,
                }
            }));
        }
        Ok(None)
    }

    /// The name that a repository has now, if it is another one.
    pub(super) async fn moved_to(&self, repo: &RepoName) -> Result<Option<RepoName>, ForgeError> {
        let what = format!("read the repository {repo}");
        let mut answer = self.http.ask(&Address::repo(repo), &what).await?;
        if answer.status.is_redirection() {
            let Some(address) = target(&answer) else { return Ok(None) };
            answer = self.http.ask(&address, &what).await?;
        }
        let found: WireRepository = self.http.json(&answer, &what)?;
        Ok((!is_same(&found.full_name.to_string(), repo)).then_some(found.full_name))
    }
}

/// The repository that a redirect leads to, by name or id. Only its last two words are taken: where
/// the forge is says our configuration alone.
fn target(answer: &Answer) -> Option<Address> {
    let location = answer.headers.get(header::LOCATION)?.to_str().ok()?;
    let path = location.split(['?', '#']).next()?.trim_end_matches('/');
    let (rest, last) = path.rsplit_once('/')?;
    let (rest, before) = rest.rsplit_once('/')?;
    if before == "repositories" {
        return Some(Address::of("repositories").number(last.parse().ok()?));
    }
    let owner: Login = before.parse().ok()?;
    let name: RepoName = format!("{owner}/{last}").parse().ok()?;
    rest.ends_with("/api/v1/repos").then(|| Address::repo(&name))
}
