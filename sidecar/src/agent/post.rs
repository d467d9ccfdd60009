//! A comment that is there once, whatever the forge says of it.

use std::time::Duration;

use forge::{ForgeError, ScopedForge};
use protocol::{
    ids::{IssueNumber, Login},
    item::Comment,
};
use tokio::time::sleep;

use crate::{phase::Sidecar, session::Work};

/// A comment that is to stand on the forge once.
pub(super) struct Post {
    number: IssueNumber,
    text: String,
    mark: String,
    author: Login,
    look_again_after: Duration,
}

impl Post {
    /// A text that ends with `mark`.
    pub(super) fn new(
        sidecar: &Sidecar,
        work: &Work,
        number: IssueNumber,
        text: String,
        mark: String,
    ) -> Self {
        let author = work.session().grant.identity.login.clone();
        Self { number, text, mark, author, look_again_after: sidecar.settings.look_again_after }
    }

    /// Posts it; after an answer that says nothing about whether it was done (CASES 62), looks for
    /// it, and posts it once more if it is not there.
    pub(super) async fn once(&self, forge: &ScopedForge) -> Result<Comment, ForgeError> {
        let unknown = match forge.post_comment(self.number, &self.text).await {
            Err(error @ (ForgeError::Server { .. } | ForgeError::BadAnswer { .. })) => error,
            settled => return settled,
        };
        match self.look(forge).await {
            Ok(Some(found)) => return Ok(found),
            Ok(None) => {}
            Err(_) => return Err(unknown),
        }
        let unknown = match forge.post_comment(self.number, &self.text).await {
            Err(error @ (ForgeError::Server { .. } | ForgeError::BadAnswer { .. })) => error,
            settled => return settled,
        };
        self.look(forge).await.ok().flatten().ok_or(unknown)
    }

    /// The own comment with this mark; anybody may have quoted it.
    pub(super) async fn find(&self, forge: &ScopedForge) -> Result<Option<Comment>, ForgeError> {
        let comments = forge.read_comments(self.number).await?;
        let ours = |comment: &Comment| {
            comment.author.as_str().eq_ignore_ascii_case(self.author.as_str())
                && comment.body.trim_end().ends_with(&self.mark)
        };
        Ok(comments.into_iter().rev().find(ours))
    }

    async fn look(&self, forge: &ScopedForge) -> Result<Option<Comment>, ForgeError> {
        sleep(self.look_again_after).await;
        self.find(forge).await
    }

    /// The text that is posted.
    pub(super) fn text(&self) -> &str {
        &self.text
    }
}
