//! Reviews and their comments on lines.

use serde_json::{Value, json};

use crate::forge_double::{
    issue::{Issue, LineComment, Pull, Review},
    registry::{Registry, Repo},
};

impl Registry {
    /// A review as `viewer` sees it.
    pub(crate) fn review_json(
        &self,
        repo: &Repo,
        issue: &Issue,
        review: &Review,
        viewer: Option<&str>,
    ) -> Value {
        let page = self.page_of(repo, issue);
        let head = issue.pull.as_ref().map(|pull| pull.head_sha.as_str());
        json!({
            "id": review.id,
            "user": self.user_seen_by(&review.author, viewer),
            "team": null,
            "state": review.state.word(),
            "body": review.body,
            "commit_id": review.commit_id,
            "stale": head != Some(review.commit_id.as_str()),
            "official": false,
            "dismissed": false,
            "comments_count": review.comments.len(),
            "submitted_at": review.submitted.text(),
            "html_url": format!("{page}#issuecomment-{}", review.comment_id),
            "pull_request_url": page,
        })
    }

    /// One line comment of a review. Not among the recordings: from the API description.
    pub(crate) fn line_comment_json(
        &self,
        repo: &Repo,
        issue: &Issue,
        review: &Review,
        comment: &LineComment,
    ) -> Value {
        let page = self.page_of(repo, issue);
        json!({
            "id": comment.id,
            "body": comment.body,
            "user": self.account_json(&comment.author),
            "resolver": null,
            "pull_request_review_id": review.id,
            "created_at": comment.created.text(),
            "updated_at": comment.created.text(),
            "path": comment.path,
            "commit_id": review.commit_id,
            "original_commit_id": "",
            "diff_hunk": comment.diff_hunk,
            "position": comment.new_position,
            "original_position": comment.old_position,
            "html_url": format!("{page}#issuecomment-{}", comment.id),
            "pull_request_url": page,
        })
    }

    /// The review with this id.
    pub(crate) fn review_of(pull: &Pull, id: u64) -> Option<&Review> {
        pull.reviews.iter().find(|review| review.id == id)
    }
}
