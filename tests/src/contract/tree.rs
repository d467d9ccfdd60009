//! A work tree, driven by the real git client.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use tempfile::TempDir;
use tokio::{process::Command, time::timeout};

use super::Finding;

/// What one command may take.
const GIT_TIMEOUT: Duration = Duration::from_secs(30);
/// Where git is looked for.
const SEARCH_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Git did not do what was asked.
#[derive(Debug, thiserror::Error)]
#[error("git {command}: {said}")]
pub(super) struct TreeError {
    command: String,
    said: String,
}

impl From<TreeError> for Finding {
    fn from(error: TreeError) -> Self {
        Self::Differs(error.to_string())
    }
}

/// A clone.
#[derive(Debug)]
pub(super) struct Tree {
    path: PathBuf,
    /// The header that says who pushes; in the environment, where no list of processes shows it.
    authorization: String,
}

impl Tree {
    /// Clones with an account's token as its password.
    pub(super) async fn clone(
        folder: &TempDir,
        url: &str,
        (login, token): (&str, &str),
    ) -> Result<Self, TreeError> {
        let name = hex::encode(rand::random::<[u8; 4]>());
        let basic = STANDARD.encode(format!("{login}:{token}"));
        let authorization = format!("Authorization: Basic {basic}");
        let tree = Self { path: folder.path().join(&name), authorization };
        tree.run(folder.path(), &["clone", "--quiet", url, &name]).await?;
        Ok(tree)
    }

    /// Commits a file on a new branch and pushes it; gives the commit.
    pub(super) async fn push(
        &self,
        branch: &str,
        file: &str,
        message: &str,
    ) -> Result<String, TreeError> {
        self.git(&["checkout", "--quiet", "-B", branch, "origin/HEAD"]).await?;
        let written = tokio::fs::write(self.path.join(file), format!("{file}\n")).await;
        written.map_err(|error| failed("checkout", &error.to_string()))?;
        self.git(&["add", file]).await?;
        self.git(&["commit", "--quiet", "--message", message]).await?;
        self.git(&["push", "--quiet", "origin", &format!("HEAD:refs/heads/{branch}")]).await?;
        Ok(self.git(&["rev-parse", "HEAD"]).await?.trim().to_owned())
    }

    /// Runs git in the work tree.
    pub(super) async fn git(&self, args: &[&str]) -> Result<String, TreeError> {
        self.run(&self.path, args).await
    }

    async fn run(&self, folder: &Path, args: &[&str]) -> Result<String, TreeError> {
        let command = args.first().copied().unwrap_or_default();
        let mut git = Command::new("git");
        git.args(args)
            .current_dir(folder)
            .env_clear()
            .envs([("PATH", SEARCH_PATH), ("LC_ALL", "C"), ("GIT_TERMINAL_PROMPT", "0")])
            .envs([("GIT_CONFIG_NOSYSTEM", "1"), ("GIT_CONFIG_GLOBAL", "/dev/null")])
            .envs([("GIT_CONFIG_COUNT", "1"), ("GIT_CONFIG_KEY_0", "http.extraHeader")])
            .env("GIT_CONFIG_VALUE_0", &self.authorization)
            .envs([("GIT_AUTHOR_NAME", "contract"), ("GIT_COMMITTER_NAME", "contract")])
            .envs([
                ("GIT_AUTHOR_EMAIL", "c@example.test"),
                ("GIT_COMMITTER_EMAIL", "c@example.test"),
            ])
            .env("HOME", folder)
            .stdin(std::process::Stdio::null())
            .kill_on_drop(true);
        let ran = timeout(GIT_TIMEOUT, git.output()).await;
        let output = ran.map_err(|_| failed(command, "no end in time"))?;
        let output = output.map_err(|error| failed(command, &error.to_string()))?;
        if !output.status.success() {
            return Err(failed(command, String::from_utf8_lossy(&output.stderr).trim()));
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

fn failed(command: &str, said: &str) -> TreeError {
    TreeError { command: command.to_owned(), said: said.to_owned() }
}
