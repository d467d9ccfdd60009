//! What a bottle's two containers are made of: pure functions from record and settings to a
//! [`ContainerSpec`]. There is no setter for what must not be (privileges, host namespaces, devices,
//! ports): the type has no such field. The tests print the whole of it.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use orchestrator_core::bottle::Bottle;
use protocol::ids::Slug;

use crate::config::Profile;

/// Which of a bottle's containers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Owns the credentials.
    Sidecar,
    /// Holds the agent.
    Bottle,
}

impl Role {
    /// The value of its label.
    pub fn word(self) -> &'static str {
        match self {
            Self::Sidecar => "sidecar",
            Self::Bottle => "bottle",
        }
    }

    /// The container's name: the slug, or the slug with an ending.
    pub fn container_name(self, slug: &Slug) -> String {
        match self {
            Self::Bottle => slug.to_string(),
            Self::Sidecar => format!("{slug}-sidecar"),
        }
    }
}

/// A container, in the engine's absence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerSpec {
    /// Whose.
    pub slug: Slug,
    /// Which of the two.
    pub role: Role,
    /// The image.
    pub image: String,
    /// Program and arguments; the image's own entry point is not used.
    pub command: Vec<String>,
    /// Environment. Context only: whatever stands here can be read in many places.
    pub env: BTreeMap<String, String>,
    /// User and group id.
    pub uid: u32,
    /// Directories and files of the host.
    pub mounts: Vec<MountSpec>,
    /// A file system in memory at `/tmp`, in bytes.
    pub tmp_bytes: Option<u64>,
    /// How it is connected.
    pub network: NetworkSpec,
    /// Memory, with no swap on top: swap would put secrets on disk.
    pub memory_bytes: u64,
    /// Processes and threads.
    pub pids: u32,
    /// Processors in thousandths; `None` for all.
    pub millicpus: Option<u32>,
    /// Open files per process.
    pub open_files: u32,
    /// Added to the kernel's score for whom to kill when memory runs out.
    pub oom_score: i32,
    /// Whether processes in it may share memory by System V and POSIX means.
    pub shared_memory: bool,
    /// Seconds between SIGTERM and SIGKILL.
    pub stop_after_s: u32,
}

/// A path of the host in a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountSpec {
    /// On the host; must exist.
    pub source: PathBuf,
    /// In the container.
    pub target: &'static str,
    /// Whether it can be written to. Connecting to a socket needs no write access to its directory.
    pub writable: bool,
}

/// How a container is connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NetworkSpec {
    /// Loopback only; not even a route.
    None,
    /// The sidecars' bridge, where they do not see each other.
    Sidecars,
}

/// Where a bottle's files lie on the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Places {
    /// All of it; below a directory that only we can enter.
    pub root: PathBuf,
    /// `agent.sock`.
    pub agent: PathBuf,
    /// `control.sock`.
    pub control: PathBuf,
    /// The queue, one mount with `tmp`, `new` and `bad`.
    pub queue: PathBuf,
    /// The agent's home and work tree.
    pub home: PathBuf,
}

impl Places {
    /// The places of a bottle below the data directory.
    pub fn of(data_dir: &Path, slug: &Slug) -> Self {
        let root = data_dir.join("bottles").join(slug.as_str());
        Self {
            agent: root.join("agent"),
            control: root.join("control"),
            queue: root.join("queue"),
            home: root.join("home"),
            root,
        }
    }

    /// The sidecar's control socket.
    pub fn control_socket(&self) -> PathBuf {
        self.control.join("control.sock")
    }
}

/// User ids of bottles start here: above every user of a normal system, below 2^31, two for each.
const UID_BASE: u32 = 1_000_000;

/// The user of a container. No two containers share one, so that a shared mount or socket by
/// mistake still keeps them apart.
pub fn uid(serial: u32, role: Role) -> u32 {
    let own = match role {
        Role::Bottle => 0,
        Role::Sidecar => 1,
    };
    UID_BASE + (serial % 500_000_000) * 2 + own
}

/// In both containers.
const AGENT_DIR: &str = "/run/bot-bottle/agent";
const CONTROL_DIR: &str = "/run/bot-bottle/control";
const QUEUE_DIR: &str = "/run/bot-bottle/queue";
/// In the bottle.
const HOME: &str = "/home/agent";
const PROGRAM: &str = "/opt/bot-bottle/bin/bottle";

/// What `make setup` builds; for profiles that name no image.
pub const DEFAULT_IMAGE: &str = "bot-bottle/default:bookworm";

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// The sidecar: a static program in an empty image.
pub fn sidecar(bottle: &Bottle, places: &Places, image: &str) -> ContainerSpec {
    let mount =
        |source: &PathBuf, target| MountSpec { source: source.clone(), target, writable: true };
    let words = [
        "/sidecar",
        "--agent-dir",
        AGENT_DIR,
        "--control-dir",
        CONTROL_DIR,
        "--queue-dir",
        QUEUE_DIR,
    ];
    ContainerSpec {
        slug: bottle.slug.clone(),
        role: Role::Sidecar,
        image: image.to_owned(),
        command: words.map(str::to_owned).to_vec(),
        env: BTreeMap::new(),
        uid: uid(bottle.serial, Role::Sidecar),
        mounts: vec![
            mount(&places.agent, AGENT_DIR),
            mount(&places.control, CONTROL_DIR),
            mount(&places.queue, QUEUE_DIR),
        ],
        tmp_bytes: None,
        network: NetworkSpec::Sidecars,
        memory_bytes: 128 * MIB,
        pids: 32,
        millicpus: None,
        open_files: 1024,
        oom_score: 0,
        shared_memory: false,
        stop_after_s: 35, // a drain's deadline of 30 s, and some
    }
}

/// The bottle: the user's image, our program as its first process.
pub fn bottle(
    bottle: &Bottle,
    places: &Places,
    profile: &Profile,
    program: &Path,
) -> ContainerSpec {
    let memory_bytes = profile.memory_bytes.unwrap_or(4 * GIB);
    let mount =
        |source: &Path, target, writable| MountSpec { source: source.to_owned(), target, writable };
    let mut env = BTreeMap::from([
        ("HOME".to_owned(), HOME.to_owned()),
        ("BOT_BOTTLE_SOCKET".to_owned(), format!("{AGENT_DIR}/agent.sock")),
    ]);
    env.extend(context(bottle));
    ContainerSpec {
        slug: bottle.slug.clone(),
        role: Role::Bottle,
        image: profile.image.clone().unwrap_or_else(|| DEFAULT_IMAGE.to_owned()),
        command: vec![PROGRAM.to_owned(), "init".to_owned()],
        env,
        uid: uid(bottle.serial, Role::Bottle),
        mounts: vec![
            mount(&places.agent, AGENT_DIR, false),
            mount(program, PROGRAM, false),
            mount(&places.home, HOME, true),
        ],
        // Counts against the memory limit: half of it leaves room for the agent.
        tmp_bytes: Some(memory_bytes / 2),
        network: NetworkSpec::None,
        memory_bytes,
        pids: profile.pids.unwrap_or(512),
        millicpus: profile.millicpus,
        open_files: 4096,
        oom_score: 500,
        shared_memory: true,
        stop_after_s: 15, // 10 s for the agent, and some for our own program
    }
}

/// The variables of the first version. Context, never a secret.
pub fn context(bottle: &Bottle) -> BTreeMap<String, String> {
    let repo = &bottle.home.repo;
    let mut env = BTreeMap::from([
        ("FORGE_OWNER".to_owned(), repo.owner().to_string()),
        ("FORGE_REPO".to_owned(), repo.name().to_owned()),
    ]);
    if let Some(issue) = bottle.home.issue {
        env.insert("FORGE_ISSUE_NUMBER".to_owned(), issue.to_string());
    }
    if let Some(pull) = bottle.pull_requests.last() {
        env.insert("FORGE_PR_NUMBER".to_owned(), pull.to_string());
    }
    env
}
