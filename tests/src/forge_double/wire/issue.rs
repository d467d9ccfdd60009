//! Issues and their comments.

use serde_json::{Value, json};

use super::repo::label_json;
use crate::forge_double::{
    clock::Moment,
    issue::{Comment, Issue, Pull},
    registry::{Registry, Repo},
};

impl Registry {
    /// An issue, or a pull request seen as an issue.
    pub(crate) fn issue_json(&self, repo: &Repo, issue: &Issue) -> Value {
        let number = issue.number;
        let assignees = self.assignees_json(issue);
        json!({
            "id": issue.id,
            "url": format!("{}/api/v1/repos/{}/issues/{number}", self.base_url, repo.path),
            "html_url": self.page_of(repo, issue),
            "number": number,
            "user": self.account_json(&issue.author),
            "original_author": "",
            "original_author_id": 0,
            "title": issue.title,
            "body": issue.body,
            "ref": "",
            "labels": labels_json(repo, issue),
            "milestone": null,
            "assignee": assignees.get(0).cloned(),
            "assignees": assignees,
            "state": issue.state(),
            "is_locked": issue.is_locked,
            "comments": issue.comments.len(),
            "created_at": issue.created.text(),
            "updated_at": issue.updated.text(),
            "closed_at": issue.closed.map(Moment::text),
            "due_date": null,
            "pull_request": issue.pull.as_ref().map(pull_mark),
            "repository": {
                "id": repo.id,
                "name": repo.path.name,
                "owner": repo.path.owner,
                "full_name": repo.path.to_string(),
            },
        })
    }

    /// The assignees; null when there are none.
    pub(crate) fn assignees_json(&self, issue: &Issue) -> Value {
        if issue.assignees.is_empty() {
            return Value::Null;
        }
        issue.assignees.iter().map(|login| self.account_json(login)).collect()
    }

    /// The web page of an issue or pull request.
    pub(crate) fn page_of(&self, repo: &Repo, issue: &Issue) -> String {
        let kind = if issue.pull.is_some() { "pulls" } else { "issues" };
        format!("{}/{}/{kind}/{}", self.base_url, repo.path, issue.number)
    }

    /// A comment.
    pub(crate) fn comment_json(&self, repo: &Repo, issue: &Issue, comment: &Comment) -> Value {
        let page = self.page_of(repo, issue);
        let (issue_url, pull_request_url) =
            if issue.pull.is_some() { ("", page.as_str()) } else { (page.as_str(), "") };
        json!({
            "id": comment.id,
            "html_url": format!("{page}#issuecomment-{}", comment.id),
            "pull_request_url": pull_request_url,
            "issue_url": issue_url,
            "user": self.account_json(&comment.author),
            "original_author": "",
            "original_author_id": 0,
            "body": comment.body,
            "created_at": comment.created.text(),
            "updated_at": comment.updated.text(),
        })
    }
}

/// The labels of an issue, by name as Gitea orders them.
pub(crate) fn labels_json(repo: &Repo, issue: &Issue) -> Value {
    let mut labels: Vec<_> =
        repo.labels.iter().filter(|label| issue.labels.contains(&label.id)).collect();
    labels.sort_by(|a, b| a.name.cmp(&b.name));
    labels.into_iter().map(label_json).collect()
}

/// What tells a pull request from an issue.
fn pull_mark(pull: &Pull) -> Value {
    json!({
        "merged": pull.merged.is_some(),
        "merged_at": pull.merged.as_ref().map(|merged| merged.at.text()),
    })
}
