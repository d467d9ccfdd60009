//! What `bottle` takes from its environment. Nothing else of it reads variables.

use std::{collections::BTreeMap, ffi::OsString, path::PathBuf};

/// Where the sidecar's socket is mounted when nothing else is said.
pub const SOCKET: &str = "/run/bot-bottle/agent/agent.sock";
/// Where this program is mounted; put in front of the agent's `PATH`.
pub const PROGRAMS: &str = "/opt/bot-bottle/bin";
/// The home of a user that the image does not know: the one directory of the default bottle that
/// is a volume.
const HOME: &str = "/home/agent";
/// The search path when the image sets none (the default of execvp and of Docker).
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Understood by musl and by glibc from 2.35; older ones fall back to `C`.
const LANG: &str = "C.UTF-8";

/// The environment of the process, with defaults for what is not set or empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Environment {
    /// `BOT_BOTTLE_SOCKET`.
    pub socket: PathBuf,
    /// `HOME`; writable.
    pub home: PathBuf,
    /// `PATH` as the image sets it.
    pub path: String,
    /// `LANG`.
    pub lang: String,
    /// All of it: what the image sets (`CARGO_HOME`, `JAVA_HOME`, ...) is for the agent. Nothing in
    /// a bottle's environment is secret.
    pub inherited: BTreeMap<String, String>,
}

impl Environment {
    /// Reads it. A value that is not UTF-8 counts as not set.
    pub fn read() -> Self {
        let text = |(name, value): (OsString, OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        Self::from(std::env::vars_os().filter_map(text).collect())
    }

    fn from(inherited: BTreeMap<String, String>) -> Self {
        let variable = |name: &str| inherited.get(name).cloned();
        let or = |name, default: &str| {
            variable(name).filter(|value| !value.is_empty()).unwrap_or_else(|| default.to_owned())
        };
        // Docker gives `/` to a uid that the image's passwd does not have.
        let home = variable("HOME").filter(|home| !home.is_empty() && home != "/");
        Self {
            socket: or("BOT_BOTTLE_SOCKET", SOCKET).into(),
            home: home.unwrap_or_else(|| HOME.to_owned()).into(),
            path: or("PATH", PATH),
            lang: or("LANG", LANG),
            inherited,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(value: impl Fn(&str) -> String) -> Environment {
        let names = ["BOT_BOTTLE_SOCKET", "HOME", "PATH", "LANG"];
        Environment::from(names.map(|name| (name.to_owned(), value(name))).into())
    }

    #[test]
    fn what_is_not_set_or_empty_has_a_default() {
        let bare = Environment::from(BTreeMap::new());
        assert_eq!(bare.socket, PathBuf::from(SOCKET));
        let empty = with(|_| String::new());
        assert_eq!(
            (&bare.socket, &bare.home, &bare.path),
            (&empty.socket, &empty.home, &empty.path)
        );
        assert_eq!(bare.home, with(|_| "/".to_owned()).home);
        let full = with(|name| format!("/{name}"));
        assert_eq!(full.socket, PathBuf::from("/BOT_BOTTLE_SOCKET"));
        assert_eq!((full.path.as_str(), full.lang.as_str()), ("/PATH", "/LANG"));
    }
}
