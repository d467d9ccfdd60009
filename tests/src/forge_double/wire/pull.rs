//! Pull requests.

use serde_json::{Value, json};

use super::issue::labels_json;
use crate::forge_double::{
    access::Access,
    issue::{Issue, Pull},
    registry::{Registry, Repo},
};

impl Registry {
    /// A pull request; `access` fills the `permissions` of its repositories.
    /// Null when the issue is no pull request.
    pub(crate) fn pull_json(&self, repo: &Repo, issue: &Issue, access: Access) -> Value {
        let Some(pull) = &issue.pull else { return Value::Null };
        let page = self.page_of(repo, issue);
        let assignees = self.assignees_json(issue);
        let merged = pull.merged.as_ref();
        let repository = self.repo_json(repo, access);
        json!({
            "id": pull.id,
            "url": page,
            "number": issue.number,
            "user": self.account_json(&issue.author),
            "title": issue.title,
            "body": issue.body,
            "labels": labels_json(repo, issue),
            "milestone": null,
            "assignee": assignees.get(0).cloned(),
            "assignees": assignees,
            "state": issue.state(),
            "is_locked": issue.is_locked,
            "comments": issue.comments.len(),
            "html_url": page,
            "diff_url": format!("{page}.diff"),
            "patch_url": format!("{page}.patch"),
            "mergeable": pull.merges_cleanly && !issue.is_work_in_progress(),
            "merged": merged.is_some(),
            "merged_at": merged.map(|merged| merged.at.text()),
            "merge_commit_sha": merged.map(|merged| &merged.commit),
            "merged_by": merged.map(|merged| self.account_json(&merged.by)),
            "base": {
                "label": pull.base,
                "ref": pull.base,
                "sha": pull.base_sha,
                "repo_id": repo.id,
                "repo": repository,
            },
            "head": {
                "label": pull.head,
                "ref": head_ref(issue, pull),
                "sha": pull.head_sha,
                "repo_id": repo.id,
                "repo": repository,
            },
            "merge_base": pull.merge_base,
            "due_date": null,
            "created_at": issue.created.text(),
            "updated_at": issue.updated.text(),
            // 1.15 has the field and leaves it empty, even on closed pull requests.
            "closed_at": null,
        })
    }
}

/// The branch, or the special ref of a pull request that has none.
pub(crate) fn head_ref(issue: &Issue, pull: &Pull) -> String {
    if pull.is_agit { format!("refs/pull/{}/head", issue.number) } else { pull.head.clone() }
}
