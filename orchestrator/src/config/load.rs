//! From files and environment to a checked [`Config`], collecting every mistake on the way.

use std::{
    collections::BTreeMap,
    fmt::Display,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use orchestrator_core::{host::HostLimits, timing::Timing};
use protocol::{
    ids::{AgentName, BranchName},
    secret::Secret,
};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;

use super::{
    Agent, Checked, Config, Engine, Mistake, Mistakes, Place,
    document::{self, Document},
    file::{ConfigFile, LimitsFile},
    find,
    paths::{self, Exposure, FileSystem},
    units,
};
use crate::engine::spec::Places;

/// Longest path of a Unix socket, without the NUL that ends it:
/// <https://man7.org/linux/man-pages/man7/unix.7.html>
const SOCKET_PATH_MAX_BYTES: usize = 107;

/// Branches that repositories have already. Git keeps no `main/7/x` beside a `main`.
const TAKEN_BRANCHES: [&str; 5] = ["main", "master", "trunk", "develop", "HEAD"];

/// Where variables come from: the process, or a table in tests.
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Reads `config.toml` at `path` and what lies beside it.
///
/// # Errors
/// All mistakes at once.
pub fn load(path: &Path, env: Environment<'_>) -> Result<Config, Mistakes> {
    check(path, env).config
}

/// Reads `config.toml` at `path` and what lies beside it, and says what is doubtful too.
pub fn check(path: &Path, env: Environment<'_>) -> Checked {
    let mut reader = Reader {
        dir: path.parent().unwrap_or_else(|| Path::new(".")).to_owned(),
        mistakes: vec![],
        warnings: vec![],
        env,
    };
    let config = reader.config(path);
    let order = |mistake: &Mistake| {
        let Place { file, line, column, .. } = &mistake.place;
        (file.clone(), *line, *column)
    };
    reader.mistakes.sort_by_key(order);
    reader.warnings.sort_by_key(order);
    let config = match config {
        Some(config) if reader.mistakes.is_empty() => Ok(config),
        Some(_) | None => Err(Mistakes(reader.mistakes)),
    };
    Checked { config, warnings: reader.warnings }
}

pub(super) struct Reader<'a> {
    pub(super) dir: PathBuf,
    pub(super) mistakes: Vec<Mistake>,
    pub(super) warnings: Vec<Mistake>,
    pub(super) env: Environment<'a>,
}

impl Reader<'_> {
    fn config(&mut self, path: &Path) -> Option<Config> {
        let profiles = self.profiles();
        let agents = self.agents(&profiles);
        let (document, file) = self.document::<ConfigFile>(path)?;
        self.not_open(path);
        let at = |key: &str| document.at(key);
        let data_dir = match &file.data_dir {
            Some(text) => self.path(at("data_dir"), text)?,
            None => self.dir.clone(),
        };
        self.data_is_safe(&at("data_dir"), &data_dir);
        self.sockets_fit(at("data_dir"), &data_dir, &agents);
        let branch_prefix = self.branch_prefix(&document, file.forge.branch_prefix.as_deref());
        let forge = self.forge(&document, file.forge);
        let listen = file.server.listen.unwrap_or_else(|| "127.0.0.1:8700".to_owned());
        let listen = self.parsed(at("server.listen"), &listen, "e.g. \"127.0.0.1:8700\"");
        let socket = match &file.engine.socket {
            Some(text) => Some(self.path(at("engine.socket"), text)?),
            None => None,
        };
        let programs = file.engine.programs.as_deref().unwrap_or("/usr/local/lib/bot-bottle");
        let programs = self.path(at("engine.programs"), programs)?;
        let engine = Engine {
            backend: file.engine.backend.unwrap_or_else(|| "docker".to_owned()),
            socket,
            network: file.engine.network.unwrap_or_else(|| "bot-bottle".to_owned()),
            programs,
        };
        let (timing, poll) = self.timing(&document, &file.limits);
        let host = self.host(&document, &file.limits);
        let keep_records =
            file.keep_records.and_then(|text| self.span(at("keep_records"), Some(&text)));
        Some(Config {
            data_dir,
            forge: forge?,
            listen: listen?,
            engine,
            slots: file.limits.slots.unwrap_or(4),
            host,
            timing,
            poll,
            keep_records,
            branch_prefix: branch_prefix?,
            agents,
            profiles,
        })
    }

    /// Whoever may write our configuration may run programs with our tokens.
    pub(super) fn not_open(&mut self, path: &Path) {
        let Ok(data) = std::fs::metadata(path) else { return };
        if data.mode() & 0o002 != 0 {
            self.wrong::<()>(
                Place::file(path),
                "everybody may change it",
                &format!("chmod o-w {}", path.display()),
            );
        }
        self.way_is_safe(Place::file(path), path);
    }

    /// Nobody else may put something in the place of `path` (CASES 224).
    pub(super) fn way_is_safe(&mut self, place: Place, path: &Path) {
        match paths::exposed(path) {
            Some((dir, Exposure::Everybody)) => {
                self.wrong::<()>(
                    place,
                    format!("everybody may change {}, through which it is found", dir.display()),
                    &format!("chmod o-w {}", dir.display()),
                );
            }
            Some((dir, Exposure::OtherUser)) => self.doubt(
                place,
                format!("another user owns {} and may replace what is in it", dir.display()),
                "keep it where only root and the daemon's user may write",
            ),
            None => {}
        }
    }

    fn data_is_safe(&mut self, place: &Place, data_dir: &Path) {
        self.way_is_safe(place.clone(), data_dir);
        let dir = data_dir.display();
        let doubt = match paths::file_system(data_dir) {
            FileSystem::Memory => {
                Some(format!("{dir} lies in memory: a restart of the host loses it"))
            }
            FileSystem::Shared(kind) => {
                Some(format!("{dir} lies on {kind}, where a database cannot rely on locks"))
            }
            FileSystem::Layer => {
                Some(format!("{dir} lies in a container's own layer and goes with the container"))
            }
            FileSystem::Disk | FileSystem::Unknown => None,
        };
        if let Some(what) = doubt {
            self.doubt(
                place.clone(),
                what,
                "choose a directory on a local disk, e.g. below /var/lib",
            );
        }
        if let Some(tree) = paths::work_tree(data_dir) {
            let what = format!("{dir} lies in the work tree of {}", tree.display());
            self.doubt(place.clone(), what, "keep tokens and records out of what may be committed");
        }
    }

    /// The longest socket's path is a control socket's, of the agent with the longest name.
    fn sockets_fit(
        &mut self,
        place: Place,
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
            place,
            format!("the sockets of {longest} would have paths of {length} bytes, Linux takes {SOCKET_PATH_MAX_BYTES}"),
            &format!(
                "choose one that is {} bytes shorter, e.g. below /var/lib; {} has {}",
                length - SOCKET_PATH_MAX_BYTES,
                data_dir.display(),
                data_dir.as_os_str().len(),
            ),
        )
    }

    fn branch_prefix(&mut self, document: &Document, text: Option<&str>) -> Option<BranchName> {
        let place = document.at("forge.branch_prefix");
        let text = text.unwrap_or("bot-bottle");
        if text.starts_with("refs/") || text == "refs" || TAKEN_BRANCHES.contains(&text) {
            let what = format!("{text:?} is a name that repositories use themselves");
            return self.wrong(place, what, "e.g. \"bot-bottle\"");
        }
        self.parsed(place, text, "e.g. \"bot-bottle\"")
    }

    fn timing(&mut self, document: &Document, file: &LimitsFile) -> (Timing, Duration) {
        let mut timing = Timing::default();
        let at = |key: &str| document.at(&format!("limits.{key}"));
        let variable = (self.env)("FORGE_WATCHDOG_TIMEOUT").filter(|text| !text.is_empty());
        let watchdog = match &variable {
            Some(text) => self.span(Place::variable("FORGE_WATCHDOG_TIMEOUT"), Some(text)),
            None => self.span(at("watchdog"), file.watchdog.as_deref()),
        };
        let spans = [
            (&mut timing.watchdog, watchdog),
            (&mut timing.grace, self.span(at("grace"), file.grace.as_deref())),
            (&mut timing.hot_for, self.span(at("hot_for"), file.hot_for.as_deref())),
        ];
        for (target, given) in spans {
            if let Some(given) = given.and_then(|span| span.try_into().ok()) {
                *target = given;
            }
        }
        let poll = self.span(at("poll"), file.poll.as_deref());
        (timing, poll.unwrap_or(Duration::from_secs(300)))
    }

    fn host(&mut self, document: &Document, file: &LimitsFile) -> HostLimits {
        let mut host = HostLimits::default();
        let at = |key: &str| document.at(&format!("limits.{key}"));
        let sizes = [
            (&mut host.memory_floor, self.size(at("memory_floor"), file.memory_floor.as_deref())),
            (&mut host.disk_floor, self.size(at("disk_floor"), file.disk_floor.as_deref())),
        ];
        for (target, given) in sizes {
            *target = given.unwrap_or(*target);
        }
        host.hot_max = file.hot_bottles.unwrap_or(host.hot_max);
        host
    }

    pub(super) fn size(&mut self, place: Place, text: Option<&str>) -> Option<u64> {
        let text = text?;
        match units::bytes(text) {
            Ok(bytes) => Some(bytes),
            Err(why) => self.wrong(place, format!("{text:?} is not accepted"), why),
        }
    }

    fn span(&mut self, place: Place, text: Option<&str>) -> Option<Duration> {
        let text = text?;
        match units::duration(text) {
            Ok(span) => Some(span),
            Err(why) => self.wrong(place, format!("{text:?} is not accepted"), why),
        }
    }

    // Files, variables, values.

    /// Adds a mistake, unless that key has one already: what follows from it is no news.
    pub(super) fn wrong<T>(&mut self, place: Place, what: impl Display, hint: &str) -> Option<T> {
        let told = self.mistakes.iter().any(|told| match (&told.place.key, &place.key) {
            (Some(told_key), Some(key)) => {
                let item = told_key.strip_prefix(key.as_str());
                told.place.file == place.file
                    && item.is_some_and(|rest| rest.is_empty() || rest.starts_with('['))
            }
            _ => false,
        });
        // Of a list, each item may have its own.
        if !told || place.key.as_ref().is_some_and(|key| key.ends_with(']')) {
            self.mistakes.push(Mistake::new(place, what, hint));
        }
        None
    }

    /// Adds what works but should not stay so.
    pub(super) fn doubt(&mut self, place: Place, what: impl Display, hint: &str) {
        self.warnings.push(Mistake::new(place, what, hint));
    }

    pub(super) fn document<T: DeserializeOwned + JsonSchema>(
        &mut self,
        path: &Path,
    ) -> Option<(Document, T)> {
        Document::read(path, &mut self.mistakes)
    }

    pub(super) fn text(&mut self, place: &Place, path: &Path) -> Option<String> {
        match document::text(path) {
            Ok(text) => Some(text),
            Err(mistake) => self.wrong(
                place.clone(),
                format!("{}: {}", path.display(), mistake.what),
                &mistake.hint,
            ),
        }
    }

    /// A secret's file must be a plain one that only we can read.
    pub(super) fn secret(&mut self, place: &Place, path: &Path) -> Option<Secret> {
        let shown = path.display().to_string();
        let data = match std::fs::metadata(path) {
            Ok(data) => data,
            Err(error) => {
                return self.wrong(
                    place.clone(),
                    format!("cannot read {shown}: {error}"),
                    "write the secret into that file, then chmod 600",
                );
            }
        };
        if data.mode() & 0o077 != 0 {
            let hint = format!("chmod 600 {shown}");
            return self.wrong(place.clone(), format!("others may read {shown}"), &hint);
        }
        if data.uid() != nix::unistd::geteuid().as_raw() {
            let what = format!("{shown} belongs to another user");
            return self.wrong(place.clone(), what, "chown it to the daemon's user");
        }
        self.way_is_safe(place.clone(), path);
        let text = self.text(place, path)?;
        match Secret::parse(&text) {
            Ok(secret) => Some(secret),
            Err(error) => {
                let what = format!("{shown}: {error}");
                self.wrong(place.clone(), what, "one line of text, nothing else")
            }
        }
    }

    /// The variable if it is set, else the file's value; with the place that it came from.
    pub(super) fn setting(
        &mut self,
        variable: &str,
        value: Option<String>,
        place: Place,
        hint: &str,
    ) -> Option<(Place, String)> {
        if let Some(value) = (self.env)(variable).filter(|value| !value.is_empty()) {
            return Some((Place::variable(variable), value));
        }
        Some((place.clone(), self.required(place, value, hint)?))
    }

    pub(super) fn required(
        &mut self,
        place: Place,
        value: Option<String>,
        hint: &str,
    ) -> Option<String> {
        value.filter(|value| !value.is_empty()).or_else(|| self.wrong(place, "it is missing", hint))
    }

    pub(super) fn parsed<T: FromStr<Err: Display>>(
        &mut self,
        place: Place,
        text: &str,
        hint: &str,
    ) -> Option<T> {
        match text.parse() {
            Ok(value) => Some(value),
            Err(error) => self.wrong(place, error, hint),
        }
    }

    /// A path as it is written in `config.toml`.
    pub(super) fn path(&mut self, place: Place, text: &str) -> Option<PathBuf> {
        let dir = self.dir.clone();
        self.path_in(&dir, place, text)
    }

    /// A path as it is written in a file of `dir`.
    pub(super) fn path_in(&mut self, dir: &Path, place: Place, text: &str) -> Option<PathBuf> {
        if text.is_empty() || text.contains('\0') {
            return self.wrong(place, "it is no path", "e.g. \"/var/lib/bot-bottle\"");
        }
        if text.starts_with('~') && !text.starts_with("~/") {
            let what = format!("{text:?}: only a ~/ at its beginning is understood");
            return self.wrong(place, what, "write the whole path");
        }
        Some(find::resolve(dir, text, self.env))
    }
}
