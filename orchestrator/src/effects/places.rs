//! A bottle's directories: made by us below a directory that only we may enter, never named by an
//! agent.

use std::{
    fs::{self, DirBuilder, Permissions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use nix::{fcntl::OFlag, sys::stat::Mode};
use protocol::ids::Slug;

use super::{Failure, removal};
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

/// Removes all of a bottle's files; ends early when `go_on` says no.
pub(super) fn remove(places: &Places, go_on: &dyn Fn() -> bool) -> Result<(), Failure> {
    removal::remove_tree(&places.root, go_on).map_err(failed(&places.root))
}

/// Keeps the agent's output in the record of a destroyed bottle: all of it or nothing.
pub(super) fn keep_output(data_dir: &Path, slug: &Slug, output: &str) -> Result<(), Failure> {
    let file = output_file(data_dir, slug);
    if output.is_empty() || file.exists() {
        return Ok(());
    }
    directory(&data_dir.join("records"), 0o700, None)?;
    let draft = file.with_extension("part");
    let written = fs::File::create(&draft).and_then(|mut open| {
        open.write_all(output.as_bytes())?;
        open.sync_all()?;
        fs::rename(&draft, &file)
    });
    written.map_err(failed(&file))
}

/// What was kept; empty when nothing was.
pub(super) fn kept_output(data_dir: &Path, slug: &Slug) -> String {
    fs::read_to_string(output_file(data_dir, slug)).unwrap_or_default()
}

/// Forgets what was kept.
pub(super) fn forget_output(data_dir: &Path, slug: &Slug) {
    // It may never have been kept.
    drop(fs::remove_file(output_file(data_dir, slug)));
}

fn output_file(data_dir: &Path, slug: &Slug) -> PathBuf {
    data_dir.join("records").join(format!("{slug}.out"))
}

/// Owner and mode are set on the open directory and never through a link: what lies in a queue
/// belongs to its sidecar, which may have put a link there. What is right is left alone: each change
/// is told to those who watch the queue, and read again.
fn directory(path: &Path, mode: u32, owner: Option<u32>) -> Result<(), Failure> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed(path))?;
    let flags = OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let open = nix::fcntl::open(path, flags, Mode::empty()).map_err(io::Error::from);
    let open = fs::File::from(open.map_err(failed(path))?);
    let now = open.metadata().map_err(failed(path))?;
    let stranger = owner.filter(|owner| (now.uid(), now.gid()) != (*owner, *owner));
    if let Some(owner) = stranger {
        std::os::unix::fs::fchown(&open, Some(owner), Some(owner)).map_err(failed(path))?;
    }
    if stranger.is_none() && now.mode() & 0o7777 == mode {
        return Ok(());
    }
    open.set_permissions(Permissions::from_mode(mode)).map_err(failed(path))
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> Failure + use<> {
    let path = path.to_owned();
    move |source| Failure::Files { path, source }
}

#[cfg(test)]
mod tests {
    use super::*;

    // CASES 181: a compromised sidecar owns its queue directory.
    #[test]
    fn a_link_in_a_queue_does_not_change_what_it_points_to() {
        let dir = tempfile::tempdir().unwrap();
        let slug = "implementer-k3v9q".parse().unwrap();
        let places = Places::of(dir.path(), &slug);
        ensure(&places, 7).unwrap();
        let victim = dir.path().join("victim");
        fs::create_dir(&victim).unwrap();
        fs::set_permissions(&victim, Permissions::from_mode(0o755)).unwrap();
        fs::remove_dir(places.queue.join("new")).unwrap();
        std::os::unix::fs::symlink(&victim, places.queue.join("new")).unwrap();

        assert!(ensure(&places, 7).is_err());
        let mode = fs::metadata(&victim).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o755, "the link was followed");
        remove(&places, &|| true).unwrap();
        assert!(victim.is_dir() && !places.root.exists());
    }

    #[test]
    fn making_places_may_be_repeated_and_gives_each_its_owner() {
        let dir = tempfile::tempdir().unwrap();
        let slug = "implementer-k3v9q".parse().unwrap();
        let places = Places::of(dir.path(), &slug);
        ensure(&places, 7).unwrap();
        let changed = |path: &Path| {
            let data = fs::metadata(path).unwrap();
            (data.ctime(), data.ctime_nsec())
        };
        let before = changed(&places.queue.join("new"));
        fs::set_permissions(&places.home, Permissions::from_mode(0o4777)).unwrap();
        std::os::unix::fs::chown(&places.queue, Some(1), None).unwrap();
        ensure(&places, 7).unwrap();
        assert_eq!(changed(&places.queue.join("new")), before, "who watches it was told of it");
        let seen = |path: &Path| {
            let data = fs::metadata(path).unwrap();
            (data.uid(), data.mode() & 0o7777)
        };
        let (agent, sidecar) = (uid(7, Role::Bottle), uid(7, Role::Sidecar));
        assert_eq!(seen(&places.home), (agent, 0o700));
        assert_eq!(seen(&places.agent), (sidecar, 0o711));
        assert_eq!(seen(&places.control), (sidecar, 0o700));
        assert_eq!(seen(&places.queue), (sidecar, 0o700));
        assert_eq!(seen(&places.queue.join("new")), (sidecar, 0o700));
    }
}
