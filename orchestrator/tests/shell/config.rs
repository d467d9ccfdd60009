//! Configurations that are wrong, and what the operator reads about each.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, chown},
    path::{Path, PathBuf},
    sync::mpsc::sync_channel,
    time::Duration,
};

use nix::{sys::stat::Mode, unistd::mkfifo};
use orchestrator::config::{
    Config, FileSystem, Mistakes, check, config_file, data_dir, effective, file_system, load,
    schemas,
};
use tempfile::TempDir;

const GOOD: &str = r#"
[forge]
url = "https://git.example.org/"
org = "bot-bottle"
repositories = ["team/project"]
token_file = "secrets/forge.token"
webhook_secret_files = ["secrets/webhook.secret"]
"#;
const AGENT: &str = r#"
login = "implementer-bot"
git_email = "implementer-bot@example.org"
token_file = "../secrets/implementer.token"
bottles = ["default"]
provider = "command"
command = ["my-agent"]
"#;

pub(crate) struct Place(TempDir);

impl Place {
    pub(crate) fn new() -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        for dir in ["agents", "bottles", "secrets"] {
            fs::create_dir(place.path(dir)).unwrap();
        }
        place.write("config.toml", GOOD.as_bytes());
        place.write("agents/implementer.toml", AGENT.as_bytes());
        place.write("bottles/default.toml", b"memory = \"1GiB\"\n");
        place.secret("forge.token", b"0123456789012345678901234567890123456789\n");
        place.secret("implementer.token", b"9876543210987654321098765432109876543210\n");
        place.secret("webhook.secret", &[b'w'; 40]);
        place
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, content: &[u8]) {
        fs::write(self.path(name), content).unwrap();
    }

    fn secret(&self, name: &str, content: &[u8]) {
        let path = self.path("secrets").join(name);
        fs::write(&path, content).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
    }

    fn replace(&self, name: &str, from: &str, to: &str) {
        let text = fs::read_to_string(self.path(name)).unwrap();
        assert!(text.contains(from), "{name} has no {from}");
        self.write(name, text.replace(from, to).as_bytes());
    }

    fn load_with(&self, env: &'static [(&'static str, &'static str)]) -> Result<Config, Mistakes> {
        let path = self.path("config.toml");
        in_time(move || {
            load(&path, &|name| {
                env.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
            })
        })
    }

    pub(crate) fn load(&self) -> Result<Config, Mistakes> {
        self.load_with(&[])
    }

    /// What is printed, without the directory's name.
    fn mistakes(&self) -> String {
        let Err(Mistakes(mistakes)) = self.load() else { return "none\n".to_owned() };
        self.told(&mistakes)
    }

    fn told(&self, mistakes: &[orchestrator::config::Mistake]) -> String {
        let dir = self.0.path().display().to_string();
        let line = |m: &orchestrator::config::Mistake| format!("{m}\n  hint: {}\n", m.hint);
        mistakes.iter().map(line).collect::<String>().replace(&dir, "<dir>")
    }

    fn key(&self, line: &str) {
        self.replace("config.toml", "org =", &format!("{line}\norg ="));
    }
}

/// Fails instead of hanging (CASES 219).
fn in_time<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let (answer, answered) = sync_channel(1);
    std::thread::spawn(move || answer.send(work()));
    answered.recv_timeout(Duration::from_secs(1)).expect("an answer within a second")
}

type Change = fn(&Place);

// CASES 6, 218-224, 231
#[test]
fn each_mistake_is_told_with_its_place_and_what_to_do() {
    let cases: &[(&str, Change)] = &[
        ("nothing wrong", |_| {}),
        ("unknown key", |p| p.replace("config.toml", "org =", "orgg = 1\norg =")),
        ("unknown table", |p| p.replace("config.toml", "[forge]", "[frge]\n[forge]")),
        ("wrong type", |p| p.replace("config.toml", "\"bot-bottle\"", "5")),
        ("key twice", |p| p.replace("config.toml", "org =", "org = \"a\"\norg =")),
        ("no TOML", |p| p.write("config.toml", b"{ \"forge\": 1 }")),
        ("empty", |p| p.write("config.toml", b"")),
        ("missing", |p| fs::remove_file(p.path("config.toml")).unwrap()),
        ("UTF-16", |p| p.write("config.toml", b"\xff\xfe[\0f\0")),
        ("a directory", |p| {
            fs::remove_file(p.path("config.toml")).unwrap();
            fs::create_dir(p.path("config.toml")).unwrap();
        }),
        ("a FIFO", |p| fifo(&p.path("config.toml"))),
        ("2 MiB", |p| p.write("config.toml", &vec![b'#'; 2 << 20])),
        ("100 MB", |p| {
            fs::File::create(p.path("config.toml")).unwrap().set_len(100_000_000).unwrap();
        }),
        ("secret open to others", |p| {
            let open = fs::Permissions::from_mode(0o644);
            fs::set_permissions(p.path("secrets/forge.token"), open).unwrap();
        }),
        ("secret missing", |p| fs::remove_file(p.path("secrets/forge.token")).unwrap()),
        ("secret of another user", |p| {
            chown(p.path("secrets/forge.token"), Some(4242), None).unwrap();
        }),
        ("secret with NUL", |p| p.secret("forge.token", b"0123\x004567")),
        ("secret of two lines", |p| p.secret("forge.token", b"0123\n4567\n")),
        ("secret empty", |p| p.secret("forge.token", b"\n")),
        ("secret a FIFO", |p| {
            fifo(&p.path("secrets/forge.token"));
            let closed = fs::Permissions::from_mode(0o600);
            fs::set_permissions(p.path("secrets/forge.token"), closed).unwrap();
        }),
        ("secret inline", |p| p.replace("config.toml", "org =", "token = \"x\"\norg =")),
        ("short webhook secret", |p| p.secret("webhook.secret", b"hunter2")),
        ("no webhook secret", |p| {
            p.replace("config.toml", "[\"secrets/webhook.secret\"]", "[]");
        }),
        ("no agents", |p| fs::remove_dir_all(p.path("agents")).unwrap()),
        ("agent's name", |p| {
            fs::rename(p.path("agents/implementer.toml"), p.path("agents/Big One.toml")).unwrap();
        }),
        ("unknown profile", |p| p.replace("agents/implementer.toml", "default", "nope")),
        ("unknown provider", |p| p.replace("agents/implementer.toml", "\"command\"", "\"magic\"")),
        ("no command", |p| p.replace("agents/implementer.toml", "\"my-agent\"", "")),
        ("no {prompt}", |p| {
            p.replace(
                "agents/implementer.toml",
                "command = [",
                "prompt_via = \"argument\"\ncommand = [",
            );
        }),
        ("line break in a commit's name", |p| {
            p.replace("agents/implementer.toml", "bot@example.org", "bot\\n@example.org");
        }),
        ("bad times", |p| {
            p.write("config.toml", format!("{GOOD}[limits]\nwatchdog = \"0s\"\ngrace = \"1e9h\"\nhot_for = \"-1s\"\npoll = \"soon\"\nslots = 0\n").as_bytes());
        }),
        ("bad sizes", |p| {
            p.write("bottles/default.toml", b"memory = \"4G\"\npids = 1\ncpus = 0.0\n");
        }),
        ("user and password in the address", |p| {
            p.replace("config.toml", "https://git", "https://u:hunter2@git");
        }),
        ("no web address", |p| p.replace("config.toml", "https://git", "file:///git")),
        ("repository's name", |p| p.replace("config.toml", "team/project", "team/*")),
        ("no repository", |p| p.replace("config.toml", "\"team/project\"", "")),
        ("branch prefix", |p| p.replace("config.toml", "org =", "branch_prefix = \"../\"\norg =")),
        ("unknown engine and forge", |p| {
            p.write(
                "config.toml",
                format!(
                    "{}[engine]\nbackend = \"podman\"\n",
                    GOOD.replace("org =", "kind = \"svn\"\norg =")
                )
                .as_bytes(),
            );
        }),
        ("still placeholders", |p| {
            p.replace("config.toml", "https://git.example.org/", "CHANGE-ME");
            p.replace("config.toml", "team/project", "CHANGE-ME");
            p.replace("agents/implementer.toml", "my-agent", "CHANGE-ME");
        }),
        ("patterns and addresses on the allow-list", |p| {
            p.replace(
                "config.toml",
                "\"team/project\"",
                r#""*", "team/*", "*.com", ".com", "localhost", "10.0.0.1", "https://h/team/project",
                "u@h/team", "team/project/x", "team/project:1", "team/project", "Team/Project""#,
            );
        }),
        ("branch prefix of a ref", |p| p.key("branch_prefix = \"refs/heads/x\"")),
        ("branch prefix of the default branch", |p| p.key("branch_prefix = \"main\"")),
        ("branch prefix empty", |p| p.key("branch_prefix = \"\"")),
        ("branch prefix with a slash at its end", |p| p.key("branch_prefix = \"bots/\"")),
        ("branch prefix with a star", |p| p.key("branch_prefix = \"bots*\"")),
        ("somebody else's home", |p| {
            p.write("config.toml", format!("data_dir = \"~bob/data\"\n{GOOD}").as_bytes());
        }),
        ("configuration that everybody may change", |p| {
            let open = fs::Permissions::from_mode(0o666);
            fs::set_permissions(p.path("config.toml"), open).unwrap();
        }),
        ("a link through a directory that everybody may change", |p| {
            fs::create_dir(p.path("open")).unwrap();
            fs::create_dir(p.path("data")).unwrap();
            std::os::unix::fs::symlink(p.path("data"), p.path("open/link")).unwrap();
            fs::set_permissions(p.path("open"), fs::Permissions::from_mode(0o777)).unwrap();
            p.write("config.toml", format!("data_dir = \"open/link/x\"\n{GOOD}").as_bytes());
        }),
        ("images", |p| {
            p.write("bottles/a.toml", b"image = \"debian:12\"\n");
            p.write("bottles/b.toml", b"image = \"debian:12\"\nallow_unpinned = true\n");
            p.write("bottles/c.toml", b"image = \"debian@sha256:12\"\nallow_unpinned = true\n");
            let pinned = format!("image = \"debian:12@sha256:{}\"\n", "0a".repeat(32));
            p.write("bottles/d.toml", pinned.as_bytes());
            p.write("bottles/e.toml", b"image = \"--privileged\"\n");
        }),
        ("everything in one file at once", |p| {
            p.write("config.toml", b"[forge]\nurl = 5\norg = \"a\"\norg = \"b\"\nrepositorys = []\nid = true\n\
                [limits]\nslots = \"4\"\nwatch = \"1h\"\npoll = \"0\"\n[sever]\nlisten = \"x\"\n[server]\nlisten = \"x\"\n");
        }),
        ("several at once", |p| {
            p.replace("config.toml", "https://git.example.org/", "git");
            p.replace("config.toml", "bot-bottle", "");
            fs::remove_file(p.path("secrets/forge.token")).unwrap();
            p.replace("agents/implementer.toml", "default", "nope");
            p.write("bottles/other.toml", b"color = \"red\"\n");
        }),
    ];
    let mut told = String::new();
    for (what, change) in cases {
        let place = Place::new();
        change(&place);
        told.push_str(&["== ", what, "\n", &place.mistakes()].concat());
    }
    assert!(!told.contains("hunter2"), "a password is not repeated");
    insta::assert_snapshot!(told);
}

fn fifo(path: &Path) {
    fs::remove_file(path).unwrap();
    mkfifo(path, Mode::S_IRWXU).unwrap();
}

// CASES 219
#[test]
fn line_ends_and_a_byte_order_mark_of_other_systems_are_no_mistake() {
    let place = Place::new();
    place.write("config.toml", GOOD.replace('\n', "\r\n").as_bytes());
    place.load().unwrap();
    place.write("config.toml", format!("\u{feff}{GOOD}").as_bytes());
    place.load().unwrap();
}

// CASES 218: a program reads where a mistake is, too.
#[test]
fn a_mistake_has_its_file_line_column_and_key() {
    let place = Place::new();
    place.key("  repositorys = []");
    let Mistakes(mistakes) = place.load().unwrap_err();
    let [mistake] = mistakes.as_slice() else { panic!("{mistakes:?}") };
    assert_eq!(mistake.place.file, Some(place.path("config.toml")));
    assert_eq!((mistake.place.line, mistake.place.column), (Some(4), Some(3)));
    assert_eq!(mistake.place.key.as_deref(), Some("forge.repositorys"));
    assert_eq!(mistake.hint, "did you mean repositories?");
}

// CASES 220, 224
#[test]
fn what_works_and_should_not_stay_so_is_told_without_refusing() {
    let place = Place::new();
    place.replace("config.toml", "https://git.", "http://git.");
    fs::create_dir(place.path(".git")).unwrap();
    place.write(
        "agents/implementer.toml",
        format!("{AGENT}[env]\nMODEL_API_KEY = \"x\"\nLANG = \"C\"\n").as_bytes(),
    );
    let checked = check(&place.path("config.toml"), &|_| None);
    checked.config.unwrap();
    let told = place.told(&checked.warnings);
    for words in ["env.MODEL_API_KEY: others may read", "unencrypted", "in the work tree"] {
        assert!(told.contains(words), "{told}");
    }
    assert!(!told.contains("LANG"), "{told}");
}

// CASES 224
#[test]
fn data_that_a_restart_loses_is_told() {
    let memory = Path::new("/dev/shm");
    assert_eq!(file_system(memory), FileSystem::Memory, "this test needs /dev/shm in memory");
    let place = Place::new();
    let data = memory.join("bot-bottle-that-is-not-made");
    place.write("config.toml", format!("data_dir = {data:?}\n{GOOD}").as_bytes());
    let checked = check(&place.path("config.toml"), &|_| None);
    checked.config.unwrap();
    let told = place.told(&checked.warnings);
    assert!(told.contains("lies in memory: a restart"), "{told}");
}

// CASES 230: half a file leads to the daemon that runs, not to another one.
#[test]
fn a_half_written_configuration_still_leads_to_the_data() {
    let place = Place::new();
    let whole = format!("data_dir = \"data\"\n{GOOD}");
    for end in 0..=whole.len() {
        let half = &whole[..end];
        place.write("config.toml", half.as_bytes());
        let found = data_dir(&place.path("config.toml"), &|_| None);
        if end > "data_dir = \"data\"".len() {
            assert_eq!(found, place.path("data"), "{half}");
        }
        // Without its last line break it is whole.
        assert!(end + 1 >= whole.len() || place.load().is_err(), "{half}");
    }
}

#[test]
fn the_configuration_is_found_where_it_is() {
    let home = tempfile::tempdir().unwrap();
    let text = home.path().display().to_string();
    let env = |name: &str| (name == "HOME").then(|| text.clone());
    let own = home.path().join(".bot-bottle/config.toml");
    assert_eq!(config_file(Some("x.toml".into()), &env), Path::new("x.toml"));
    let named = |name: &str| (name == "BOT_BOTTLE_CONFIG").then(|| "/y.toml".to_owned());
    assert_eq!(config_file(None, &named), Path::new("/y.toml"));
    fs::create_dir(home.path().join(".bot-bottle")).unwrap();
    fs::write(&own, "").unwrap();
    assert_eq!(config_file(None, &env), own);
}

#[test]
fn what_is_in_force_is_shown_without_secrets() {
    let place = Place::new();
    place.write(
        "agents/implementer.toml",
        format!("{AGENT}[env]\nMODEL_API_KEY = \"hunter2\"\nLANG = \"C\"\n").as_bytes(),
    );
    let shown = effective(&place.load().unwrap());
    let text = serde_json::to_string(&shown).unwrap();
    for secret in ["0123456789", "9876543210", "wwww", "hunter2"] {
        assert!(!text.contains(secret), "{text}");
    }
    let dir = place.0.path().display().to_string();
    let text = toml::to_string(&shown).unwrap().replace(&dir, "<dir>");
    insta::assert_snapshot!(text);
}

#[test]
fn what_must_stay_free_of_the_host_can_be_set() {
    let place = Place::new();
    let limits = "[limits]\nhot_bottles = 3\nmemory_floor = \"1GiB\"\ndisk_floor = \"20GiB\"\n";
    place.write("config.toml", format!("{GOOD}{limits}").as_bytes());
    let host = place.load().unwrap().host;
    assert_eq!((host.hot_max, host.memory_floor, host.disk_floor), (3, 1 << 30, 20 << 30));
}

/// The schemas that editors use are the ones that files are checked by.
#[test]
fn published_schemas_are_those_in_force() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/schema");
    for (name, schema) in schemas() {
        let text = format!("{}\n", serde_json::to_string_pretty(&schema).unwrap());
        let published = fs::read_to_string(dir.join(name)).unwrap_or_default();
        assert!(
            published == text,
            "`orchestrate config schema --write deploy/schema` renews {name}"
        );
    }
}

// CASES 219: looking at a daemon must not hang on its configuration either.
#[test]
fn finding_the_data_does_not_wait_for_a_fifo() {
    let place = Place::new();
    fifo(&place.path("config.toml"));
    let path = place.path("config.toml");
    assert_eq!(in_time(move || data_dir(&path, &|_| None)), place.0.path());
}

#[test]
fn data_in_a_place_too_deep_for_a_socket_is_a_mistake() {
    let longest = "a".repeat(30);
    // <data>/bottles/<agent>-<5>/control/control.sock
    let rest = "/bottles/".len() + longest.len() + "-xxxxx/control/control.sock".len();
    let place = Place::new();
    fs::rename(
        place.path("agents/implementer.toml"),
        place.path(&format!("agents/{longest}.toml")),
    )
    .unwrap();
    let with_data_of = |bytes: usize| {
        let data = format!("/{}", "d".repeat(bytes - 1));
        place.write("config.toml", format!("data_dir = \"{data}\"\n{GOOD}").as_bytes());
        place.load()
    };
    with_data_of(107 - rest).unwrap();
    let Mistakes(mistakes) = with_data_of(107 - rest + 3).unwrap_err();
    let [mistake] = mistakes.as_slice() else { panic!("{mistakes:?}") };
    assert_eq!(mistake.place.key.as_deref(), Some("data_dir"));
    assert!(mistake.place.file.as_ref().unwrap().ends_with("config.toml"), "{mistake}");
    assert!(mistake.what.contains("110 bytes") && mistake.what.contains("107"), "{mistake}");
    assert!(mistake.hint.contains("3 bytes shorter"), "{}", mistake.hint);
}

#[test]
fn a_profile_that_is_not_configured_is_not_left_out() {
    let config = Place::new().load().unwrap();
    let known: protocol::ids::ProfileName = "default".parse().unwrap();
    let gone: protocol::ids::ProfileName = "gone".parse().unwrap();
    assert_eq!(
        config.merged_profile(std::slice::from_ref(&known)).unwrap().memory_bytes,
        Some(1 << 30)
    );
    assert_eq!(config.merged_profile(&[known, gone.clone()]), Err(gone));
}

#[test]
fn variables_of_the_first_version_override_the_file() {
    let place = Place::new();
    let config = place
        .load_with(&[
            ("FORGE_GITEA_API", "http://other.example.org:3000/api/v1"),
            ("FORGE_ORG", "robots"),
            ("FORGE_WATCHDOG_TIMEOUT", "90"),
        ])
        .unwrap();
    assert_eq!(config.forge.access.url.as_str(), "http://other.example.org:3000/");
    assert_eq!(config.forge.org.as_str(), "robots");
    assert_eq!(config.timing.watchdog.as_secs(), 90);

    let Mistakes(mistakes) = place
        .load_with(&[("FORGE_GITEA_API", "nowhere"), ("FORGE_WATCHDOG_TIMEOUT", "∞")])
        .unwrap_err();
    let places: Vec<String> = mistakes.iter().map(|mistake| mistake.place.to_string()).collect();
    assert_eq!(places, ["variable FORGE_GITEA_API", "variable FORGE_WATCHDOG_TIMEOUT"]);
}

#[test]
fn secrets_of_a_configuration_do_not_print() {
    let shown = format!("{:?}", Place::new().load().unwrap());
    for secret in ["0123456789", "9876543210", "wwww"] {
        assert!(!shown.contains(secret), "{shown}");
    }
}
