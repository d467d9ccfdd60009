//! Reading commits with the files they touch.

use super::{Call, GitError, GitStore};
use crate::forge_double::registry::RepoPath;

/// Between the fields of a commit, and before each commit: bytes that names and messages lack.
const FORMAT: &str = "--format=%x1e%H%x1f%P%x1f%an%x1f%ae%x1f%ad%x1f%cn%x1f%ce%x1f%cd%x1f%B%x1f";

/// Who made a commit, and when (`2026-01-31T12:00:00Z`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// The name.
    pub name: String,
    /// The mail address.
    pub email: String,
    /// The time.
    pub date: String,
}

/// A commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// Its hash.
    pub sha: String,
    /// Its parents' hashes.
    pub parents: Vec<String>,
    /// Who wrote it.
    pub author: Signature,
    /// Who committed it.
    pub committer: Signature,
    /// The whole message, with its last newline.
    pub message: String,
    /// Files it adds.
    pub added: Vec<String>,
    /// Files it removes.
    pub removed: Vec<String>,
    /// Files it changes.
    pub modified: Vec<String>,
}

impl Commit {
    /// All files it touches.
    pub fn paths(&self) -> impl Iterator<Item = &String> {
        self.added.iter().chain(&self.removed).chain(&self.modified)
    }

    fn parse(text: &str) -> Option<Self> {
        let mut fields = text.split('\x1f');
        let mut field = || fields.next().map(str::to_owned);
        let mut commit = Self {
            sha: field()?,
            parents: field()?.split_whitespace().map(str::to_owned).collect(),
            author: Signature { name: field()?, email: field()?, date: field()? },
            committer: Signature { name: field()?, email: field()?, date: field()? },
            message: field()?,
            added: Vec::new(),
            removed: Vec::new(),
            modified: Vec::new(),
        };
        for line in field()?.lines() {
            let Some((status, path)) = line.split_once('\t') else { continue };
            let list = match status {
                "A" => &mut commit.added,
                "D" => &mut commit.removed,
                _ => &mut commit.modified,
            };
            list.push(path.to_owned());
        }
        Some(commit)
    }
}

impl GitStore {
    /// At most `limit` commits of a range such as `["main"]` or `["new", "^old"]`, newest first.
    ///
    /// # Errors
    /// `GitError` when a revision does not exist.
    pub(crate) async fn log(
        &self,
        repo: &RepoPath,
        limit: usize,
        range: &[&str],
    ) -> Result<Vec<Commit>, GitError> {
        let limit = format!("--max-count={limit}");
        let mut args = vec![
            "-c",
            "core.quotePath=false",
            "log",
            "--name-status",
            "--no-renames",
            "--date=format-local:%Y-%m-%dT%H:%M:%SZ",
            FORMAT,
            &limit,
            "--end-of-options",
        ];
        args.extend_from_slice(range);
        args.push("--");
        let text = self.run(repo, Call { args: &args, ..Call::default() }).await?;
        Ok(text.split('\x1e').filter_map(Commit::parse).collect())
    }

    /// One commit; `None` when the revision does not exist.
    pub(crate) async fn commit(&self, repo: &RepoPath, revision: &str) -> Option<Commit> {
        self.log(repo, 1, &[revision]).await.ok()?.into_iter().next()
    }

    /// What changed between two revisions, as text; empty when either does not exist.
    pub(crate) async fn diff(&self, repo: &RepoPath, from: &str, to: &str, path: &str) -> String {
        let args = ["diff", "--end-of-options", from, to, "--", path];
        let all = args.get(..5).unwrap_or(&args);
        let args = if path.is_empty() { all } else { &args };
        self.run(repo, Call { args, ..Call::default() }).await.unwrap_or_default()
    }
}
