//! How an agent program is started: its command line, prompt, environment and place.

use std::{
    collections::BTreeMap,
    fs::{DirBuilder, File, OpenOptions},
    io::{self, Seek as _, Write as _},
    net::SocketAddr,
    os::{
        fd::OwnedFd,
        unix::{
            fs::{DirBuilderExt as _, OpenOptionsExt as _},
            process::CommandExt as _,
        },
    },
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use nix::sys::memfd::{MFdFlags, memfd_create};
use protocol::{
    agent::Context,
    error::RpcError,
    grant::{PromptVia, RunSpec},
};
use tokio::net::unix::pipe;

use crate::bottle::config::{Environment, PROGRAMS};

/// Stands for the prompt in an argument.
const PLACEHOLDER: &str = "{prompt}";
/// Hosts that are in the bottle itself.
const NOT_PROXIED: &str = "127.0.0.1,localhost";

/// Where agent programs are started.
#[derive(Debug, Clone)]
pub struct Place {
    /// The environment of PID 1.
    pub environment: Environment,
    /// The sidecar's socket.
    pub socket: PathBuf,
    /// The forwarder's address.
    pub forwarder: SocketAddr,
}

/// A program about to be started.
#[derive(Debug)]
pub struct Launch {
    /// Ready to be spawned.
    pub command: Command,
    /// Where its stdout and stderr come out, in the order in which they were written. Ends when
    /// the command and all its descendants have let go of them.
    pub output: pipe::Receiver,
}

/// Why a run's program was not started.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// The sidecar does not say what this bottle is.
    #[error("cannot learn what this bottle is")]
    Context(#[source] RpcError),
    /// Plain git would not work.
    #[error("cannot set up git")]
    Git(#[source] io::Error),
    /// Nothing to start.
    #[error("the run has no command")]
    NoCommand,
    /// The work tree's directory or the prompt's.
    #[error("cannot make {}", path.display())]
    Directory {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The prompt could not be put down.
    #[error("cannot hand over the prompt")]
    Prompt(#[source] io::Error),
    /// No pipe.
    #[error("cannot make a pipe for the output")]
    Pipe(#[source] io::Error),
    /// The operating system did not start it.
    #[error("cannot start {program}")]
    Start {
        /// What.
        program: String,
        /// Why.
        source: io::Error,
    },
}

impl LaunchError {
    /// As shells report it: 127 for a program that is not there, 126 for one that cannot be run
    /// (POSIX.1-2024, Shell Command Language 2.8.2).
    pub fn exit_code(&self) -> i32 {
        match self {
            Self::Start { source, .. } if source.kind() == io::ErrorKind::NotFound => 127,
            Self::Start { .. }
            | Self::Context(_)
            | Self::Git(_)
            | Self::NoCommand
            | Self::Directory { .. }
            | Self::Prompt(_)
            | Self::Pipe(_) => 126,
        }
    }
}

impl Place {
    /// Puts a run's command together, and its prompt where the program looks for it.
    ///
    /// # Errors
    /// When a directory, the prompt or the pipe cannot be made.
    pub fn launch(&self, spec: &RunSpec, context: &Context) -> Result<Launch, LaunchError> {
        let (program, arguments) = spec.command.split_first().ok_or(LaunchError::NoCommand)?;
        let work = self.environment.home.join("work");
        make_directory(&work, 0o755)?;
        let prompt = self.put_down_prompt(spec)?;
        let (output, output_end) = io::pipe().map_err(LaunchError::Pipe)?;
        let output = pipe::Receiver::from_owned_fd(output.into()).map_err(LaunchError::Pipe)?;
        let mut command = Command::new(program);
        command
            .args(arguments.iter().map(|argument| filled_in(argument, spec)))
            .env_clear()
            .envs(self.variables(spec, context, prompt.file.as_deref()))
            .current_dir(work)
            // Its own group: it and its descendants can be signalled as one.
            .process_group(0)
            .stdin(prompt.stdin)
            .stdout(output_end.try_clone().map_err(LaunchError::Pipe)?)
            .stderr(output_end);
        Ok(Launch { command, output })
    }

    fn put_down_prompt(&self, spec: &RunSpec) -> Result<PutDown, LaunchError> {
        match spec.prompt_via {
            PromptVia::Argument => Ok(PutDown { stdin: Stdio::null(), file: None }),
            PromptVia::Stdin => {
                let stdin = in_memory(&spec.prompt).map_err(LaunchError::Prompt)?;
                Ok(PutDown { stdin: stdin.into(), file: None })
            }
            PromptVia::File => {
                let directory = self.environment.home.join(".bot-bottle");
                make_directory(&directory, 0o700)?;
                let number = spec.run.as_str().rsplit('.').next().unwrap_or_default();
                let path = directory.join(format!("prompt-{number}"));
                write_anew(&path, &spec.prompt).map_err(LaunchError::Prompt)?;
                Ok(PutDown { stdin: Stdio::null(), file: Some(path) })
            }
        }
    }

    /// The whole environment of the program: the image's, then ours, then the run's own; later ones
    /// override.
    fn variables(
        &self,
        spec: &RunSpec,
        context: &Context,
        prompt_file: Option<&Path>,
    ) -> BTreeMap<String, String> {
        let Environment { home, path, lang, inherited, .. } = &self.environment;
        let proxy = format!("http://{}", self.forwarder);
        let number = |number: Option<&_>| number.map(ToString::to_string);
        let always = [
            ("PATH", format!("{PROGRAMS}:{path}")),
            ("HOME", home.display().to_string()),
            ("LANG", lang.clone()),
            ("TERM", "dumb".to_owned()),
            ("BOT_BOTTLE_SOCKET", self.socket.display().to_string()),
            ("FORGE_OWNER", context.repo.owner().to_string()),
            ("FORGE_REPO", context.repo.name().to_owned()),
            // Both spellings: curl reads `http_proxy` in small letters only, others the large ones.
            ("HTTP_PROXY", proxy.clone()),
            ("http_proxy", proxy.clone()),
            ("HTTPS_PROXY", proxy.clone()),
            ("https_proxy", proxy),
            ("NO_PROXY", NOT_PROXIED.to_owned()),
            ("no_proxy", NOT_PROXIED.to_owned()),
        ];
        let sometimes = [
            ("FORGE_ISSUE_NUMBER", number(context.issue.as_ref())),
            ("FORGE_PR_NUMBER", number(context.pull_requests.last())),
            ("BOT_BOTTLE_PROMPT_FILE", prompt_file.map(|path| path.display().to_string())),
        ];
        let sometimes = sometimes.into_iter().filter_map(|(name, value)| Some((name, value?)));
        let ours = always.into_iter().chain(sometimes);
        let ours = ours.map(|(name, value)| (name.to_owned(), value));
        inherited.clone().into_iter().chain(ours).chain(spec.env.clone()).collect()
    }
}

/// Where a prompt lies.
struct PutDown {
    stdin: Stdio,
    file: Option<PathBuf>,
}

fn filled_in(argument: &str, spec: &RunSpec) -> String {
    match spec.prompt_via {
        PromptVia::Argument => argument.replace(PLACEHOLDER, &spec.prompt),
        PromptVia::Stdin | PromptVia::File => argument.to_owned(),
    }
}

/// A file without a name: unlike a pipe it takes a prompt of any size at once, and needs nobody to
/// go on writing while the program does not read.
fn in_memory(prompt: &str) -> io::Result<OwnedFd> {
    let mut file = File::from(memfd_create("prompt", MFdFlags::MFD_CLOEXEC)?);
    file.write_all(prompt.as_bytes())?;
    file.rewind()?;
    Ok(file.into())
}

/// A file that nobody has made before us: what an earlier run put in its place is removed, and a
/// symbolic link is not followed.
fn write_anew(path: &Path, text: &str) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())
}

fn make_directory(path: &Path, mode: u32) -> Result<(), LaunchError> {
    let made = DirBuilder::new().recursive(true).mode(mode).create(path);
    made.map_err(|source| LaunchError::Directory { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn place(home: &Path) -> Place {
        Place {
            environment: Environment {
                socket: "/run/agent.sock".into(),
                home: home.to_owned(),
                path: "/usr/bin".to_owned(),
                lang: "C.UTF-8".to_owned(),
                inherited: BTreeMap::from([
                    ("CARGO_HOME".into(), "/usr/local/cargo".into()),
                    ("TERM".into(), "overridden".into()),
                ]),
            },
            socket: "/run/agent.sock".into(),
            forwarder: ([127, 0, 0, 1], 3128).into(),
        }
    }

    fn spec(via: PromptVia) -> RunSpec {
        RunSpec {
            run: "implementer-k3v9q.12".parse().unwrap(),
            command: vec!["agent".into(), "--say={prompt}".into(), "{prompt}".into()],
            prompt_via: via,
            prompt: "Do it.\n".to_owned(),
            env: BTreeMap::from([("LANG".into(), "de_DE.UTF-8".into()), ("X".into(), "1".into())]),
        }
    }

    fn context() -> Context {
        let value = serde_json::json!({
            "slug": "implementer-k3v9q", "agent": "implementer", "run": null,
            "repo": "alice/widget", "clone_url": "https://git.example.org/alice/widget.git",
            "issue": 17, "pull_requests": [18, 42], "base": "main", "branch": "bot-bottle/17/x",
            "git_name": "Bot", "git_email": "bot@example.org",
            "writes_left": { "this_minute": 30, "today": 500 },
        });
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn the_environment_is_as_recorded() {
        let place = place(Path::new("/home/agent"));
        let file = Path::new("/home/agent/.bot-bottle/prompt-12");
        let all = place.variables(&spec(PromptVia::File), &context(), Some(file));
        let lines: Vec<String> =
            all.iter().map(|(name, value)| format!("{name}={value}")).collect();
        insta::assert_snapshot!("environment", lines.join("\n"));
    }

    #[test]
    fn only_a_prompt_that_goes_by_argument_is_filled_in() {
        let filled = |via| filled_in("--say={prompt}", &spec(via));
        assert_eq!(filled(PromptVia::Argument), "--say=Do it.\n");
        assert_eq!(filled(PromptVia::Stdin), "--say={prompt}");
        assert_eq!(filled(PromptVia::File), "--say={prompt}");
    }

    #[test]
    fn a_prompt_file_is_private_and_follows_no_link() {
        let home = tempfile::tempdir().unwrap();
        let directory = home.path().join(".bot-bottle");
        std::fs::create_dir(&directory).unwrap();
        let victim = home.path().join("victim");
        std::fs::write(&victim, "untouched").unwrap();
        std::os::unix::fs::symlink(&victim, directory.join("prompt-12")).unwrap();

        let put = place(home.path()).put_down_prompt(&spec(PromptVia::File)).unwrap();
        let path = put.file.unwrap();
        assert_eq!(path, directory.join("prompt-12"));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "Do it.\n");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_to_string(&victim).unwrap(), "untouched");
    }

    #[test]
    fn a_home_that_is_no_directory_is_an_error_that_names_it() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = place(file.path()).put_down_prompt(&spec(PromptVia::File)).err().unwrap();
        assert!(error.to_string().contains(".bot-bottle"), "{error}");
        assert_eq!(error.exit_code(), 126);
    }
}
