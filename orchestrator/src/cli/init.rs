//! `orchestrate init`: a configuration to fill in, and a system service for it. What is there already
//! is left alone.

use std::{
    fs::{DirBuilder, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use crate::config::{TEMPLATES, UNIT};

/// Random bytes of the generated webhook secret, 256 bits; it is written in hexadecimal.
const SECRET_BYTES: usize = 32;

/// What was written, and what was there before.
#[derive(Debug, Default, serde::Serialize)]
pub(super) struct Written {
    /// New files.
    pub written: Vec<PathBuf>,
    /// Files that were kept as they are.
    pub kept: Vec<PathBuf>,
}

/// Writes what is missing beside `config`.
///
/// # Errors
/// Those of the file system.
pub(super) fn init(config: &Path) -> io::Result<Written> {
    let dir = config.parent().unwrap_or_else(|| Path::new("."));
    let mut written = Written::default();
    for (name, text) in TEMPLATES {
        let path = if *name == "config.toml" { config.to_owned() } else { dir.join(name) };
        written.note(&path, write_new(&path, text, 0o600)?);
    }
    let path = dir.join("bot-bottle.service");
    written.note(&path, write_new(&path, &unit(config), 0o644)?);
    let secret: [u8; SECRET_BYTES] = rand::random();
    let path = dir.join("secrets/webhook.secret");
    written.note(&path, write_new(&path, &format!("{}\n", hex::encode(secret)), 0o600)?);
    Ok(written)
}

/// Where the published unit has its configuration.
const USUAL: &str = "/var/lib/bot-bottle";

/// The published system service, for a configuration in another place.
fn unit(config: &Path) -> String {
    let dir = config.parent().unwrap_or_else(|| Path::new("/"));
    if dir == Path::new(USUAL) && config.ends_with("config.toml") {
        return UNIT.to_owned();
    }
    let home = ["/home", "/root", "/run/user"].iter().any(|home| dir.starts_with(home));
    let line = |line: &str| match line.split_once('=') {
        Some(("WorkingDirectory", _)) => Some(format!("WorkingDirectory={}", dir.display())),
        // Systemd makes state directories below /var/lib only.
        Some(("StateDirectory", _)) => Some(format!("ReadWritePaths={}", dir.display())),
        Some(("StateDirectoryMode", _)) => None,
        Some(("ProtectHome", _)) if home => Some("ProtectHome=no".to_owned()),
        _ => Some(line.replace(&format!("{USUAL}/config.toml"), &config.display().to_string())),
    };
    UNIT.lines().filter_map(line).map(|line| format!("{line}\n")).collect()
}

impl Written {
    fn note(&mut self, path: &Path, new: bool) {
        if new { &mut self.written } else { &mut self.kept }.push(path.to_owned());
    }
}

/// Writes a file that is not there yet; says whether it did.
fn write_new(path: &Path, text: &str, mode: u32) -> io::Result<bool> {
    if let Some(dir) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    }
    match OpenOptions::new().write(true).create_new(true).mode(mode).open(path) {
        Ok(mut file) => file.write_all(text.as_bytes()).map(|()| true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_service_is_made_for_its_place() {
        assert_eq!(unit(Path::new("/var/lib/bot-bottle/config.toml")), UNIT);
        let moved = unit(Path::new("/home/a/.bot-bottle/config.toml"));
        for line in [
            "ExecStart=/usr/local/bin/orchestrate --config /home/a/.bot-bottle/config.toml serve",
            "WorkingDirectory=/home/a/.bot-bottle",
            "ReadWritePaths=/home/a/.bot-bottle",
            "ProtectHome=no",
        ] {
            assert!(moved.lines().any(|found| found == line), "{line}: {moved}");
        }
        assert!(!moved.contains("/var/lib/bot-bottle"), "{moved}");
    }
}
