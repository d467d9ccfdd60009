//! Where the configuration and the data are.

use std::path::{Path, PathBuf};

use super::{Environment, document};

/// The place of a system service's configuration.
const SYSTEM: &str = "/var/lib/bot-bottle/config.toml";

/// `~/.bot-bottle`, the directory of configuration and data unless told otherwise.
pub fn default_dir(env: Environment<'_>) -> PathBuf {
    home(env).join(".bot-bottle")
}

/// The configuration file: the one that is given, else `BOT_BOTTLE_CONFIG`, else that of the user if
/// it is there, else that of the system if it is there.
pub fn config_file(given: Option<PathBuf>, env: Environment<'_>) -> PathBuf {
    let named = || env("BOT_BOTTLE_CONFIG").filter(|path| !path.is_empty()).map(PathBuf::from);
    given.or_else(named).unwrap_or_else(|| {
        let own = default_dir(env).join("config.toml");
        let system = PathBuf::from(SYSTEM);
        // What we may not look at is there: a system service's directory is closed to others.
        let there = |path: &Path| path.try_exists().unwrap_or(true);
        if !there(&own) && there(&system) { system } else { own }
    })
}

/// Where the data is, as far as it can be told from a configuration that may have mistakes: looking
/// at a running daemon must work while its configuration is being changed (CASES 230).
pub fn data_dir(path: &Path, env: Environment<'_>) -> PathBuf {
    let dir = path.parent().unwrap_or_else(|| Path::new("."));
    let named = document::glance(path, "data_dir");
    named.map_or_else(|| dir.to_owned(), |text| resolve(dir, &text, env))
}

/// A path as it is written in a file of `dir`.
pub(super) fn resolve(dir: &Path, text: &str, env: Environment<'_>) -> PathBuf {
    match text.strip_prefix("~/") {
        Some(rest) => home(env).join(rest),
        None => dir.join(text),
    }
}

fn home(env: Environment<'_>) -> PathBuf {
    PathBuf::from(env("HOME").unwrap_or_else(|| "/root".to_owned()))
}
