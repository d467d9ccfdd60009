//! A bottle's directories: made by us below a directory that only we may enter, never named by an
//! agent.

use std::{
    fs::{self, DirBuilder, Permissions},
    io,
    os::unix::fs::{DirBuilderExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use protocol::ids::Slug;

use super::Failure;
use crate::engine::{
    Role,
    spec::{Places, uid},
};

/// Makes what is missing, and gives each directory its owner and mode.
pub(super) fn ensure(places: &Places, serial: u32) -> Result<(), Failure> {
    let (agent, sidecar) = (uid(serial, Role::Bottle), uid(serial, Role::Sidecar));
    directory(&places.root, 0o700, None)?;
    // Entered by the agent to reach the socket, changed by the sidecar alone.
    directory(&places.agent, 0o711, Some(sidecar))?;
    directory(&places.control, 0o700, Some(sidecar))?;
    directory(&places.queue, 0o700, Some(sidecar))?;
    for part in ["tmp", "new", "bad"] {
        directory(&places.queue.join(part), 0o700, Some(sidecar))?;
    }
    directory(&places.home, 0o700, Some(agent))
}

/// Removes all of a bottle's files.
pub(super) fn remove(places: &Places) -> Result<(), Failure> {
    match fs::remove_dir_all(&places.root) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(&places.root)(error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Keeps the agent's output in the record of a destroyed bottle.
pub(super) fn keep_output(data_dir: &Path, slug: &Slug, output: &str) -> Result<(), Failure> {
    let file = output_file(data_dir, slug);
    if output.is_empty() || file.exists() {
        return Ok(());
    }
    directory(&data_dir.join("records"), 0o700, None)?;
    fs::write(&file, output).map_err(failed(&file))
}

/// What was kept; empty when nothing was.
pub(super) fn kept_output(data_dir: &Path, slug: &Slug) -> String {
    fs::read_to_string(output_file(data_dir, slug)).unwrap_or_default()
}

fn output_file(data_dir: &Path, slug: &Slug) -> PathBuf {
    data_dir.join("records").join(format!("{slug}.out"))
}

fn directory(path: &Path, mode: u32, owner: Option<u32>) -> Result<(), Failure> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed(path))?;
    if let Some(owner) = owner {
        std::os::unix::fs::lchown(path, Some(owner), Some(owner)).map_err(failed(path))?;
    }
    fs::set_permissions(path, Permissions::from_mode(mode)).map_err(failed(path))
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> Failure + use<> {
    let path = path.to_owned();
    move |source| Failure::Files { path, source }
}
