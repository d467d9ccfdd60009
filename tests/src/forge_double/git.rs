//! The real git repositories behind the double, one bare repository each.
//!
//! All commands run with an environment of our own: the developer's configuration,
//! hooks and identity must not change what a test sees.

pub(crate) mod commit;
pub(crate) mod log;
pub(crate) mod merge;
pub(crate) mod refs;
pub(crate) mod tree;

use std::{
    path::{Path, PathBuf},
    process::Stdio,
};

use tokio::{io::AsyncWriteExt as _, process::Command};

use super::registry::RepoPath;

/// Where `git` is looked for; the caller's own `PATH` is not taken over.
const SEARCH_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What git prints for "no commit".
pub(crate) const ZERO_SHA: &str = "0000000000000000000000000000000000000000";

/// Writes down what a push changed and its options, in the file the server names.
/// Runs once per accepted push, so two pushes at a time are not mixed up.
const POST_RECEIVE: &str = r#"#!/bin/sh
[ -n "$FORGE_PUSH_RECORD" ] || exit 0
{
    sed 's/^/ref /'
    i=0
    while [ "$i" -lt "${GIT_PUSH_OPTION_COUNT:-0}" ]; do
        eval "printf 'option %s\n' \"\$GIT_PUSH_OPTION_$i\""
        i=$((i + 1))
    done
} > "$FORGE_PUSH_RECORD"
"#;

/// A git command that did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum GitError {
    /// `git` could not be run.
    #[error("run git {command}")]
    Run {
        /// The arguments.
        command: String,
        /// Why.
        source: std::io::Error,
    },
    /// It ran and failed.
    #[error("git {command} failed: {stderr}")]
    Failed {
        /// The arguments.
        command: String,
        /// What it said.
        stderr: String,
    },
    /// A file beside git could not be written.
    #[error("prepare repository at {path}")]
    Prepare {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// One run of git: arguments, standard input, extra environment.
#[derive(Debug, Default)]
pub(crate) struct Call<'a> {
    pub(crate) args: &'a [&'a str],
    pub(crate) input: &'a [u8],
    pub(crate) env: &'a [(&'a str, &'a str)],
}

/// The folder with all repositories.
#[derive(Debug)]
pub(crate) struct GitStore {
    root: PathBuf,
}

impl GitStore {
    /// Keeps repositories below `root`, which must exist.
    pub(crate) fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// The folder of all repositories (`GIT_PROJECT_ROOT`).
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The bare repository.
    pub(crate) fn folder(&self, repo: &RepoPath) -> PathBuf {
        self.root.join(&repo.owner).join(format!("{}.git", repo.name))
    }

    /// `git`, not yet started, cut off from the machine's configuration.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new("git");
        command
            .env_clear()
            .env("PATH", SEARCH_PATH)
            .env("HOME", &self.root)
            .env("LC_ALL", "C")
            .env("TZ", "UTC")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_TERMINAL_PROMPT", "0")
            .current_dir(&self.root)
            .kill_on_drop(true);
        command
    }

    /// Runs git in a repository; gives its standard output.
    ///
    /// # Errors
    /// `GitError` when it cannot run or exits with a failure.
    pub(crate) async fn run(&self, repo: &RepoPath, call: Call<'_>) -> Result<String, GitError> {
        let name = call.args.join(" ");
        let failed = |source| GitError::Run { command: name.clone(), source };
        let mut child = self
            .command()
            .envs(call.env.iter().copied())
            .current_dir(self.folder(repo))
            .args(call.args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(failed)?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(call.input).await.map_err(failed)?;
        }
        let output = child.wait_with_output().await.map_err(failed)?;
        if !output.status.success() {
            let stderr = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            return Err(GitError::Failed { command: name, stderr });
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Runs git with arguments only, and trims what it printed.
    ///
    /// # Errors
    /// As `run`.
    pub(crate) async fn ask(&self, repo: &RepoPath, args: &[&str]) -> Result<String, GitError> {
        let text = self.run(repo, Call { args, ..Call::default() }).await?;
        Ok(text.trim_end().to_owned())
    }

    /// Moves a repository.
    ///
    /// # Errors
    /// `GitError` when the folder says no.
    pub(crate) async fn rename(&self, old: &RepoPath, new: &RepoPath) -> Result<(), GitError> {
        let folder = self.folder(new);
        let prepare = |source| GitError::Prepare { path: folder.clone(), source };
        if let Some(owner) = folder.parent() {
            tokio::fs::create_dir_all(owner).await.map_err(prepare)?;
        }
        tokio::fs::rename(self.folder(old), &folder).await.map_err(prepare)
    }

    /// Makes an empty bare repository, set up as Gitea sets up its own.
    ///
    /// # Errors
    /// `GitError` when the folder or git says no.
    pub(crate) async fn create(&self, repo: &RepoPath, branch: &str) -> Result<(), GitError> {
        let folder = self.folder(repo);
        let hooks = folder.join("hooks");
        let prepare = |source| GitError::Prepare { path: folder.clone(), source };
        // Left by a repository of that name that was removed from the forge.
        if tokio::fs::try_exists(&folder).await.map_err(prepare)? {
            tokio::fs::remove_dir_all(&folder).await.map_err(prepare)?;
        }
        tokio::fs::create_dir_all(&hooks).await.map_err(prepare)?;
        let head = format!("--initial-branch={branch}");
        self.ask(repo, &["init", "--bare", "--quiet", "--template=", &head, "."]).await?;
        let settings = [
            ("http.receivepack", "true"),
            ("receive.advertisePushOptions", "true"),
            // Gitea keeps these refs for itself.
            ("receive.hideRefs", "refs/pull/"),
            ("receive.autogc", "false"),
            ("gc.auto", "0"),
            ("uploadpack.allowAnySHA1InWant", "true"),
            ("uploadpack.allowFilter", "true"),
        ];
        for (key, value) in settings {
            self.ask(repo, &["config", key, value]).await?;
        }
        let hook = hooks.join("post-receive");
        tokio::fs::write(&hook, POST_RECEIVE).await.map_err(prepare)?;
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        tokio::fs::set_permissions(&hook, mode).await.map_err(prepare)
    }
}
