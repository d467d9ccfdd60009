//! Commits, as the API and as push payloads show them.

use serde_json::{Value, json};

use super::ZERO_TIME;
use crate::forge_double::{
    git::log::Commit,
    registry::{Registry, RepoPath},
};

impl Registry {
    /// A commit in an API answer.
    pub(crate) fn commit_json(&self, repo: &RepoPath, commit: &Commit) -> Value {
        let git = format!("{}/api/v1/repos/{repo}/git", self.base_url);
        let sha = &commit.sha;
        let person = |who: &crate::forge_double::git::log::Signature| json!({ "name": who.name, "email": who.email, "date": who.date });
        let parent = |sha: &String| json!({ "url": format!("{git}/commits/{sha}"), "sha": sha, "created": ZERO_TIME });
        json!({
            "url": format!("{git}/commits/{sha}"),
            "sha": sha,
            "created": commit.author.date,
            "html_url": format!("{}/{repo}/commit/{sha}", self.base_url),
            "commit": {
                "url": format!("{git}/commits/{sha}"),
                "author": person(&commit.author),
                "committer": person(&commit.committer),
                "message": commit.message,
                // 1.15 puts the commit's hash here, not the tree's.
                "tree": { "url": format!("{git}/trees/{sha}"), "sha": sha, "created": commit.author.date },
            },
            "author": self.account_by_email(&commit.author.email),
            "committer": self.account_by_email(&commit.committer.email),
            "parents": commit.parents.iter().map(parent).collect::<Value>(),
            "files": commit.paths().map(|path| json!({ "filename": path })).collect::<Value>(),
        })
    }

    /// A commit in a push payload.
    pub(crate) fn payload_commit_json(&self, repo: &RepoPath, commit: &Commit) -> Value {
        let person = |who: &crate::forge_double::git::log::Signature| {
            let username = self.login_by_email(&who.email).unwrap_or_default();
            json!({ "name": who.name, "email": who.email, "username": username })
        };
        json!({
            "id": commit.sha,
            "message": commit.message,
            "url": format!("{}/{repo}/commit/{}", self.base_url, commit.sha),
            "author": person(&commit.author),
            "committer": person(&commit.committer),
            "verification": null,
            "timestamp": commit.author.date,
            "added": commit.added,
            "removed": commit.removed,
            "modified": commit.modified,
        })
    }

    /// A branch with its last commit. Not among the recordings: from the API description.
    pub(crate) fn branch_json(&self, repo: &RepoPath, name: &str, commit: &Commit) -> Value {
        json!({
            "name": name,
            "commit": self.payload_commit_json(repo, commit),
            "protected": false,
            "required_approvals": 0,
            "enable_status_check": false,
            "status_check_contexts": [],
            "user_can_push": true,
            "user_can_merge": true,
            "effective_branch_protection_name": "",
        })
    }

    fn login_by_email(&self, email: &str) -> Option<String> {
        self.users.values().find(|user| user.email == email).map(|user| user.login.clone())
    }

    fn account_by_email(&self, email: &str) -> Value {
        self.login_by_email(email).map_or(Value::Null, |login| self.account_json(&login))
    }
}
