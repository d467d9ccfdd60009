//! Why an issue runs, or why not, from what the forge says now.

use orchestrator_core::policy::{self, Check};
use protocol::ids::{IssueNumber, RepoName, Slug};

use super::{LookError, Looked, look};
use crate::daemon::Daemon;

/// Everything that decides about one issue or pull request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// The repository.
    pub repo: RepoName,
    /// The number.
    pub number: IssueNumber,
    /// Its live bottle, or the last one that it had.
    pub bottle: Option<Slug>,
    /// All rules, in their order.
    pub checks: Vec<Check>,
}

impl Daemon {
    /// Looks at an issue or pull request and says which rules hold. Changes nothing.
    ///
    /// # Errors
    /// When forge or store do not answer.
    pub async fn explain(
        &self,
        repo: &RepoName,
        number: IssueNumber,
    ) -> Result<Explanation, LookError> {
        let Looked { mut seen, bottle: live, .. } = look(self, repo, number).await?;
        if let Some(error) = seen.unread.take() {
            return Err(error.into());
        }
        let asked = repo.clone();
        let last = self.store.write(move |books| books.bottle_about(&asked, number)).await?;
        let bottle = live.or(last);
        let checks = policy::explain(&self.laws().rules, &seen.sight, bottle.as_ref());
        Ok(Explanation {
            repo: repo.clone(),
            number,
            bottle: bottle.map(|bottle| bottle.slug),
            checks,
        })
    }
}
