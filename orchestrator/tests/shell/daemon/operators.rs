//! Operators and a daemon, over its real socket.

use std::{process::Output, time::Duration};

use jiff::{SignedDuration, Timestamp};
use orchestrator::{daemon::Running, store::Books};
use orchestrator_core::bottle::{Bottle, Ending, Reason, State, Tier};
use tokio::time::Instant;

use super::{PATIENCE, Rig};
use crate::{
    cli::orchestrate,
    support::{code_unread, name, output_of, queued},
};

/// More than one answer of the daemon holds.
const MANY: u32 = 2500;

/// Runs the program on a rig's daemon.
async fn run(rig: &Rig, arguments: &'static [&'static str]) -> Output {
    let config = rig.place.path("cli.toml");
    std::fs::write(&config, "data_dir = \"data\"\n").unwrap();
    let mut command = orchestrate(&rig.place.path(""), arguments);
    command.arg("--config").arg(config);
    output_of(command).await
}

/// Runs the program while nobody reads what it prints; its exit code.
async fn unread(rig: &Rig, arguments: &[&str]) -> Option<i32> {
    let mut command = orchestrate(&rig.place.path(""), arguments);
    command.arg("--config").arg(rig.place.path("cli.toml"));
    code_unread(command).await
}

async fn keep(running: &Running, bottles: Vec<Bottle>) {
    let save = move |books: &Books<'_>| {
        for bottle in &bottles {
            books.save(bottle, None)?;
            books.log(&bottle.slug, bottle.created_at, "queued")?;
        }
        Ok(())
    };
    running.daemon().store.write(save).await.unwrap();
}

fn slug(serial: u32) -> String {
    let letters: Vec<char> = "bcdfghjkmn".chars().collect();
    let digit = |power: u32| letters[usize::try_from(serial / power % 10).unwrap()];
    format!("a-{}", [10_000, 1000, 100, 10, 1].map(digit).iter().collect::<String>())
}

fn gone(serial: u32, at: Timestamp) -> Bottle {
    let state = State::Destroyed { reason: Reason::Merged, at, cleaning: None, released: true };
    let mut bottle = Bottle { state, ..queued(&slug(serial), serial, u64::from(serial)) };
    // Nothing on the forge decides about it.
    bottle.home.issue = None;
    bottle
}

fn asleep(serial: u32) -> Bottle {
    let state = State::Failed { reason: "x".to_owned(), since: Timestamp::now(), retry: false };
    Bottle { state, waiting: vec![], ..gone(serial, Timestamp::now()) }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_of_thousands_is_whole_whatever_one_answer_holds() {
    let rig = Rig::new().await;
    let running = rig.start().await;
    keep(&running, (1..=MANY).map(asleep).collect()).await;
    let begun = Timestamp::now();
    let output = run(&rig, &["status", "--json"]).await;
    let taken = Timestamp::now().duration_since(begun).as_millis();
    println!("status of {MANY} bottles: {taken} ms, by programs that are not optimised");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let status: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let shown: Vec<&str> =
        status["bottles"].as_array().unwrap().iter().map(|b| b["slug"].as_str().unwrap()).collect();
    let all: Vec<String> = (1..=MANY).rev().map(slug).collect();
    assert_eq!(shown, all);
    assert_eq!(status["next"], serde_json::Value::Null);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn old_records_are_forgotten_if_the_configuration_says_so() {
    let rig = Rig::new().await;
    let running = rig.start().await;
    let old = Timestamp::now() - SignedDuration::from_hours(48);
    keep(&running, vec![gone(1, old), gone(2, Timestamp::now()), asleep(3)]).await;
    running.stop().await;
    let mut config = rig.config();
    config.keep_records = Some(Duration::from_hours(24));
    let running = rig.try_start(config).await.unwrap();
    let deadline = Instant::now() + PATIENCE;
    let there = || running.daemon().store.write(|books| books.bottle(&name(&slug(1))));
    while there().await.unwrap().is_some() {
        assert!(Instant::now() < deadline, "the old one is not forgotten");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let cases: &[(&'static [&'static str], i32)] =
        &[(&["logs", "a-bbbbc"], 12), (&["logs", "a-bbbbd"], 0), (&["logs", "a-bbbbf"], 0)];
    for (arguments, code) in cases {
        assert_eq!(run(&rig, arguments).await.status.code(), Some(*code), "{arguments:?}");
    }
    running.stop().await;
}

// CASES 226, 228
#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_ours_is_refused_with_what_to_do() {
    let rig = Rig::new().await;
    let running = rig.start().await;
    let cases: &[(&'static [&'static str], i32, &str)] = &[
        (&["explain", "other/repo#7"], 11, "add it to forge.repositories"),
        (
            &["explain", "https://git.example.com/team/project/issues/7"],
            11,
            "is not an address on our forge",
        ),
        (&["cancel", "7"], 12, "explain team/project#7"),
        (
            &["start", "--agent", "implementer", "--bottle", "no", "--prompt", "x"],
            11,
            "there is no bottle profile \"no\"\n  hint: ",
        ),
        (&["logs", "-f", "a-bbbbb"], 12, "there is no bottle a-bbbbb"),
        (&["attach", "team/project#7"], 12, "has no bottle"),
        (&["logs", "--output", "--raw", "a-bbbbb"], 12, "there is no bottle"),
    ];
    for (arguments, code, words) in cases {
        let output = run(&rig, arguments).await;
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(*code), "{arguments:?}: {error}");
        assert!(error.contains(words), "{arguments:?}: {error}");
    }
    for arguments in [["status"].as_slice(), &["status", "--json"], &["status", "--watch"]] {
        assert_eq!(unread(&rig, arguments).await, Some(0), "{arguments:?}");
    }
    let nothing = run(&rig, &["status"]).await;
    assert!(String::from_utf8(nothing.stdout).unwrap().starts_with("No bottles."));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sleeper_that_is_resumed_shows_what_it_waits_for() {
    let rig = Rig::new().await;
    let running = rig.start().await;
    let switch = running.daemon().config.kill_switch_file();
    std::fs::write(&switch, b"").unwrap();
    let ending = Ending::Silent { code: 0 };
    let state = State::Frozen { tier: Tier::Hot, since: Timestamp::now(), ending, held: true };
    keep(&running, vec![Bottle { state, ..asleep(1) }]).await;
    let texts = async |arguments: &'static [&'static str]| {
        let output = run(&rig, arguments).await;
        String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
    };
    let before = texts(&["status"]).await;
    assert!(before.contains("running agents are put to sleep"), "{before}");
    assert!(before.contains(&format!("rm {}", switch.display())), "{before}");
    assert!(!before.contains("waits"), "{before}");
    texts(&["resume", "a-bbbbc", "--prompt", "go on"]).await;
    let after = texts(&["status"]).await;
    assert!(after.contains("waits: the kill switch is on"), "{after}");
    let log = texts(&["logs", "a-bbbbc"]).await;
    assert!(log.lines().last().unwrap().contains("will be told: "), "{log}");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_sleeps_already_is_not_put_to_sleep_again() {
    let rig = Rig::new().await;
    let running = rig.start().await;
    let ending = Ending::Silent { code: 0 };
    let state = State::Frozen { tier: Tier::Cold, since: Timestamp::now(), ending, held: true };
    keep(&running, vec![Bottle { state, ..asleep(1) }]).await;
    let output = run(&rig, &["freeze", "a-bbbbc", "--cold"]).await;
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("a-bbbbc is already frozen"), "{text}");
    assert!(text.contains("--config") && text.contains("cli.toml status`"), "{text}");
    running.stop().await;
}
