//! What a push brings about: webhooks, moved pull requests, AGit and push options.

use crate::forge_double::{
    access::Access,
    answer::Refusal,
    clock::Moment,
    forge::Forge,
    git::{ZERO_SHA, log::Commit},
    hook::IssueChange,
    registry::{Registry, RepoPath},
};
use serde_json::json;

use super::pull::open_pulls;

/// Commits shown in one push payload.
const PAYLOAD_COMMITS: usize = 20;

/// One ref that a push moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefUpdate {
    /// The whole name, `refs/heads/main`.
    pub name: String,
    /// Its hash before; zeros for a new ref.
    pub old: String,
    /// Its hash after; zeros for a deleted ref.
    pub new: String,
}

/// A push that git accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Push {
    /// `owner/name`.
    pub repo: String,
    /// Who pushed.
    pub user: String,
    /// What moved.
    pub updates: Vec<RefUpdate>,
    /// `git push -o`.
    pub options: Vec<String>,
}

impl Forge {
    /// Records a push and does what Gitea does after one.
    ///
    /// # Errors
    /// 404 when the repository is gone, 500 when git fails.
    pub(crate) async fn after_push(
        &self,
        actor: &str,
        path: &RepoPath,
        updates: Vec<RefUpdate>,
        options: Vec<String>,
    ) -> Result<(), Refusal> {
        self.act(|registry| {
            registry.apply_options(actor, path, &options)?;
            let (repo, user) = (path.to_string(), actor.to_owned());
            registry.pushes.push(Push { repo, user, updates: updates.clone(), options });
            registry.repo_mut(path)?.updated = Moment::now();
            Ok(())
        })?;
        for update in &updates {
            if let Some(target) = update.name.strip_prefix("refs/for/") {
                self.accept_agit(actor, path, update, target).await?;
                continue;
            }
            let commits = self.pushed_commits(path, update).await;
            self.refresh_pulls(path).await?;
            self.act(|registry| registry.emit_push(actor, path, update, &commits))?;
        }
        Ok(())
    }

    /// `refs/for/<base>` is no ref to keep but a wish for a pull request.
    async fn accept_agit(
        &self,
        actor: &str,
        path: &RepoPath,
        update: &RefUpdate,
        base: &str,
    ) -> Result<(), Refusal> {
        self.git.move_ref(path, &update.name, &update.new, ZERO_SHA).await?;
        self.create_agit_pull(actor, path, base, update.new.clone()).await?;
        Ok(())
    }

    /// The commits a push brought, newest first: for a new branch those that the default
    /// branch lacks.
    async fn pushed_commits(&self, path: &RepoPath, update: &RefUpdate) -> Vec<Commit> {
        if update.new == ZERO_SHA {
            return Vec::new();
        }
        let default = self.read(|registry| {
            registry.repo(path).map(|repo| format!("refs/heads/{}", repo.default_branch))
        });
        let known = match default {
            Ok(default) if update.old == ZERO_SHA && update.name != default => default,
            _ => update.old.clone(),
        };
        let without = format!("^{known}");
        let range = [update.new.as_str(), without.as_str()];
        let range = if known == ZERO_SHA { range.get(..1).unwrap_or(&range) } else { &range };
        self.git.log(path, PAYLOAD_COMMITS, range).await.unwrap_or_default()
    }
}

impl Registry {
    /// `-o repo.private=...` from an admin of the repository changes its visibility.
    fn apply_options(
        &mut self,
        actor: &str,
        path: &RepoPath,
        options: &[String],
    ) -> Result<(), Refusal> {
        let is_admin = self.access(Some(actor), self.repo(path)?) >= Access::Admin;
        let wish =
            options.iter().filter_map(|option| option.strip_prefix("repo.private=")).next_back();
        if let Some(wish) = wish.filter(|_| is_admin) {
            self.repo_mut(path)?.is_private = wish == "true";
        }
        Ok(())
    }

    fn emit_push(
        &mut self,
        actor: &str,
        path: &RepoPath,
        update: &RefUpdate,
        commits: &[Commit],
    ) -> Result<(), Refusal> {
        let branch = update.name.strip_prefix("refs/heads/");
        let tag = update.name.strip_prefix("refs/tags/");
        let (kind, short) = match (branch, tag) {
            (Some(branch), _) => ("branch", branch),
            (_, Some(tag)) => ("tag", tag),
            _ => return Ok(()),
        };
        let mut pulls = Vec::new();
        if branch.is_some() {
            let of_branch = open_pulls(self.repo(path)?).filter(|(_, pull)| pull.head == short);
            pulls.extend(of_branch.map(|(issue, _)| issue.number));
        }
        if update.new == ZERO_SHA {
            self.emit_ref(
                actor,
                path,
                "delete",
                json!({ "ref": short, "ref_type": kind, "pusher_type": "user" }),
            )?;
            for number in pulls {
                self.set_state(IssueChange { repo: path, number, sender: actor }, true)?;
            }
            return Ok(());
        }
        if update.old == ZERO_SHA {
            let payload = json!({ "sha": update.new, "ref": short, "ref_type": kind });
            self.emit_ref(actor, path, "create", payload)?;
        }
        let references: u64 =
            commits.iter().map(|commit| self.references(path, &commit.message)).sum();
        self.timeline_entries(references + pulls.len() as u64);
        self.emit_commits(actor, path, update, commits)?;
        for number in pulls {
            self.emit_synchronized(IssueChange { repo: path, number, sender: actor })?;
        }
        Ok(())
    }

    /// `create` and `delete`: the given fields, repository and sender.
    fn emit_ref(
        &mut self,
        actor: &str,
        path: &RepoPath,
        event: &'static str,
        mut payload: serde_json::Value,
    ) -> Result<(), Refusal> {
        let repository = self.repo_json(self.repo(path)?, Access::None);
        if let Some(fields) = payload.as_object_mut() {
            fields.insert("repository".to_owned(), repository);
            fields.insert("sender".to_owned(), self.account_json(actor));
        }
        self.emit(path, event, &payload);
        Ok(())
    }

    fn emit_commits(
        &mut self,
        actor: &str,
        path: &RepoPath,
        update: &RefUpdate,
        commits: &[Commit],
    ) -> Result<(), Refusal> {
        let shown: Vec<_> =
            commits.iter().map(|commit| self.payload_commit_json(path, commit)).collect();
        let (old, new) = (&update.old, &update.new);
        let payload = json!({
            "ref": update.name,
            "before": old,
            "after": new,
            "compare_url": format!("{}/{path}/compare/{old}...{new}", self.base_url),
            "commits": shown,
            "head_commit": shown.first(),
            "repository": self.repo_json(self.repo(path)?, Access::Admin),
            "pusher": self.account_json(actor),
            "sender": self.account_json(actor),
        });
        self.emit(path, "push", &payload);
        Ok(())
    }
}
