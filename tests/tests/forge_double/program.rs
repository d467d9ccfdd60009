//! The double as a program of its own.

use std::process::Stdio;

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::Command,
    time::timeout,
};

use super::support::{PATIENCE, try_call};

#[tokio::test]
async fn the_program_plants_its_seed_and_ends_on_sigterm() {
    let folder = tempfile::tempdir().unwrap();
    let seed = folder.path().join("seed.json");
    let content = json!({
        "users": ["alice", "bot"],
        "orgs": [{ "name": "bots", "owner": "alice", "members": ["bot"] }],
        "repos": [{
            "name": "alice/widget",
            "writers": ["bot"],
            "labels": ["bot-bottle:implementer"],
            "issues": ["First"],
        }],
    });
    std::fs::write(&seed, content.to_string()).unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_forge-double"))
        .args(["--listen", "127.0.0.1:0", "--seed"])
        .arg(&seed)
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let line = timeout(PATIENCE, lines.next_line()).await.unwrap().unwrap().unwrap();
    let line: Value = serde_json::from_str(&line).unwrap();
    let token = format!("token {}", line["tokens"]["bot"].as_str().unwrap());
    let base = line["base_url"].as_str().unwrap();
    let url = format!("{base}/api/v1/repos/alice/widget/issues/1");
    let issue = try_call("GET", &url, Some(&token), None).await.unwrap().json();
    assert_eq!(issue["title"], "First");
    let url = format!("{base}/api/v1/orgs/bots/members/bot");
    assert_eq!(try_call("GET", &url, Some(&token), None).await.unwrap().status, 204);

    let id = i32::try_from(child.id().unwrap()).unwrap();
    kill(Pid::from_raw(id), Signal::SIGTERM).unwrap();
    let status = timeout(PATIENCE, child.wait()).await.unwrap().unwrap();
    assert!(status.success());
}
