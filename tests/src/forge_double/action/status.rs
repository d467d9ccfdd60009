//! Commit statuses: what CI says about a commit.

use serde::Deserialize;

use crate::forge_double::{
    access::Access,
    answer::Refusal,
    clock::Moment,
    forge::Forge,
    registry::{CommitStatus, RepoPath, next},
};

/// A status to set.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct NewStatus {
    /// `pending`, `success`, `error`, `failure` or `warning`.
    pub(crate) state: String,
    pub(crate) context: String,
    pub(crate) description: String,
    pub(crate) target_url: String,
}

impl Forge {
    /// Sets a status on a commit; gives its id. Statuses are kept; the last of a context counts.
    ///
    /// # Errors
    /// 403, 404 also for a commit that does not exist.
    pub(crate) async fn set_status(
        &self,
        actor: &str,
        path: &RepoPath,
        sha: &str,
        new: NewStatus,
    ) -> Result<u64, Refusal> {
        self.read(|registry| registry.repo_for(Some(actor), path, Access::Write).map(|_| ()))?;
        let sha = self.git.resolve(path, sha).await.ok_or_else(Refusal::not_found)?;
        self.act(|registry| {
            let id = next(&mut registry.ids.status);
            let context = if new.context.is_empty() { "default".to_owned() } else { new.context };
            let status = CommitStatus {
                id,
                sha,
                state: new.state,
                context,
                description: new.description,
                target_url: new.target_url,
                creator: actor.to_owned(),
                created: Moment::now(),
            };
            registry.repo_mut(path)?.statuses.push(status);
            Ok(id)
        })
    }
}
