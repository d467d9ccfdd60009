//! The data directory and the programs for containers.

use std::{
    fs::Metadata,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::Path,
};

use nix::{sys::statvfs::statvfs, unistd::geteuid};

use super::finding::Finding;
use crate::config::{FileSystem, file_system};

/// Below this, agents' work trees soon fill the disk.
const FREE_MIN_BYTES: u64 = 5 << 30;

/// Looks at the data directory and the database in it.
pub(super) fn data(dir: &Path) -> Vec<Finding> {
    let shown = dir.display();
    let mut findings = match std::fs::metadata(dir) {
        Ok(data) if !data.is_dir() => {
            vec![Finding::fail(
                "data",
                format!("{shown} is no directory"),
                "choose another data_dir",
            )]
        }
        Ok(data) => private("data", dir, &data, 0o700).into_iter().collect(),
        Err(error) => {
            let what = format!("{shown}: {error}");
            vec![Finding::warn("data", what, "the daemon makes it when it starts")]
        }
    };
    let database = dir.join("bot-bottle.db");
    if let Ok(data) = std::fs::metadata(&database) {
        findings.extend(private("data", &database, &data, 0o600));
    }
    findings.push(place(dir));
    findings.push(room("data", dir));
    findings
}

/// Looks at the programs that go into containers.
pub(super) fn programs(dir: &Path) -> Vec<Finding> {
    ["sidecar", "bottle"].map(|name| program(&dir.join(name))).into()
}

fn program(path: &Path) -> Finding {
    let shown = path.display();
    match std::fs::metadata(path) {
        Ok(data) if data.is_file() && data.permissions().mode() & 0o111 != 0 => {
            Finding::ok("programs", format!("{shown} is there"))
        }
        Ok(_) => Finding::fail("programs", format!("{shown} is no program"), "make install"),
        Err(error) => Finding::fail(
            "programs",
            format!("{shown}: {error}"),
            "make install, or set engine.programs",
        ),
    }
}

/// A finding for whatever of mode and owner is not as it should be, and one when all is.
fn private(part: &'static str, path: &Path, data: &Metadata, mode: u32) -> Vec<Finding> {
    let shown = path.display();
    let mut findings = Vec::new();
    if data.mode() & 0o077 != 0 {
        let what = format!("{shown} has mode {:o}: others can look into it", data.mode() & 0o7777);
        findings.push(Finding::fail(part, what, &format!("chmod {mode:o} {shown}")));
    }
    let us = geteuid().as_raw();
    if data.uid() != us {
        let what = format!("{shown} belongs to uid {}, this is uid {us}", data.uid());
        findings.push(Finding::fail(part, what, "run this as the daemon's user"));
    }
    if findings.is_empty() {
        findings.push(Finding::ok(part, format!("{shown} is the daemon's alone")));
    }
    findings
}

fn place(dir: &Path) -> Finding {
    let shown = dir.display();
    let fix = "set data_dir to a directory on a local disk";
    match file_system(dir) {
        FileSystem::Disk => Finding::ok("data", format!("{shown} lies on a disk")),
        FileSystem::Memory => {
            Finding::warn("data", format!("{shown} lies in memory: a restart loses it"), fix)
        }
        FileSystem::Shared(kind) => {
            let what = format!("{shown} lies on {kind}: the database's locks cannot be relied on");
            Finding::fail("data", what, fix)
        }
        FileSystem::Layer => {
            let what = format!("{shown} lies in a container's own layer and goes with it");
            Finding::warn("data", what, fix)
        }
        FileSystem::Unknown => Finding::skip("data", format!("what {shown} lies on is not known")),
    }
}

/// How much room there is where `path` lies.
pub(super) fn room(part: &'static str, path: &Path) -> Finding {
    let there = path.ancestors().find(|path| path.exists()).unwrap_or_else(|| Path::new("/"));
    let shown = path.display();
    match statvfs(there) {
        Ok(found) => {
            let free = found.blocks_available().saturating_mul(found.fragment_size());
            let told = format!("{shown} has {} MiB free", free >> 20);
            if free < FREE_MIN_BYTES {
                let fix = "make room: every bottle keeps a work tree there";
                Finding::warn(part, format!("{told}, less than {} MiB", FREE_MIN_BYTES >> 20), fix)
            } else {
                Finding::ok(part, told)
            }
        }
        Err(error) => Finding::skip(part, format!("room at {shown}: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use super::{super::finding::Grade, *};

    #[test]
    fn an_open_directory_and_database_are_told_with_their_modes() {
        let dir = tempfile::tempdir().unwrap();
        let database = dir.path().join("bot-bottle.db");
        fs::write(&database, "").unwrap();
        let mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode));
        mode(dir.path(), 0o755).unwrap();
        mode(&database, 0o644).unwrap();
        let failed: Vec<String> = data(dir.path())
            .into_iter()
            .filter(|finding| finding.grade == Grade::Fail)
            .map(|finding| format!("{} {}", finding.what, finding.fix.unwrap()))
            .collect();
        assert!(
            failed.iter().any(|told| told.contains("mode 755") && told.contains("chmod 700")),
            "{failed:?}"
        );
        assert!(
            failed.iter().any(|told| told.contains("mode 644") && told.contains("chmod 600")),
            "{failed:?}"
        );
        mode(dir.path(), 0o700).unwrap();
        mode(&database, 0o600).unwrap();
        assert!(data(dir.path()).iter().all(|finding| finding.grade != Grade::Fail));
    }

    #[test]
    fn a_missing_program_is_told_with_its_place() {
        let dir = tempfile::tempdir().unwrap();
        let told = programs(dir.path());
        assert!(told.iter().all(|finding| finding.grade == Grade::Fail), "{told:?}");
        assert!(told.iter().any(|finding| finding.what.contains("/sidecar")), "{told:?}");
    }
}
