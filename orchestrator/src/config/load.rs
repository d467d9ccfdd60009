//! From files and environment to a checked [`Config`], collecting every mistake on the way.

use std::{
    collections::BTreeMap,
    fmt::Display,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use forge::webhook::WebhookSecrets;
use orchestrator_core::timing::Timing;
use protocol::{
    grant::{ForgeAccess, ForgeKind, GitIdentity, PromptVia},
    ids::{AgentName, ProfileName},
    secret::Secret,
};
use serde::de::DeserializeOwned;
use url::Url;

use super::{
    Agent, Config, Engine, Forge, Mistake, Mistakes, Profile,
    file::{AgentFile, ConfigFile, ForgeFile, LimitsFile, ProfileFile},
    units,
};
use crate::engine::spec::Places;

/// Largest configuration file; ours have a few KiB (CASES 219).
const FILE_MAX_BYTES: u64 = 1 << 20;

/// Longest path of a Unix socket, without the NUL that ends it:
/// <https://man7.org/linux/man-pages/man7/unix.7.html>
const SOCKET_PATH_MAX_BYTES: usize = 107;

/// Where variables come from: the process, or a table in tests.
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// `~/.bot-bottle`, the directory of configuration and data unless told otherwise.
pub fn default_dir(env: Environment<'_>) -> PathBuf {
    PathBuf::from(env("HOME").unwrap_or_else(|| "/root".to_owned())).join(".bot-bottle")
}

/// Reads `config.toml` at `path` and what lies beside it.
///
/// # Errors
/// All mistakes at once.
pub fn load(path: &Path, env: Environment<'_>) -> Result<Config, Mistakes> {
    let mut reader = Reader {
        dir: path.parent().unwrap_or_else(|| Path::new(".")).to_owned(),
        mistakes: vec![],
        env,
    };
    let config = reader.config(path);
    match config {
        Some(config) if reader.mistakes.is_empty() => Ok(config),
        _ => Err(Mistakes(reader.mistakes)),
    }
}

/// Where the data is, as far as it can be told from a configuration that may have mistakes: looking
/// at a running daemon must work while its configuration is being changed.
pub fn data_dir(path: &Path, env: Environment<'_>) -> PathBuf {
    // A FIFO would hold us up for ever (CASES 219).
    let plain =
        std::fs::metadata(path).is_ok_and(|data| data.is_file() && data.len() <= FILE_MAX_BYTES);
    let text = plain.then(|| std::fs::read_to_string(path).ok()).flatten();
    let table = text.and_then(|text| text.parse::<toml::Table>().ok());
    let named = table.and_then(|table| Some(table.get("data_dir")?.as_str()?.to_owned()));
    let dir = path.parent().unwrap_or_else(|| Path::new("."));
    named.map_or_else(|| dir.to_owned(), |text| resolve(dir, &text, env))
}

/// A path as it is written in a file of `dir`.
fn resolve(dir: &Path, text: &str, env: Environment<'_>) -> PathBuf {
    match text.strip_prefix("~/") {
        Some(rest) => PathBuf::from(env("HOME").unwrap_or_else(|| "/root".to_owned())).join(rest),
        None => dir.join(text),
    }
}

struct Reader<'a> {
    dir: PathBuf,
    mistakes: Vec<Mistake>,
    env: Environment<'a>,
}

impl Reader<'_> {
    fn wrong<T>(&mut self, place: impl Display, what: impl Display, hint: &str) -> Option<T> {
        let mistake =
            Mistake { place: place.to_string(), what: what.to_string(), hint: hint.to_owned() };
        self.mistakes.push(mistake);
        None
    }

    fn config(&mut self, path: &Path) -> Option<Config> {
        let file: ConfigFile =
            self.toml(path, "run `orchestrate init` to write a commented one")?;
        let place = path.display().to_string();
        let data_dir = file.data_dir.map_or_else(|| self.dir.clone(), |text| self.path(&text));
        let profiles = self.profiles();
        let agents = self.agents(&profiles);
        self.sockets_fit(&place, &data_dir, &agents);
        let branch_prefix =
            file.forge.branch_prefix.clone().unwrap_or_else(|| "bot-bottle".to_owned());
        let branch_prefix = self.parsed(
            &format!("{place}: forge.branch_prefix"),
            &branch_prefix,
            "e.g. \"bot-bottle\"",
        );
        let forge = self.forge(&place, file.forge);
        let listen = file.server.listen.unwrap_or_else(|| "127.0.0.1:8700".to_owned());
        let listen =
            self.parsed(&format!("{place}: server.listen"), &listen, "e.g. \"127.0.0.1:8700\"");
        let backend = file.engine.backend.unwrap_or_else(|| "docker".to_owned());
        if backend != "docker" {
            self.wrong::<()>(
                format!("{place}: engine.backend"),
                format!("{backend:?} is unknown"),
                "there is \"docker\"",
            );
        }
        let engine = Engine {
            backend,
            socket: file.engine.socket.map(|text| self.path(&text)),
            network: file.engine.network.unwrap_or_else(|| "bot-bottle".to_owned()),
            programs: self
                .path(file.engine.programs.as_deref().unwrap_or("/usr/local/lib/bot-bottle")),
        };
        let slots = file.limits.slots.unwrap_or(4);
        if slots == 0 {
            self.wrong::<()>(
                format!("{place}: limits.slots"),
                "0 slots let nothing run",
                "use the kill switch to stop everything",
            );
        }
        let (timing, poll) = self.timing(&place, &file.limits);
        Some(Config {
            data_dir,
            forge: forge?,
            listen: listen?,
            engine,
            slots,
            timing,
            poll,
            branch_prefix: branch_prefix?,
            agents,
            profiles,
        })
    }

    /// The longest socket's path is a control socket's, of the agent with the longest name.
    fn sockets_fit(
        &mut self,
        place: &str,
        data_dir: &Path,
        agents: &BTreeMap<AgentName, Agent>,
    ) -> Option<()> {
        let longest = agents.keys().max_by_key(|name| name.as_str().len())?;
        let slug = format!("{longest}-bcdfg").parse().ok()?;
        let length = Places::of(data_dir, &slug).control_socket().as_os_str().len();
        if length <= SOCKET_PATH_MAX_BYTES {
            return Some(());
        }
        self.wrong(
            format!("{place}: data_dir"),
            format!("the sockets of {longest} would have paths of {length} bytes, Linux takes {SOCKET_PATH_MAX_BYTES}"),
            &format!(
                "choose one that is {} bytes shorter, e.g. below /var/lib; {} has {}",
                length - SOCKET_PATH_MAX_BYTES,
                data_dir.display(),
                data_dir.as_os_str().len(),
            ),
        )
    }

    fn forge(&mut self, place: &str, file: ForgeFile) -> Option<Forge> {
        let at = |key: &str| format!("{place}: forge.{key}");
        match file.kind.as_deref() {
            None | Some("gitea" | "forgejo") => {}
            Some(other) => {
                self.wrong::<()>(
                    at("kind"),
                    format!("{other:?} is unknown"),
                    "there are \"gitea\" and \"forgejo\"",
                );
            }
        }
        let url = self.setting(
            "FORGE_GITEA_API",
            file.url,
            &at("url"),
            "e.g. \"https://git.example.org/\"",
        );
        let url = url.and_then(|(place, text)| self.forge_url(&place, &text));
        let org = self.setting(
            "FORGE_ORG",
            file.org,
            &at("org"),
            "the organisation whose members are agents",
        );
        let org = org.and_then(|(place, text)| self.parsed(&place, &text, "an account name"));
        let id = self.parsed(
            &at("id"),
            file.id.as_deref().unwrap_or("gitea"),
            "a short name, e.g. \"gitea\"",
        );
        let token =
            self.required(&at("token_file"), file.token_file, "the file with the daemon's token");
        let token = token.and_then(|file| self.secret(&at("token_file"), &file));
        let secrets: Vec<Secret> = file
            .webhook_secret_files
            .iter()
            .filter_map(|file| self.secret(&at("webhook_secret_files"), file))
            .collect();
        let webhook_secrets = match WebhookSecrets::new(secrets) {
            Ok(secrets) => Some(secrets),
            Err(error) => self.wrong(
                at("webhook_secret_files"),
                error,
                "`orchestrate init` makes a good one; 32 characters or more",
            ),
        };
        if file.repositories.is_empty() {
            self.wrong::<()>(
                at("repositories"),
                "no repository is served",
                "e.g. [\"owner/name\"]",
            );
        }
        let repos = file
            .repositories
            .iter()
            .filter_map(|text| self.parsed(&at("repositories"), text, "write it as \"owner/name\""))
            .collect();
        let ca_pem = match &file.ca_file {
            Some(path) => Some(self.text(&self.path(path), "a certificate in PEM")?),
            None => None,
        };
        let access = ForgeAccess { id: id?, kind: ForgeKind::Gitea, url: url?, ca_pem };
        Some(Forge { access, org: org?, token: token?, webhook_secrets: webhook_secrets?, repos })
    }

    /// A forge's root; `FORGE_GITEA_API` of the first version ends in `/api/v1`.
    fn forge_url(&mut self, place: &str, text: &str) -> Option<Url> {
        let root = text.trim_end_matches('/').trim_end_matches("/api/v1");
        let url = match Url::parse(&format!("{root}/")) {
            Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => url,
            Ok(_) | Err(_) => {
                return self.wrong(
                    place,
                    format!("{text:?} is not a web address"),
                    "e.g. \"https://git.example.org/\"",
                );
            }
        };
        if !url.username().is_empty()
            || url.password().is_some()
            || url.query().is_some()
            || url.fragment().is_some()
        {
            return self.wrong(
                place,
                "the address carries more than host and path",
                "put the token into token_file",
            );
        }
        Some(url)
    }

    fn timing(&mut self, place: &str, file: &LimitsFile) -> (Timing, std::time::Duration) {
        let mut timing = Timing::default();
        let variable = (self.env)("FORGE_WATCHDOG_TIMEOUT");
        let mut span = |place: String, text: Option<&str>| {
            let text = text?;
            match units::duration(text) {
                Ok(span) => Some(span),
                Err(why) => self.wrong(place, format!("{text:?} is not accepted"), why),
            }
        };
        let at = |key: &str| format!("{place}: limits.{key}");
        let watchdog = match &variable {
            Some(text) => span("variable FORGE_WATCHDOG_TIMEOUT".to_owned(), Some(text)),
            None => span(at("watchdog"), file.watchdog.as_deref()),
        };
        let spans = [
            (&mut timing.watchdog, watchdog),
            (&mut timing.grace, span(at("grace"), file.grace.as_deref())),
            (&mut timing.hot_for, span(at("hot_for"), file.hot_for.as_deref())),
        ];
        for (target, given) in spans {
            if let Some(given) = given.and_then(|span| span.try_into().ok()) {
                *target = given;
            }
        }
        let poll =
            span(at("poll"), file.poll.as_deref()).unwrap_or(std::time::Duration::from_secs(300));
        (timing, poll)
    }

    fn agents(&mut self, profiles: &BTreeMap<ProfileName, Profile>) -> BTreeMap<AgentName, Agent> {
        let files = self.files::<AgentFile, AgentName>("agents");
        if files.is_empty() {
            self.wrong::<()>(
                self.dir.join("agents").display(),
                "there is no agent",
                "`orchestrate init` writes an example",
            );
        }
        files
            .into_iter()
            .filter_map(|(name, path, file)| Some((name, self.agent(&path, file, profiles)?)))
            .collect()
    }

    fn agent(
        &mut self,
        path: &Path,
        file: AgentFile,
        profiles: &BTreeMap<ProfileName, Profile>,
    ) -> Option<Agent> {
        let at = |key: &str| format!("{}: {key}", path.display());
        if file.provider != "command" {
            self.wrong::<()>(
                at("provider"),
                format!("{:?} is unknown", file.provider),
                "there is \"command\"",
            );
        }
        if file.command.first().is_none_or(String::is_empty) {
            self.wrong::<()>(at("command"), "there is nothing to run", "e.g. [\"my-agent\"]");
        }
        let prompt_via = file.prompt_via.unwrap_or(PromptVia::Stdin);
        if prompt_via == PromptVia::Argument
            && !file.command.iter().any(|word| word.contains("{prompt}"))
        {
            self.wrong::<()>(
                at("command"),
                "no word holds {prompt}",
                "add it, or choose prompt_via = \"stdin\"",
            );
        }
        let login = self.parsed(&at("login"), &file.login, "the agent's account on the forge");
        if file.git_email.contains(['<', '>', '\n'])
            || file.git_name.as_deref().is_some_and(|n| n.contains(['<', '>', '\n']))
        {
            self.wrong::<()>(
                at("git_email"),
                "names in commits cannot hold <, > or line breaks",
                "leave them out",
            );
        }
        let token = self.secret(&at("token_file"), &relative_to_agents(&file.token_file));
        let mut names = Vec::new();
        for text in file.bottles {
            match text.parse() {
                Ok(name) if profiles.contains_key(&name) => names.push(name),
                Ok(_) | Err(_) => self
                    .wrong(
                        at("bottles"),
                        format!("there is no profile {text:?}"),
                        "write bottles/<name>.toml",
                    )
                    .unwrap_or(()),
            }
        }
        let login: protocol::ids::Login = login?;
        let name = file.git_name.unwrap_or_else(|| login.to_string());
        let identity = GitIdentity { login, name, email: file.git_email };
        Some(Agent {
            identity,
            token: token?,
            profiles: names,
            command: file.command,
            prompt_via,
            env: file.env,
        })
    }

    fn profiles(&mut self) -> BTreeMap<ProfileName, Profile> {
        let files = self.files::<ProfileFile, ProfileName>("bottles");
        files.into_iter().map(|(name, path, file)| (name, self.profile(&path, file))).collect()
    }

    fn profile(&mut self, path: &Path, file: ProfileFile) -> Profile {
        let at = |key: &str| format!("{}: {key}", path.display());
        let memory_bytes = file.memory.and_then(|text| match units::bytes(&text) {
            Ok(bytes) => Some(bytes),
            Err(why) => self.wrong(at("memory"), format!("{text:?} is not accepted"), why),
        });
        if file.pids.is_some_and(|pids| !(16..=32_768).contains(&pids)) {
            self.wrong::<()>(at("pids"), "it must be from 16 to 32768", "512 does for most");
        }
        if file.cpus.is_some_and(|cpus| !(0.01..=1024.0).contains(&cpus)) {
            self.wrong::<()>(at("cpus"), "it must be from 0.01 to 1024", "e.g. 2.0");
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "bounded just above"
        )]
        let millicpus = file.cpus.map(|cpus| (cpus.clamp(0.01, 1024.0) * 1000.0) as u32);
        Profile { image: file.image, memory_bytes, pids: file.pids, millicpus, env: file.env }
    }

    // Files, variables, values.

    /// Every `<dir>/<name>.toml`, in the order of their names.
    fn files<T: DeserializeOwned, N: std::str::FromStr<Err: Display>>(
        &mut self,
        dir: &str,
    ) -> Vec<(N, PathBuf, T)> {
        let dir = self.dir.join(dir);
        let mut paths: Vec<PathBuf> = std::fs::read_dir(&dir)
            .into_iter()
            .flatten()
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.extension().is_some_and(|ending| ending == "toml"))
            .collect();
        paths.sort();
        let mut found = Vec::new();
        for path in paths {
            let stem = path
                .file_stem()
                .map(|stem| stem.to_string_lossy().into_owned())
                .unwrap_or_default();
            let name = self.parsed(&path.display().to_string(), &stem, "rename the file");
            let file = self.toml(&path, "");
            if let (Some(name), Some(file)) = (name, file) {
                found.push((name, path, file));
            }
        }
        found
    }

    fn toml<T: DeserializeOwned>(&mut self, path: &Path, hint: &str) -> Option<T> {
        let text = self.text(path, hint)?;
        match toml::from_str(&text) {
            Ok(file) => Some(file),
            Err(error) => {
                let place = error.span().map_or_else(
                    || path.display().to_string(),
                    |span| {
                        let before = text.get(..span.start).unwrap_or(&text);
                        let line = before.matches('\n').count() + 1;
                        let column =
                            before.rsplit('\n').next().map_or(0, |rest| rest.chars().count()) + 1;
                        format!("{}:{line}:{column}", path.display())
                    },
                );
                self.wrong(place, error.message(), "see `orchestrate init` for every key")
            }
        }
    }

    fn text(&mut self, path: &Path, hint: &str) -> Option<String> {
        match std::fs::metadata(path) {
            Ok(data) if !data.is_file() => {
                return self.wrong(path.display(), "it is not a plain file", hint);
            }
            Ok(data) if data.len() > FILE_MAX_BYTES => {
                return self.wrong(path.display(), "it is larger than 1 MiB", hint);
            }
            Ok(_) => {}
            Err(error) => return self.wrong(path.display(), error, hint),
        }
        match std::fs::read(path).map(String::from_utf8) {
            Ok(Ok(text)) => Some(text),
            Ok(Err(_)) => self.wrong(path.display(), "it is not UTF-8 text", "save it as UTF-8"),
            Err(error) => self.wrong(path.display(), error, hint),
        }
    }

    /// A secret's file must be a plain one that only we can read.
    fn secret(&mut self, place: &str, file: &str) -> Option<Secret> {
        let path = self.path(file);
        let shown = path.display().to_string();
        let data = match std::fs::metadata(&path) {
            Ok(data) => data,
            Err(error) => {
                return self.wrong(
                    place,
                    format!("cannot read {shown}: {error}"),
                    "write the secret into that file, then chmod 600",
                );
            }
        };
        if data.mode() & 0o077 != 0 {
            return self.wrong(
                place,
                format!("others may read {shown}"),
                &format!("chmod 600 {shown}"),
            );
        }
        if data.uid() != nix::unistd::geteuid().as_raw() {
            return self.wrong(
                place,
                format!("{shown} belongs to another user"),
                "chown it to the daemon's user",
            );
        }
        let text = self.text(&path, "write the secret into a plain file")?;
        match Secret::parse(&text) {
            Ok(secret) => Some(secret),
            Err(error) => {
                self.wrong(place, format!("{shown}: {error}"), "one line of text, nothing else")
            }
        }
    }

    /// The variable if it is set, else the file's value; with the place that it came from.
    fn setting(
        &mut self,
        variable: &str,
        value: Option<String>,
        place: &str,
        hint: &str,
    ) -> Option<(String, String)> {
        if let Some(value) = (self.env)(variable).filter(|value| !value.is_empty()) {
            return Some((format!("variable {variable}"), value));
        }
        Some((place.to_owned(), self.required(place, value, hint)?))
    }

    fn required(&mut self, place: &str, value: Option<String>, hint: &str) -> Option<String> {
        value.filter(|value| !value.is_empty()).or_else(|| self.wrong(place, "it is missing", hint))
    }

    fn parsed<T: std::str::FromStr<Err: Display>>(
        &mut self,
        place: &str,
        text: &str,
        hint: &str,
    ) -> Option<T> {
        match text.parse() {
            Ok(value) => Some(value),
            Err(error) => self.wrong(place, error, hint),
        }
    }

    fn path(&self, text: &str) -> PathBuf {
        resolve(&self.dir, text, self.env)
    }
}

/// Agents' files name their paths from their own directory.
fn relative_to_agents(path: &str) -> String {
    if path.starts_with(['/', '~']) { path.to_owned() } else { format!("agents/{path}") }
}
