//! What an operator does by hand.

use std::{fs, os::unix::fs::PermissionsExt as _, process::Stdio, time::Duration};

use e2e::{
    forge_double::NewIssue,
    rig::{Fault, REPO, Rig, wait_until},
};
use serde_json::Value;
use tokio::{
    process::{Child, Command},
    time::timeout,
};

use crate::{WAIT, agent, go, story::is_gone};

/// For a command that must end by itself.
const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_starts_resumes_freezes_and_destroys_by_hand() -> Result<(), Fault> {
    let script =
        format!("tail -n 1 >>told\n{WAIT}bottle signal-done success \"told: $(tail -n 1 told)\"\n");
    let rig = Rig::start(&agent(&script)).await?;
    let start = [
        "start",
        "--agent",
        "implementer",
        "--bottle",
        "dev",
        "--prompt",
        "Look around.",
        "--label",
        "tour",
        "--backend",
        "docker",
    ];
    let slug = rig.try_command(&start).await?.trim().to_owned();
    rig.wait_for("running").await?;
    let row = &rig.bottles().await?[0];
    assert_eq!(
        (&row["label"], &row["backend_name"], &row["issue_number"]),
        (&"tour".into(), &"docker".into(), &Value::Null)
    );
    assert_eq!(row["bottle_names"], serde_json::json!(["dev"]));

    go(&rig, &slug).await?;
    rig.wait_for_detail("frozen", "told: Look around.").await?;
    rig.try_command(&["resume", "--slug", &slug, "--prompt", "Look again."]).await?;
    rig.wait_for("running").await?;
    wait_until("it was told", async || {
        rig.try_command(&["logs", &slug])
            .await
            .is_ok_and(|log| log.matches("agent started").count() == 2)
    })
    .await?;
    rig.try_command(&["freeze", &slug]).await?;
    rig.wait_for_detail("frozen", "put to sleep by an operator").await?;

    let again = rig.try_command(&["freeze", &slug]).await.expect_err("it sleeps").to_string();
    assert!(again.contains("is already frozen"), "{again}");
    rig.try_command(&["destroy", &slug]).await?;
    rig.wait_for_detail("destroyed", "by an operator").await?;
    is_gone(&rig, &slug).await?;

    let unknown =
        rig.try_command(&["destroy", "implementer-zzzzz"]).await.expect_err("unknown").to_string();
    assert!(unknown.contains("there is no bottle implementer-zzzzz"), "{unknown}");
    let agent = rig
        .try_command(&["start", "--agent", "nobody", "--prompt", "x"])
        .await
        .expect_err("unknown")
        .to_string();
    assert!(
        agent.contains("there is no agent \"nobody\"") && agent.contains("there are: implementer"),
        "{agent}"
    );
    rig.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_kill_switch_stops_what_runs_and_starts_nothing() -> Result<(), Fault> {
    let mut rig = Rig::start(&agent("sleep 600")).await?;
    rig.ask_for_work("Run", "").await?;
    rig.wait_for("running").await?;
    fs::write(rig.data_dir().join("kill-switch"), "")?;
    // It is looked at with everything else; a restart looks at once.
    rig.end_daemon(nix::sys::signal::Signal::SIGTERM).await?;
    rig.start_daemon().await?;
    rig.wait_for_detail("frozen", "put to sleep by an operator").await?;
    let another = rig.ask_for_work("Another", "").await?.to_string();
    rig.forge.deliveries_settled().await;
    let why = json(&rig, &["explain", &another]).await?;
    assert_eq!((&why["runs"], &why["code"]), (&false.into(), &"kill_switch".into()), "{why}");
    assert_eq!(rig.bottles().await?.len(), 1);
    let refused = rig
        .try_command(&["start", "--agent", "implementer", "--prompt", "x"])
        .await
        .expect_err("off")
        .to_string();
    assert!(refused.contains("the kill switch is on"), "{refused}");
    rig.finish().await
}

/// A command of `orchestrate` that goes on, with its output in a file; it ends with its owner.
fn follow(rig: &Rig, words: &str, output: &str) -> Result<Child, Fault> {
    let file = fs::File::create(rig.dir().join(output))?;
    Ok(Command::new("/bin/sh")
        .args(["-c", &format!("exec {} {words}", rig.command_line())])
        .env_clear()
        .env("HOME", rig.dir())
        .stdin(Stdio::null())
        .stdout(file.try_clone()?)
        .stderr(file)
        .kill_on_drop(true)
        .spawn()?)
}

async fn json(rig: &Rig, words: &[&str]) -> Result<Value, Fault> {
    let words = [words, &["--json"]].concat();
    Ok(serde_json::from_str(&rig.try_command(&words).await?)?)
}

// CASES 226, 229
#[tokio::test(flavor = "multi_thread")]
async fn an_operator_watches_an_issue_being_worked_on_and_cancels_it() -> Result<(), Fault> {
    let script =
        format!("printf 'hello \\033]0;owned\\007 there\\n'\n{WAIT}echo later\nsleep 600\n");
    let rig = Rig::start(&agent(&script)).await?;
    let number = rig.ask_for_work("Watch me", "").await?;
    let unasked = NewIssue { title: "Not for us".to_owned(), ..NewIssue::default() };
    let other = rig.forge.create_issue("alice", REPO, &unasked).await;
    let other = other.map_err(|refusal| format!("{refusal:?}"))?;
    let slug = rig.wait_for("running").await?;

    let why = json(&rig, &["explain", &format!("#{number}")]).await?;
    assert_eq!((&why["bottle"]["slug"], &why["number"]), (&slug.as_str().into(), &number.into()));
    assert!(why["checks"].as_array().is_some_and(|checks| checks.len() > 5), "{why}");
    let address = format!("{}/{REPO}/issues/{other}", rig.forge.base_url());
    let why = json(&rig, &["explain", &address]).await?;
    assert_eq!((&why["runs"], &why["code"]), (&false.into(), &"no_agent_label".into()), "{why}");
    let none = rig.try_command(&["logs", &other.to_string()]).await.expect_err("no bottle");
    assert!(none.to_string().contains("has no bottle"), "{none}");

    let read = |name: &str| fs::read_to_string(rig.dir().join(name)).unwrap_or_default();
    let mut logs = follow(&rig, &format!("logs -f {number}"), "followed")?;
    let mut attached = follow(&rig, &format!("attach {slug}"), "attached")?;
    let mut watched = follow(&rig, "status --watch --json", "watched")?;
    wait_until("the output is told", async || {
        read("followed").contains("hello") && read("attached").contains("hello")
    })
    .await?;
    go(&rig, &slug).await?;
    wait_until("what comes later is told", async || {
        read("followed").contains("| later") && read("attached").contains("later")
    })
    .await?;
    for name in ["followed", "attached"] {
        assert!(
            !read(name).contains('\u{1b}') && read(name).contains("\\u{1b}]0;owned"),
            "{}",
            read(name)
        );
        assert_eq!(read(name).matches("hello").count(), 1, "{}", read(name));
    }
    assert!(read("followed").contains("running: run 1"), "{}", read("followed"));

    rig.try_command(&["cancel", &number.to_string()]).await?;
    is_gone(&rig, &slug).await?;
    assert!(timeout(PATIENCE, logs.wait()).await??.success(), "{}", read("followed"));
    assert!(timeout(PATIENCE, attached.wait()).await??.success(), "{}", read("attached"));
    assert!(read("followed").contains("destroyed: by an operator"), "{}", read("followed"));
    wait_until("the end was watched", async || read("watched").contains("destroyed")).await?;
    let states: Vec<Value> =
        read("watched").lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
    assert!(states.len() > 1, "{states:?}");
    watched.kill().await?;
    rig.finish().await
}

// CASES 213, 230
#[tokio::test(flavor = "multi_thread")]
async fn an_installation_that_works_is_found_healthy_backed_up_and_pruned() -> Result<(), Fault> {
    let rig = Rig::start(&agent("bottle signal-done success done\n")).await?;
    rig.ask_for_work("Do it", "").await?;
    let slug = rig.wait_for("frozen").await?;

    let socket = rig.data_dir().join("operator.sock");
    assert_eq!(fs::metadata(&socket)?.permissions().mode() & 0o777, 0o600);
    rig.try_command(&["config", "check"]).await?;
    let findings = json(&rig, &["doctor"]).await?;
    let findings = findings.as_array().cloned().unwrap_or_default();
    for part in [
        "configuration",
        "daemon",
        "engine",
        "images",
        "forge",
        "repository",
        "webhook",
        "agent",
        "clock",
    ] {
        let of_part = |finding: &&Value| finding["part"] == part && finding["grade"] == "ok";
        assert!(findings.iter().any(|finding| of_part(&finding)), "{part}: {findings:#?}");
    }
    let told = serde_json::to_string(&findings)?;
    for secret in [&rig.daemon_token, &rig.bot_token, &rig.webhook_secret] {
        assert!(!told.contains(secret.as_str()));
    }

    let copy = rig.dir().join("copy.db");
    rig.try_command(&["backup", &copy.display().to_string()]).await?;
    assert_eq!(fs::metadata(&copy)?.permissions().mode() & 0o777, 0o600);
    assert!(fs::metadata(&copy)?.len() > 4096);

    // Half a configuration leads to the daemon that runs, with what that was told at its start.
    let file = rig.dir().join("config.toml");
    let whole = fs::read_to_string(&file)?;
    fs::write(&file, &whole[..whole.len() / 2])?;
    assert_eq!(rig.bottles().await?.len(), 1);
    fs::write(&file, &whole)?;

    rig.try_command(&["cancel", &slug]).await?;
    let nothing = json(&rig, &["prune", "--older-than", "1d"]).await?;
    assert_eq!(nothing, serde_json::json!({ "bottles": [], "logs": [] }));
    wait_until("a second has gone by", async || {
        json(&rig, &["prune", "--older-than", "1s", "--dry-run"])
            .await
            .is_ok_and(|pruned| pruned["logs"] == serde_json::json!([slug]))
    })
    .await?;
    assert!(!rig.op_log(&slug).await?.is_empty(), "a dry run changes nothing");
    rig.try_command(&["prune", "--older-than", "1s"]).await?;
    assert_eq!(rig.op_log(&slug).await?, "");
    assert_eq!(rig.bottles().await?[0]["slug"], slug.as_str());
    rig.finish().await
}
