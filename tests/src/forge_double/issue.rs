//! Issues, and the pull requests that Gitea stores as issues with something more.

use std::collections::BTreeSet;

use super::{answer::Refusal, clock::Moment};

/// A comment on an issue or pull request.
#[derive(Debug, Clone)]
pub(crate) struct Comment {
    pub(crate) id: u64,
    pub(crate) author: String,
    pub(crate) body: String,
    pub(crate) created: Moment,
    pub(crate) updated: Moment,
}

/// A comment of a review on one line of a file.
#[derive(Debug, Clone)]
pub(crate) struct LineComment {
    pub(crate) id: u64,
    /// The reviewer, or who answered in the review's conversation.
    pub(crate) author: String,
    pub(crate) path: String,
    pub(crate) body: String,
    /// Line in the new file, 0 when the comment is on a removed line.
    pub(crate) new_position: u64,
    /// Line in the old file, 0 when the comment is on a new line.
    pub(crate) old_position: u64,
    pub(crate) diff_hunk: String,
    pub(crate) created: Moment,
}

/// A review of a pull request.
#[derive(Debug, Clone)]
pub(crate) struct Review {
    pub(crate) id: u64,
    /// The timeline entry its `html_url` points to.
    pub(crate) comment_id: u64,
    pub(crate) author: String,
    pub(crate) state: ReviewState,
    pub(crate) body: String,
    pub(crate) commit_id: String,
    pub(crate) submitted: Moment,
    pub(crate) comments: Vec<LineComment>,
}

/// What a review says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReviewState {
    /// `APPROVED`.
    Approved,
    /// `REQUEST_CHANGES`.
    RequestChanges,
    /// `COMMENT`.
    Comment,
}

impl ReviewState {
    /// The word of the API.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Approved => "APPROVED",
            Self::RequestChanges => "REQUEST_CHANGES",
            Self::Comment => "COMMENT",
        }
    }

    /// Reads the `event` of a request.
    pub(crate) fn parse(word: &str) -> Option<Self> {
        [Self::Approved, Self::RequestChanges, Self::Comment]
            .into_iter()
            .find(|state| state.word() == word)
    }
}

/// How a pull request was merged.
#[derive(Debug, Clone)]
pub(crate) struct Merged {
    pub(crate) by: String,
    pub(crate) at: Moment,
    pub(crate) commit: String,
}

/// What a pull request has beyond an issue. The hashes are a copy of what git said last.
#[derive(Debug, Clone)]
pub(crate) struct Pull {
    pub(crate) id: u64,
    pub(crate) head: String,
    pub(crate) base: String,
    pub(crate) head_sha: String,
    pub(crate) base_sha: String,
    pub(crate) merge_base: String,
    pub(crate) merges_cleanly: bool,
    /// Made by a push to `refs/for/...`; its head is not a branch.
    pub(crate) is_agit: bool,
    pub(crate) merged: Option<Merged>,
    pub(crate) reviews: Vec<Review>,
}

/// An issue or pull request.
#[derive(Debug, Clone)]
pub(crate) struct Issue {
    pub(crate) id: u64,
    pub(crate) number: u64,
    pub(crate) author: String,
    pub(crate) title: String,
    pub(crate) body: String,
    pub(crate) labels: BTreeSet<u64>,
    pub(crate) assignees: Vec<String>,
    pub(crate) is_locked: bool,
    pub(crate) created: Moment,
    pub(crate) updated: Moment,
    /// When it was closed; `None` while open.
    pub(crate) closed: Option<Moment>,
    pub(crate) comments: Vec<Comment>,
    pub(crate) pull: Option<Pull>,
}

impl Issue {
    /// An open issue without anything on it.
    pub(crate) fn new(id: u64, number: u64, author: &str, title: &str, body: &str) -> Self {
        let now = Moment::now();
        Self {
            id,
            number,
            author: author.to_owned(),
            title: title.to_owned(),
            body: body.to_owned(),
            labels: BTreeSet::new(),
            assignees: Vec::new(),
            is_locked: false,
            created: now,
            updated: now,
            closed: None,
            comments: Vec::new(),
            pull: None,
        }
    }

    /// `open` or `closed`.
    pub(crate) fn state(&self) -> &'static str {
        if self.closed.is_some() { "closed" } else { "open" }
    }

    /// The pull request's part.
    ///
    /// # Errors
    /// 404 when this is a plain issue.
    pub(crate) fn pull(&self) -> Result<&Pull, Refusal> {
        self.pull.as_ref().ok_or_else(Refusal::not_found)
    }

    /// The pull request's part, to change it.
    ///
    /// # Errors
    /// 404 when this is a plain issue.
    pub(crate) fn pull_mut(&mut self) -> Result<&mut Pull, Refusal> {
        self.pull.as_mut().ok_or_else(Refusal::not_found)
    }

    /// Whether nothing more can be changed about a pull request.
    pub(crate) fn is_merged(&self) -> bool {
        self.pull.as_ref().is_some_and(|pull| pull.merged.is_some())
    }

    /// Gitea does not merge what is titled as work in progress.
    pub(crate) fn is_work_in_progress(&self) -> bool {
        let title = self.title.to_ascii_uppercase();
        title.starts_with("WIP:") || title.starts_with("[WIP]")
    }
}
