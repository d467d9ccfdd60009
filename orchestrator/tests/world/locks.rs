//! One daemon per directory.

use std::fs;

use orchestrator::daemon::{LockError, ServeError, StateDir};

use crate::installation::{config, furnish};

// CASES 156
#[tokio::test]
async fn a_second_daemon_is_told_who_has_the_directory() {
    let dir = tempfile::tempdir().unwrap();
    furnish(dir.path());
    let config = config(dir.path());
    let first = StateDir::take(&config).await.unwrap();
    let us = std::process::id().to_string();
    match StateDir::take(&config).await {
        Err(ServeError::Lock(LockError::Held { pid, .. })) => assert_eq!(pid, us),
        other => panic!("{other:?}"),
    }
    drop(first);
    // The number of a process that lives says nothing: the lock is the kernel's.
    fs::write(dir.path().join("data/lock"), "1\n").unwrap();
    StateDir::take(&config).await.unwrap();
    assert_eq!(fs::read_to_string(dir.path().join("data/lock")).unwrap().trim(), us);
}
