//! What is left when everything has come to its end: nothing but records.

use std::{
    os::unix::fs::FileTypeExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use super::World;
use crate::rig::{Rig, wait_until_for};

/// For containers and files of bottles that were destroyed last.
const CLEANED: Duration = Duration::from_secs(30);

/// Everything that is left over.
pub(super) async fn take(world: &World) -> Vec<String> {
    let rig = world.rig.read().await;
    let bottles = rig.data_dir().join("bottles");
    let is_clean = async || {
        rig.docker.containers().await.is_ok_and(|names| names.is_empty())
            && below(&bottles).is_empty()
    };
    let mut wrong = Vec::new();
    if wait_until_for(CLEANED, "everything is removed", is_clean).await.is_err() {
        let containers = rig.docker.containers().await;
        let known = containers.unwrap_or_else(|error| vec![error.to_string()]);
        wrong.extend(known.into_iter().map(|name| format!("container {name} is left")));
        let files = below(&bottles);
        wrong.extend(files.into_iter().take(20).map(|path| format!("{} is left", path.display())));
    }
    wrong
        .extend(sockets(&rig).into_iter().map(|path| format!("socket {} is left", path.display())));
    wrong.extend(processes(&rig));
    if !rig.daemon_lives() {
        wrong.push("the daemon does not run".to_owned());
    }
    for line in rig.log().lines().filter(|line| line.contains("panicked")) {
        wrong.push(format!("the daemon's log: {line}"));
    }
    wrong
}

/// Sockets that belong to no running part.
fn sockets(rig: &Rig) -> Vec<PathBuf> {
    let is_socket =
        |path: &PathBuf| path.symlink_metadata().is_ok_and(|found| found.file_type().is_socket());
    let mut all = below(&rig.data_dir());
    all.retain(|path| is_socket(path) && !path.ends_with("operator.sock"));
    all
}

/// Children of the daemon, and processes of the installation that are not the daemon.
fn processes(rig: &Rig) -> Vec<String> {
    let Some(daemon) = rig.daemon_pid() else { return Vec::new() };
    let mark = rig.dir().to_string_lossy().into_owned();
    let mut wrong = Vec::new();
    for process in below_once(Path::new("/proc")) {
        let pid = process.file_name().and_then(|name| name.to_str()?.parse::<u32>().ok());
        let Some(pid) = pid.filter(|pid| *pid != daemon && *pid != std::process::id()) else {
            continue;
        };
        let read = |name: &str| std::fs::read_to_string(process.join(name)).unwrap_or_default();
        let line = read("cmdline").replace('\0', " ");
        let parent = format!("\nPPid:\t{daemon}\n");
        // What looks at the status is of this program.
        if read("status").contains(&parent) || line.contains(&mark) && !line.contains(" status") {
            wrong.push(format!("process {pid} is left: {line}"));
        }
    }
    wrong
}

/// All that lies below a directory, at any depth.
fn below(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![dir.to_owned()];
    while let Some(dir) = open.pop() {
        for path in below_once(&dir) {
            if path.symlink_metadata().is_ok_and(|entry| entry.is_dir()) {
                open.push(path.clone());
            }
            found.push(path);
        }
    }
    found
}

fn below_once(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir).into_iter().flatten();
    entries.filter_map(|entry| Some(entry.ok()?.path())).collect()
}
