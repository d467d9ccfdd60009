//! The program as an operator calls it: words, exit codes, and nothing that hangs.

use std::{
    fs::{self, File},
    io::Write as _,
    path::Path,
    process::{Command, Output, Stdio},
};

use nix::fcntl::{Flock, FlockArg};
use tempfile::TempDir;

fn orchestrate(home: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_orchestrate"));
    command.args(arguments).env_clear().env("HOME", home).env("RUST_LOG", "off");
    command.stdin(Stdio::null());
    command
}

fn run(home: &TempDir, arguments: &[&str]) -> Output {
    orchestrate(home.path(), arguments).output().unwrap()
}

/// Exit code, standard output and standard error, without the home's name.
fn told(home: &TempDir, arguments: &[&str]) -> String {
    let output = run(home, arguments);
    let text = |bytes: &[u8]| {
        String::from_utf8(bytes.to_vec()).unwrap().replace(&home.path().display().to_string(), "~")
    };
    format!(
        "$ orchestrate {}\n{}{}-> {}\n\n",
        arguments.join(" ").escape_debug(),
        text(&output.stdout),
        text(&output.stderr),
        output.status.code().unwrap(),
    )
}

fn home() -> TempDir {
    tempfile::tempdir().unwrap()
}

#[test]
fn every_command_explains_itself() {
    let home = home();
    let mut text = told(&home, &["--help"]);
    for command in ["serve", "init", "status", "start", "resume", "freeze", "destroy", "logs"] {
        let help = run(&home, &[command, "--help"]);
        assert!(help.status.success() && help.stderr.is_empty(), "{command}");
        text.push_str(&told(&home, &[command, "--help"]));
    }
    insta::assert_snapshot!(text);
}

#[test]
fn wrong_command_lines_end_with_2_and_say_why() {
    let home = home();
    let cases: &[&[&str]] = &[
        &[],
        &["explode"],
        &["status", "--jsn"],
        &["start"],
        &["start", "--agent", "Big One", "--prompt", "x"],
        &["start", "--agent", "a", "--prompt", "x", "--issue", "0"],
        &["start", "--agent", "a", "--prompt", "x", "--issue", "7x"],
        &["start", "--agent", "a", "--prompt", "x", "--repo", "team/project#7;rm"],
        &["freeze", "../../etc"],
        &["destroy", "--", "-rf"],
    ];
    let mut text = String::new();
    for arguments in cases {
        let output = run(&home, arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(output.stdout.is_empty() && !output.stderr.is_empty(), "{arguments:?}");
        text.push_str(&told(&home, arguments));
    }
    insta::assert_snapshot!(text);
}

#[test]
fn a_missing_daemon_is_told_with_what_to_do() {
    let home = home();
    let mut text = String::new();
    let cases: &[&[&str]] = &[
        &["status"],
        &["status", "--json"],
        &["resume", "--slug", "a-bcdfg", "--prompt", "x"],
        &["freeze", "a-bcdfg"],
        &["destroy", "a-bcdfg"],
        &["logs", "a-bcdfg"],
        &["start", "--agent", "a", "--prompt", "x"],
    ];
    for arguments in cases {
        text.push_str(&told(&home, arguments));
    }
    insta::assert_snapshot!(text);
    let error = run(&home, &["status", "--json"]).stderr;
    let error: serde_json::Value = serde_json::from_slice(&error).unwrap();
    assert!(error["exit_code"].as_u64().unwrap() >= 10);
}

#[test]
fn init_writes_once_and_keeps_what_is_there() {
    let home = home();
    let first = told(&home, &["init"]);
    let dir = home.path().join(".bot-bottle");
    let secret = fs::read_to_string(dir.join("secrets/webhook.secret")).unwrap();
    assert_eq!(secret.trim_end().len(), 64);
    fs::write(dir.join("config.toml"), "# mine\n").unwrap();
    let second = told(&home, &["init"]);
    assert_eq!(fs::read_to_string(dir.join("config.toml")).unwrap(), "# mine\n");
    assert_eq!(fs::read_to_string(dir.join("secrets/webhook.secret")).unwrap(), secret);
    insta::assert_snapshot!(format!("{first}{second}"));
}

#[test]
fn what_init_writes_loads_once_the_tokens_are_there() {
    use std::os::unix::fs::OpenOptionsExt as _;
    let home = home();
    run(&home, &["init"]);
    let dir = home.path().join(".bot-bottle");
    for token in ["forge.token", "implementer.token"] {
        let mut file = File::options()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(dir.join("secrets").join(token))
            .unwrap();
        file.write_all(b"0123456789abcdef0123456789abcdef01234567\n").unwrap();
    }
    let config = orchestrator::config::load(&dir.join("config.toml"), &|_| None).unwrap();
    assert_eq!(config.agents.len(), 1);
    // An argument is bounded by Linux, a prompt is not that small.
    let agent = config.agents.values().next().unwrap();
    assert_eq!(agent.prompt_via, protocol::grant::PromptVia::Stdin);
}

// CASES 218
#[test]
fn serve_tells_all_mistakes_at_once() {
    let home = home();
    run(&home, &["init"]);
    let dir = home.path().join(".bot-bottle");
    let text = fs::read_to_string(dir.join("config.toml")).unwrap();
    let broken = text.replace("https://git.example.org/", "nowhere");
    fs::write(dir.join("config.toml"), broken).unwrap();
    insta::assert_snapshot!([told(&home, &["serve"]), told(&home, &["serve", "--json"])].concat());
}

// CASES 156
#[test]
fn a_second_daemon_on_the_same_data_is_refused_by_the_first_ones_number() {
    use std::os::unix::fs::OpenOptionsExt as _;
    let home = home();
    run(&home, &["init"]);
    let dir = home.path().join(".bot-bottle");
    for token in ["forge.token", "implementer.token"] {
        let path = dir.join("secrets").join(token);
        let mut file = File::options().write(true).create_new(true).mode(0o600).open(path).unwrap();
        file.write_all(b"0123456789abcdef0123456789abcdef01234567\n").unwrap();
    }
    let mut file = File::create(dir.join("lock")).unwrap();
    writeln!(file, "{}", std::process::id()).unwrap();
    let held =
        Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, error)| error).unwrap();
    let output = run(&home, &["serve"]);
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains(&format!("another daemon (process {})", std::process::id())), "{error}");
    assert!(error.contains("hint: "), "{error}");
    drop(held);
}

// CASES 228
#[test]
fn an_output_that_nobody_reads_is_a_success() {
    let home = home();
    for arguments in [["init"].as_slice(), &["init", "--json"], &["--help"], &["--version"]] {
        let mut child = orchestrate(home.path(), arguments).stdout(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        assert_eq!(child.wait().unwrap().code(), Some(0), "{arguments:?}");
    }
}

// CASES 229
#[test]
fn terminal_commands_in_errors_are_not_obeyed() {
    let home = home();
    let evil = home.path().join("a\x1b]0;owned\x07b");
    fs::create_dir(&evil).unwrap();
    let config = evil.join("config.toml");
    fs::write(&config, "[forge]\n\"\\u001b[31m\" = 1\n").unwrap();
    let config = config.to_str().unwrap();
    let issue = "\x1b[31m7";
    let cases: &[&[&str]] = &[
        &["serve", "--config", config],
        &["status", "--config", config],
        &["freeze", "\x1b[31m"],
        &["start", "--agent", "a", "--prompt", "x", "--issue", issue],
    ];
    for arguments in cases {
        let output = run(&home, arguments);
        let text = [output.stdout, output.stderr].concat();
        assert!(!text.contains(&0x1b), "{arguments:?}: {}", String::from_utf8_lossy(&text));
    }
    let output = orchestrate(home.path(), &["start", "--agent", "a", "--prompt", "x"])
        .env("FORGE_ISSUE_NUMBER", issue)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(!output.stderr.contains(&0x1b), "{}", String::from_utf8_lossy(&output.stderr));
}
