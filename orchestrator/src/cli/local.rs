//! Commands that need no daemon.

use std::path::{Path, PathBuf};

use clap::CommandFactory as _;

use super::{
    args::{Arguments, Completions},
    failure::{Failure, chain},
    init,
    screen::{self, Screen},
    text::harmless,
};
use crate::store;

/// `init`
pub(super) fn init(screen: Screen, path: &Path) -> Result<(), Failure> {
    let written = init::init(path).map_err(|error| {
        let what = format!("cannot write beside {}: {error}", path.display());
        Failure::Other(what, "choose another place with --config".to_owned())
    })?;
    screen.print(&written, || {
        let line = |word: &'static str| {
            move |path: &PathBuf| format!("{word}  {}\n", harmless(&path.display().to_string(), false))
        };
        let mut text: String = written.written.iter().map(line("wrote")).collect();
        text.extend(written.kept.iter().map(line("kept ")));
        text.push_str("\nNext: replace each CHANGE-ME, put the tokens into secrets/ (chmod 600), add the webhook\n");
        text.push_str("to your repository (secrets/webhook.secret), then: orchestrate config check, orchestrate\n");
        text.push_str("doctor, and orchestrate serve, or bot-bottle.service as a system service\n");
        text
    })
}

/// `backup`
pub(super) fn backup(screen: Screen, data_dir: &Path, file: &Path) -> Result<(), Failure> {
    let database = data_dir.join("bot-bottle.db");
    let file = std::path::absolute(file).map_err(Failure::Io)?;
    let refused = |what: String| Failure::Other(what, "choose another place".to_owned());
    if file.exists() {
        return Err(refused(format!("cannot write {}: it exists already", file.display())));
    }
    if let Some(dir) = file.parent().filter(|dir| !dir.is_dir()) {
        return Err(refused(format!("there is no directory {}", dir.display())));
    }
    store::backup(&database, &file).map_err(|error| {
        let hint = if database.exists() { "" } else { "is --config that of the daemon?" };
        Failure::Other(chain(&error), hint.to_owned())
    })?;
    screen.print(&file, || format!("wrote {}\n", harmless(&file.display().to_string(), false)))
}

/// `completions`
pub(super) fn completions(wanted: &Completions) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(wanted.shell, &mut Arguments::command(), "orchestrate", &mut script);
    screen::write(&String::from_utf8_lossy(&script))
}
