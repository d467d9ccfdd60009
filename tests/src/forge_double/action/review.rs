//! Reviewing pull requests.

use serde::Deserialize;

use crate::forge_double::{
    access::Access,
    answer::Refusal,
    clock::Moment,
    forge::Forge,
    hook::IssueChange,
    issue::{Comment, LineComment, Review, ReviewState},
    registry::{RepoPath, next},
};

/// A review to submit.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct NewReview {
    pub(crate) event: String,
    pub(crate) body: String,
    pub(crate) comments: Vec<NewLineComment>,
}

/// A comment on one line.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct NewLineComment {
    /// The file.
    pub path: String,
    /// The text.
    pub body: String,
    /// Line in the new file, counted from 1; 0 when the comment is on a removed line.
    pub new_position: u64,
    /// Line in the old file, counted from 1; 0 when the comment is on a new line.
    pub old_position: u64,
}

impl Forge {
    /// Reviews a pull request; gives the review's id.
    ///
    /// # Errors
    /// 404, 422 for an unknown event, for judging one's own, or for having nothing to say.
    pub(crate) async fn create_review(
        &self,
        actor: &str,
        path: &RepoPath,
        number: u64,
        new: &NewReview,
    ) -> Result<u64, Refusal> {
        let Some(state) = ReviewState::parse(&new.event) else {
            return Err(Refusal::Unprocessable(format!("unknown review event {:?}", new.event)));
        };
        if state == ReviewState::Comment && new.body.is_empty() && new.comments.is_empty() {
            return Err(Refusal::Unprocessable("review event COMMENT requires a body".to_owned()));
        }
        self.refresh_pulls(path).await?;
        let (base, head) = self.read(|registry| -> Result<_, Refusal> {
            let issue = registry.repo_for(Some(actor), path, Access::Read)?.issue(number)?;
            let pull = issue.pull()?;
            if issue.author == actor && state != ReviewState::Comment {
                let what = if state == ReviewState::Approved { "approve" } else { "reject" };
                let text = format!("{what} your own pull is not allowed");
                return Err(Refusal::Unprocessable(text));
            }
            Ok((pull.merge_base.clone(), pull.head_sha.clone()))
        })?;
        let mut hunks = Vec::new();
        for comment in &new.comments {
            let diff = self.git.diff(path, &base, &head, &comment.path).await;
            let hunk = diff.find("@@").and_then(|start| diff.get(start..)).unwrap_or_default();
            hunks.push((comment, hunk.to_owned()));
        }
        self.act(|registry| {
            let now = Moment::now();
            let line = |(comment, diff_hunk): (&NewLineComment, String)| LineComment {
                id: next(&mut registry.ids.comment),
                author: actor.to_owned(),
                path: comment.path.clone(),
                body: comment.body.clone(),
                new_position: comment.new_position,
                old_position: comment.old_position,
                diff_hunk,
                created: now,
            };
            let comments = hunks.into_iter().map(line).collect();
            let review = Review {
                id: next(&mut registry.ids.review),
                comment_id: next(&mut registry.ids.comment),
                author: actor.to_owned(),
                state,
                body: new.body.clone(),
                commit_id: head,
                submitted: now,
                comments,
            };
            let id = review.id;
            registry.issue_mut(path, number)?.pull_mut()?.reviews.push(review);
            let change = IssueChange { repo: path, number, sender: actor };
            registry.emit_review(change, state, &new.body)?;
            Ok(id)
        })
    }

    /// Answers in the conversation on a line: the answer becomes part of the review, whoever it is
    /// from, and is told as a comment on the pull request. Gitea has this on its pages only. Gives
    /// the comment's id.
    ///
    /// # Errors
    /// 404, 422 when there is nothing to say.
    pub(crate) fn reply_in_review(
        &self,
        actor: &str,
        path: &RepoPath,
        (number, review): (u64, u64),
        new: &NewLineComment,
    ) -> Result<u64, Refusal> {
        if new.body.is_empty() {
            return Err(Refusal::Unprocessable("Required".to_owned()));
        }
        self.act(|registry| {
            registry.repo_to_change(Some(actor), path, Access::Read)?;
            let id = next(&mut registry.ids.comment);
            let now = Moment::now();
            let reviews = &mut registry.issue_mut(path, number)?.pull_mut()?.reviews;
            let review = reviews.iter_mut().find(|candidate| candidate.id == review);
            let comments = &mut review.ok_or_else(Refusal::not_found)?.comments;
            let mut on_line = comments.iter().filter(|comment| comment.path == new.path);
            comments.push(LineComment {
                id,
                author: actor.to_owned(),
                path: new.path.clone(),
                body: new.body.clone(),
                new_position: new.new_position,
                old_position: new.old_position,
                diff_hunk: on_line.next().map(|first| first.diff_hunk.clone()).unwrap_or_default(),
                created: now,
            });
            let (author, body) = (actor.to_owned(), new.body.clone());
            let comment = Comment { id, author, body, created: now, updated: now };
            let change = IssueChange { repo: path, number, sender: actor };
            registry.emit_comment(change, "created", &comment, None)?;
            Ok(id)
        })
    }
}
