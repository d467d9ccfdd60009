//! Addresses below a forge's API root, made of parts that were checked before.
//!
//! No free text becomes a segment, and each part is percent-encoded once, when the URL is made;
//! so nothing in it can climb out of its place (CASES 44).

use protocol::ids::{IssueNumber, Login, RepoName};
use url::Url;

/// Where a call goes: segments below `api/v1/`, and a query.
#[derive(Debug, Clone)]
pub(super) struct Address {
    segments: Vec<String>,
    query: Vec<(&'static str, String)>,
}

impl Address {
    /// Begins with a word of the API.
    pub(super) fn of(word: &'static str) -> Self {
        Self { segments: vec![word.to_owned()], query: Vec::new() }
    }

    /// Begins with a repository: `repos/<owner>/<name>`.
    pub(super) fn repo(repo: &RepoName) -> Self {
        Self::of("repos").login(repo.owner()).add(repo.name())
    }

    /// An issue, or a pull request seen as one.
    pub(super) fn issue(repo: &RepoName, number: IssueNumber) -> Self {
        Self::repo(repo).word("issues").number(number.get())
    }

    /// A pull request.
    pub(super) fn pull(repo: &RepoName, number: IssueNumber) -> Self {
        Self::repo(repo).word("pulls").number(number.get())
    }

    /// A word of the API.
    pub(super) fn word(self, word: &'static str) -> Self {
        self.add(word)
    }

    /// An account.
    pub(super) fn login(self, login: &Login) -> Self {
        self.add(login.as_str())
    }

    /// An id or a number.
    pub(super) fn number(self, number: u64) -> Self {
        self.add(&number.to_string())
    }

    /// A commit.
    pub(super) fn sha(self, sha: &Sha) -> Self {
        self.add(&sha.0)
    }

    /// A query parameter; any text may be its value.
    pub(super) fn query(mut self, name: &'static str, value: impl ToString) -> Self {
        self.query.push((name, value.to_string()));
        self
    }

    fn add(mut self, segment: &str) -> Self {
        self.segments.push(segment.to_owned());
        self
    }

    /// The URL below the API root. `None` when the root is not one that paths can be added to,
    /// which is refused when the client is made.
    pub(super) fn under(&self, root: &Url) -> Option<Url> {
        let mut url = root.clone();
        url.path_segments_mut().ok()?.pop_if_empty().extend(&self.segments);
        if !self.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&self.query);
        }
        Some(url)
    }
}

/// A commit's full hash, which a forge has to prove before it goes into an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sha(String);

impl Sha {
    /// Takes 40 (SHA-1) or 64 (SHA-256) hexadecimal digits.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let hex = text.bytes().all(|b| b.is_ascii_hexdigit());
        (hex && matches!(text.len(), 40 | 64)).then(|| Self(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_stay_below_the_root() {
        let root = Url::parse("https://git.example.org/sub/api/v1/").unwrap();
        let repo: RepoName = "alice/wid.get".parse().unwrap();
        let number = 17.try_into().unwrap();
        let url =
            Address::issue(&repo, number).word("comments").query("q", "a/b&c=%2e%2e").under(&root);
        assert_eq!(
            url.unwrap().as_str(),
            "https://git.example.org/sub/api/v1/repos/alice/wid.get/issues/17/comments?q=a%2Fb%26c%3D%252e%252e"
        );
    }

    // CASES 44
    #[test]
    fn only_a_whole_hash_is_a_commit() {
        assert!(Sha::parse("884f62001e929d9b0c14c66898e1b950ef7e913c").is_some());
        for bad in [
            "",
            "main",
            "../..",
            "884f62",
            "884f62001e929d9b0c14c66898e1b950ef7e913c/..",
            "refs/pull/1/head",
        ] {
            assert!(Sha::parse(bad).is_none(), "{bad:?}");
        }
    }
}
