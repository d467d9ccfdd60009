//! `orchestrate init`: a configuration to fill in. What is there already is left alone.

use std::{
    fs::{DirBuilder, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use crate::config::TEMPLATES;

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
    let secret: [u8; SECRET_BYTES] = rand::random();
    let path = dir.join("secrets/webhook.secret");
    written.note(&path, write_new(&path, &format!("{}\n", hex::encode(secret)), 0o600)?);
    Ok(written)
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
