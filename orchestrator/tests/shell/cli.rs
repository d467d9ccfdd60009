//! The program as an operator calls it: words, exit codes, and nothing that hangs.

mod interrupts;
mod records;

use std::{
    fs::{self, File},
    io::Write as _,
    path::Path,
    process::{Command, Output, Stdio},
};

use nix::fcntl::{Flock, FlockArg};
use tempfile::TempDir;

use crate::support::{block_on, code_unread, output_of};

pub(crate) fn orchestrate(home: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_orchestrate"));
    command.args(arguments).env_clear().env("HOME", home).env("RUST_LOG", "off");
    // A configuration of the machine that this runs on is not ours.
    command.env("BOT_BOTTLE_CONFIG", home.join(".bot-bottle/config.toml"));
    command.stdin(Stdio::null());
    command
}

fn run(home: &TempDir, arguments: &[&str]) -> Output {
    block_on(output_of(orchestrate(home.path(), arguments)))
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
    for command in [
        "serve",
        "init",
        "config",
        "doctor",
        "status",
        "explain",
        "start",
        "resume",
        "freeze",
        "cancel",
        "destroy",
        "logs",
        "attach",
        "prune",
        "backup",
        "completions",
    ] {
        let help = run(&home, &[command, "--help"]);
        assert!(help.status.success() && help.stderr.is_empty(), "{command}");
        text.push_str(&told(&home, &[command, "--help"]));
    }
    for part in ["check", "show", "schema"] {
        text.push_str(&told(&home, &["config", part, "--help"]));
    }
    insta::assert_snapshot!(text);
}

// CASES 226
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
        &["explain", "owner/repo#7;rm"],
        &["explain", "file:///etc/passwd"],
        &["cancel", "#0"],
        &["resume", "--prompt", "x"],
        &["resume", "7", "--slug", "#7", "--prompt", "x"],
        &["prune"],
        &["prune", "--older-than", "forever"],
        &["prune", "--older-than", "3"],
        &["completions", "tcl"],
        &["status", "--json", "--jsn"],
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
    let mut text = told(&home, &["status"]);
    fs::create_dir(home.path().join(".bot-bottle")).unwrap();
    fs::write(home.path().join(".bot-bottle/config.toml"), "").unwrap();
    let cases: &[&[&str]] = &[
        &["status"],
        &["status", "--json"],
        &["resume", "--slug", "a-bcdfg", "--prompt", "x"],
        &["freeze", "a-bcdfg"],
        &["destroy", "a-bcdfg"],
        &["logs", "a-bcdfg"],
        &["start", "--agent", "a", "--prompt", "x"],
        &["explain", "#7"],
        &["cancel", "7"],
        &["attach", "a-bcdfg"],
        &["logs", "-f", "team/project#7"],
        &["status", "--watch"],
        &["prune", "--older-than", "30d", "--dry-run"],
        &["status", "--config", "/nonexistent/config.toml"],
        &["config", "check", "--config", "/nonexistent/config.toml"],
        &["backup", "/nonexistent/copy.db"],
        &["backup", "/dev/null"],
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

fn token(dir: &Path, name: &str) {
    use std::os::unix::fs::OpenOptionsExt as _;
    let path = dir.join("secrets").join(name);
    let mut file = File::options().write(true).create_new(true).mode(0o600).open(path).unwrap();
    file.write_all(b"0123456789abcdef0123456789abcdef01234567\n").unwrap();
}

/// What an operator does after `init`.
fn fill_in(dir: &Path, forge: &str) {
    for name in ["forge.token", "implementer.token"] {
        token(dir, name);
    }
    let replace = |name: &str, pairs: &[(&str, &str)]| {
        let text = fs::read_to_string(dir.join(name)).unwrap();
        let text = pairs.iter().fold(text, |text, (key, value)| {
            text.replacen(&format!("{key} = \"CHANGE-ME\""), &format!("{key} = \"{value}\""), 1)
                .replacen(&format!("{key} = [\"CHANGE-ME\"]"), &format!("{key} = [\"{value}\"]"), 1)
        });
        fs::write(dir.join(name), text).unwrap();
    };
    replace(
        "config.toml",
        &[("url", forge), ("org", "bot-bottle"), ("repositories", "team/project")],
    );
    replace(
        "agents/implementer.toml",
        &[("login", "implementer-bot"), ("git_email", "bot@example.org"), ("command", "my-agent")],
    );
}

// CASES 218
#[test]
fn what_init_writes_is_right_once_every_placeholder_is_replaced() {
    let home = home();
    run(&home, &["init"]);
    let dir = home.path().join(".bot-bottle");
    let fresh = told(&home, &["config", "check"]);
    fill_in(&dir, "https://git.example.org/");
    let filled = told(&home, &["config", "check"]);
    insta::assert_snapshot!([fresh, filled].concat());
    let config = orchestrator::config::load(&dir.join("config.toml"), &|_| None).unwrap();
    assert_eq!(config.agents.len(), 1);
    // An argument is bounded by Linux, a prompt is not that small.
    let agent = config.agents.values().next().unwrap();
    assert_eq!(agent.prompt_via, protocol::grant::PromptVia::Stdin);
}

// CASES 218, 220
#[test]
fn programs_read_of_a_configuration_what_people_read() {
    let home = home();
    run(&home, &["init"]);
    let json = |arguments: &[&str]| -> serde_json::Value {
        serde_json::from_slice(&run(&home, arguments).stdout).unwrap()
    };
    let checked = json(&["config", "check", "--json"]);
    assert_eq!(checked["ok"], false);
    let mistakes = checked["mistakes"].as_array().unwrap();
    let url = mistakes.iter().find(|mistake| mistake["key"] == "forge.url").unwrap();
    assert!(url["line"].is_u64() && url["column"].is_u64() && url["file"].is_string(), "{url}");
    assert_eq!(run(&home, &["config", "check", "--json"]).status.code(), Some(2));

    let dir = home.path().join(".bot-bottle");
    fill_in(&dir, "https://git.example.org/");
    assert_eq!(json(&["config", "check", "--json"])["ok"], true);
    let shown = json(&["config", "show", "--json"]);
    assert_eq!(shown["forge"]["token"], "[redacted]");
    let text = run(&home, &["config", "show"]).stdout;
    let text = String::from_utf8(text).unwrap();
    assert!(
        text.contains("repositories = [\"team/project\"]") && !text.contains("0123456789"),
        "{text}"
    );
    let schema = json(&["config", "schema", "agent"]);
    assert_eq!(schema["additionalProperties"], false);
    assert!(json(&["config", "schema"])["config.json"].is_object());
}

#[test]
fn completion_scripts_are_what_shells_read() {
    let home = home();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = run(&home, &["completions", shell]);
        assert!(output.status.success(), "{shell}");
        let script = String::from_utf8(output.stdout).unwrap();
        assert!(script.contains("orchestrate") && script.contains("explain"), "{shell}");
    }
    let script = run(&home, &["completions", "bash"]).stdout;
    let file = home.path().join("completion.bash");
    fs::write(&file, script).unwrap();
    let mut bash = Command::new("bash");
    bash.arg("-n").arg(&file).stdin(Stdio::null());
    assert!(block_on(output_of(bash)).status.success());
}

// CASES 213
#[test]
fn a_backup_needs_no_daemon_and_overwrites_nothing() {
    let home = home();
    let data = home.path().join(".bot-bottle");
    fs::create_dir(&data).unwrap();
    drop(orchestrator::store::open(&data.join("bot-bottle.db")).unwrap());
    let copy = home.path().join("copy.db");
    let copy = copy.to_str().unwrap();
    let first = run(&home, &["backup", copy]);
    assert!(first.status.success(), "{}", String::from_utf8_lossy(&first.stderr));
    drop(orchestrator::store::open(Path::new(copy)).unwrap());
    let second = run(&home, &["backup", copy]);
    assert_eq!(second.status.code(), Some(1));
    assert!(String::from_utf8(second.stderr).unwrap().contains("exists already"));
}

// CASES 162, 225, 227
#[test]
fn a_doctor_without_anything_tells_what_is_missing_and_what_to_do() {
    let home = home();
    let mut doctor = orchestrate(home.path(), &["doctor", "--json"]);
    doctor.env("LD_LIBRARY_PATH", "/nonexistent").env("DOCKER_HOST", "tcp://192.0.2.1:2375");
    let output = block_on(output_of(doctor));
    assert_eq!(output.status.code(), Some(1));
    let findings: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let findings = findings.as_array().unwrap();
    let has = |part: &str, grade: &str, words: &str| {
        findings.iter().any(|finding| {
            finding["part"] == part
                && finding["grade"] == grade
                && finding["what"].as_str().unwrap().contains(words)
        })
    };
    assert!(has("configuration", "fail", "mistakes"), "{findings:#?}");
    assert!(has("daemon", "warn", "does not answer"), "{findings:#?}");
    assert!(has("environment", "warn", "DOCKER_HOST"), "{findings:#?}");
    assert!(has("environment", "warn", "LD_LIBRARY_PATH"), "{findings:#?}");
    assert!(has("forge", "skip", "mistakes"), "{findings:#?}");
    let fixes =
        |finding: &&serde_json::Value| finding["grade"] == "fail" || finding["grade"] == "warn";
    for finding in findings.iter().filter(fixes) {
        assert!(finding["fix"].as_str().is_some_and(|fix| !fix.is_empty()), "{finding}");
    }
}

// CASES 162
#[test]
fn a_doctor_does_not_wait_for_an_engine_or_a_forge_that_is_not_there() {
    let home = home();
    run(&home, &["init"]);
    let dir = home.path().join(".bot-bottle");
    // Nobody listens at port 1 of this host.
    fill_in(&dir, "http://127.0.0.1:1/");
    let text = fs::read_to_string(dir.join("config.toml")).unwrap();
    fs::write(dir.join("config.toml"), text.replace("[engine]", "[engine]\nsocket = \"no.sock\""))
        .unwrap();
    let output = run(&home, &["doctor"]);
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stdout).unwrap();
    for words in [
        "ok    configuration",
        "fail  engine",
        "install and start Docker",
        "fail  forge",
        "check forge.url",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
}

// CASES 225
#[test]
fn a_log_of_everything_holds_no_token() {
    use std::io::{BufRead as _, BufReader};
    let forge = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let home = home();
    run(&home, &["init"]);
    let dir = home.path().join(".bot-bottle");
    fill_in(&dir, &format!("http://{}/", forge.local_addr().unwrap()));
    let text = fs::read_to_string(dir.join("config.toml")).unwrap();
    let engine = "[engine]\nsocket = \"engine.sock\"";
    fs::write(dir.join("config.toml"), text.replace("[engine]", engine)).unwrap();
    let asked = std::thread::spawn(move || {
        forge.set_nonblocking(true).unwrap();
        let deadline = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(20);
        while jiff::Timestamp::now() < deadline {
            let Ok((mut stream, _)) = forge.accept() else {
                std::thread::yield_now();
                continue;
            };
            stream.set_nonblocking(false).unwrap();
            stream.set_read_timeout(Some(std::time::Duration::from_secs(5))).unwrap();
            let lines = BufReader::new(stream.try_clone().unwrap()).lines();
            let head: Vec<String> =
                lines.map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
            let told = head.iter().any(|line| line.contains("0123456789abcdef"));
            let answer = "HTTP/1.1 401 Unauthorized\r\ncontent-type: application/json\r\n\
                          content-length: 2\r\nconnection: close\r\n\r\n{}";
            stream.write_all(answer.as_bytes()).unwrap();
            if told {
                return true;
            }
        }
        false
    });
    let levels = "trace,hyper_util::client=trace,hyper=trace,reqwest::connect=trace,rustls=trace";
    let mut doctor = orchestrate(home.path(), &["doctor"]);
    doctor.env("RUST_LOG", levels);
    let output = block_on(output_of(doctor));
    assert!(asked.join().unwrap(), "the token was sent, so that it could have been printed");
    let log = [output.stdout, output.stderr].concat();
    let log = String::from_utf8_lossy(&log);
    assert!(!log.contains("0123456789abcdef"), "{log}");
    assert!(!log.to_lowercase().contains("authorization"), "{log}");
}

// CASES 218
#[test]
fn serve_tells_all_mistakes_at_once() {
    let home = home();
    run(&home, &["init"]);
    let dir = home.path().join(".bot-bottle");
    fill_in(&dir, "nowhere");
    fs::remove_file(dir.join("secrets/implementer.token")).unwrap();
    insta::assert_snapshot!([told(&home, &["serve"]), told(&home, &["serve", "--json"])].concat());
}

// CASES 156
#[test]
fn a_second_daemon_on_the_same_data_is_refused_by_the_first_ones_number() {
    let home = home();
    run(&home, &["init"]);
    let dir = home.path().join(".bot-bottle");
    fill_in(&dir, "https://git.example.org/");
    let mut file = File::create(dir.join("lock")).unwrap();
    writeln!(file, "{}", std::process::id()).unwrap();
    let held =
        Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|(_, error)| error).unwrap();
    let output = run(&home, &["serve"]);
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains(&format!("another daemon (process {})", std::process::id())), "{error}");
    assert!(error.contains("orchestrate status"), "{error}");
    assert!(error.contains(&format!("stop process {}", std::process::id())), "{error}");
    // It takes no calls before its forge has answered.
    let asked = String::from_utf8(run(&home, &["status"]).stderr).unwrap();
    let waits = format!("process {} runs but does not take calls yet", std::process::id());
    assert!(asked.contains(&waits) && !asked.contains("start it"), "{asked}");
    drop(held);
    let asked = String::from_utf8(run(&home, &["status"]).stderr).unwrap();
    assert!(asked.contains("start it"), "{asked}");
}

// CASES 228
#[test]
fn an_output_that_nobody_reads_is_a_success() {
    let home = home();
    for arguments in [
        ["init"].as_slice(),
        &["init", "--json"],
        &["--help"],
        &["--version"],
        &["completions", "bash"],
        &["config", "schema"],
        &["doctor"],
    ] {
        let code = block_on(code_unread(orchestrate(home.path(), arguments)));
        assert_eq!(code, Some(0), "{arguments:?}");
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
        &["config", "check", "--config", config],
        &["doctor", "--config", config],
        &["explain", "\x1b]0;x\x07"],
    ];
    for arguments in cases {
        let output = run(&home, arguments);
        let text = [output.stdout, output.stderr].concat();
        assert!(!text.contains(&0x1b), "{arguments:?}: {}", String::from_utf8_lossy(&text));
    }
    let mut start = orchestrate(home.path(), &["start", "--agent", "a", "--prompt", "x"]);
    start.env("FORGE_ISSUE_NUMBER", issue);
    let output = block_on(output_of(start));
    assert_eq!(output.status.code(), Some(2));
    assert!(!output.stderr.contains(&0x1b), "{}", String::from_utf8_lossy(&output.stderr));
}
