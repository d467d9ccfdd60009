//! A comment that is there once, whatever the forge says of it.

use std::{
    collections::{HashMap, VecDeque},
    hash::{BuildHasher as _, RandomState},
    sync::{Arc, Mutex, PoisonError, Weak},
};

use forge::{ForgeError, ScopedForge, again};
use protocol::{ids::IssueNumber, item::Comment};
use tokio::sync::Mutex as Lane;

use crate::marker;

/// A comment that is to stand on the forge once.
pub(super) struct Post {
    number: IssueNumber,
    text: String,
    mark: String,
}

impl Post {
    /// A text that ends with `mark`.
    pub(super) fn new(number: IssueNumber, text: &str, mark: String) -> Self {
        Self { number, text: marker::append(text, &mark), mark }
    }

    /// Posts it; after an answer that says nothing about whether it was done (CASES 62), looks for
    /// it, and posts it again if it is not there.
    pub(super) async fn once(&self, forge: &ScopedForge) -> Result<Comment, ForgeError> {
        let make = || forge.post_comment(self.number, &self.text);
        again::once(forge.patience(), make, || self.find(forge)).await
    }

    /// As [`Post::once`], for one that an earlier call may have posted.
    pub(super) async fn once_more(&self, forge: &ScopedForge) -> Result<Comment, ForgeError> {
        match self.find(forge).await? {
            Some(found) => Ok(found),
            None => self.once(forge).await,
        }
    }

    /// The own comment with this mark; anybody may have quoted it. Whose the account is now is
    /// asked, because it may have been renamed (CASES 198).
    pub(super) async fn find(&self, forge: &ScopedForge) -> Result<Option<Comment>, ForgeError> {
        let comments = forge.read_comments(self.number).await?;
        let mut marked =
            comments.into_iter().filter(|comment| marker::is_at_end(&comment.body, &self.mark));
        let Some(last) = marked.next_back() else { return Ok(None) };
        let account = forge.whoami().await?;
        let is_ours =
            |comment: &Comment| comment.author.as_str().eq_ignore_ascii_case(account.as_str());
        Ok([last].into_iter().chain(marked.rev()).find(is_ours))
    }

    /// The text that is posted.
    pub(super) fn text(&self) -> &str {
        &self.text
    }
}

/// What tells two comments apart: where, and a hash of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Key(IssueNumber, u64);

/// The answer to the first of several callers with the same comment, for those who wait.
type Answer = Lane<Option<Comment>>;

/// Comments on their way. Who comes with one that somebody is just posting waits, and gets the same
/// answer (CASES 61); who says the same later means it.
#[derive(Debug, Default)]
pub struct Posts {
    hasher: RandomState,
    open: Mutex<HashMap<Key, Weak<Answer>>>,
}

impl Posts {
    /// The key of a comment.
    pub(super) fn key(&self, number: IssueNumber, text: &str) -> Key {
        Key(number, self.hasher.hash_one(text))
    }

    /// Where those meet who post the same.
    pub(super) fn answer(&self, key: Key) -> Arc<Answer> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|_, answer| answer.strong_count() > 0);
        if let Some(answer) = open.get(&key).and_then(Weak::upgrade) {
            return answer;
        }
        let answer = Arc::default();
        open.insert(key, Arc::downgrade(&answer));
        answer
    }
}

/// Comments that may have been posted although the agent was told otherwise, with their marks.
#[derive(Debug, Default)]
pub struct Doubts(VecDeque<(Key, String)>);

/// An agent comes again soon, or does not.
const DOUBTS_MAX: usize = 16;

impl Doubts {
    pub(super) fn add(&mut self, key: Key, mark: String) {
        if self.0.len() == DOUBTS_MAX {
            self.0.pop_front();
        }
        self.0.push_back((key, mark));
    }

    pub(super) fn take(&mut self, wanted: Key) -> Option<String> {
        let at = self.0.iter().position(|(key, _)| *key == wanted)?;
        self.0.remove(at).map(|(_, mark)| mark)
    }
}
