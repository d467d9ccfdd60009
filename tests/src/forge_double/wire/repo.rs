//! Repositories, labels, hooks and commit statuses.

use serde_json::{Value, json};

use crate::forge_double::{
    access::Access,
    registry::{CommitStatus, Hook, Label, Registry, Repo, Unit},
};

impl Registry {
    /// A repository; `access` fills its `permissions`.
    pub(crate) fn repo_json(&self, repo: &Repo, access: Access) -> Value {
        let html_url = format!("{}/{}", self.base_url, repo.path);
        let open = |wants_pulls: bool| {
            let is_counted = |issue: &&crate::forge_double::issue::Issue| {
                issue.closed.is_none() && issue.pull.is_some() == wants_pulls
            };
            repo.issues.values().filter(is_counted).count()
        };
        json!({
            "id": repo.id,
            "owner": self.account_json(&repo.path.owner),
            "name": repo.path.name,
            "full_name": repo.path.to_string(),
            "description": "",
            "empty": false,
            "private": repo.is_private,
            "fork": false,
            "template": false,
            "parent": null,
            "mirror": false,
            "size": 27,
            "html_url": html_url,
            "ssh_url": format!("gitea@localhost:{}.git", repo.path),
            "clone_url": format!("{html_url}.git"),
            "original_url": "",
            "website": "",
            "stars_count": 0,
            "forks_count": 0,
            "watchers_count": 1,
            "open_issues_count": open(false),
            "open_pr_counter": open(true),
            "release_counter": 0,
            "default_branch": repo.default_branch,
            "archived": repo.is_archived,
            "created_at": repo.created.text(),
            "updated_at": repo.updated.text(),
            "permissions": {
                "admin": access >= Access::Admin,
                "push": access >= Access::Write,
                "pull": access >= Access::Read,
            },
            "has_issues": !repo.units_off.contains(&Unit::Issues),
            "internal_tracker": {
                "enable_time_tracker": true,
                "allow_only_contributors_to_track_time": true,
                "enable_issue_dependencies": true,
            },
            "has_wiki": true,
            "has_pull_requests": !repo.units_off.contains(&Unit::PullRequests),
            "has_projects": true,
            "ignore_whitespace_conflicts": false,
            "allow_merge_commits": true,
            "allow_rebase": true,
            "allow_rebase_explicit": true,
            "allow_squash_merge": true,
            "default_merge_style": "merge",
            "avatar_url": "",
            "internal": false,
            "mirror_interval": "",
        })
    }

    /// A commit status.
    pub(crate) fn status_json(&self, repo: &Repo, status: &CommitStatus) -> Value {
        let base = &self.base_url;
        json!({
            "id": status.id,
            "status": status.state,
            "target_url": status.target_url,
            "description": status.description,
            "url": format!("{base}/api/v1/repos/{}/statuses/{}", repo.path, status.sha),
            "context": status.context,
            "creator": self.account_json(&status.creator),
            "created_at": status.created.text(),
            "updated_at": status.created.text(),
        })
    }
}

/// A label.
pub(crate) fn label_json(label: &Label) -> Value {
    json!({
        "id": label.id,
        "name": label.name,
        "color": label.color,
        "description": label.description,
        "url": "",
    })
}

/// A webhook; its secret is never shown.
pub(crate) fn hook_json(hook: &Hook) -> Value {
    json!({
        "id": hook.id,
        "type": "gitea",
        "config": { "content_type": "json", "url": hook.url },
        "events": hook.events,
        "active": hook.is_active,
        "updated_at": hook.created.text(),
        "created_at": hook.created.text(),
    })
}
