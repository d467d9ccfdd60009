//! What the process gives up before it does anything else.
//!
//! Order matters: Landlock covers the calling thread and those it starts later, so all of this runs
//! before there is a runtime.

pub mod panics;

use std::{io, path::Path};

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, PathBeneath, PathFd, PathFdError, Ruleset,
    RulesetAttr as _, RulesetCreated, RulesetCreatedAttr as _, RulesetError, RulesetStatus, Scope,
};
use nix::sys::{
    prctl,
    resource::{Resource, getrlimit, setrlimit},
};

use crate::config::Config;

/// The newest interface that was tried; older kernels enforce what they know of it.
const LANDLOCK: ABI = ABI::V6;

/// What is read beside the three directories: how names become addresses.
const READABLE: [&str; 4] =
    ["/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf", "/etc/gai.conf"];

/// Why the process is not confined.
#[derive(Debug, thiserror::Error)]
pub enum HardeningError {
    /// A system call that every supported kernel has.
    #[error("cannot {what}")]
    System {
        /// What was being done.
        what: &'static str,
        /// The cause.
        source: io::Error,
    },
    /// One of the three directories.
    #[error("cannot open a directory of the sidecar")]
    Directory(#[from] PathFdError),
    /// Landlock itself.
    #[error("cannot set up landlock")]
    Landlock(#[from] RulesetError),
    /// A kernel without it.
    #[error("the kernel has no landlock; --allow-no-landlock starts without")]
    NoLandlock,
}

/// How far the kernel went along.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Confinement {
    /// As far as this program knows how to ask.
    Full,
    /// An older kernel: some of it.
    Partial,
    /// None, which was allowed on the command line.
    None,
}

/// Gives up dumps, new privileges, all files but the three directories, and listening on TCP.
/// Connecting by TCP stays open: the forge may be anywhere.
///
/// # Errors
/// When any of it fails; the process must then end.
pub fn harden(config: &Config) -> Result<Confinement, HardeningError> {
    no_dumps()?;
    let system =
        |what| move |errno: nix::Error| HardeningError::System { what, source: errno.into() };
    prctl::set_no_new_privs().map_err(system("give up new privileges"))?;
    let confined = confine(config)?;
    match confined {
        Confinement::None if !config.allow_no_landlock => Err(HardeningError::NoLandlock),
        Confinement::Full | Confinement::Partial | Confinement::None => Ok(confined),
    }
}

/// A process that is not dumpable writes no core, and its `/proc` entries belong to root. A limit
/// of 0 would be ignored where cores go to a pipe; 1 byte is not.
fn no_dumps() -> Result<(), HardeningError> {
    let system =
        |what| move |errno: nix::Error| HardeningError::System { what, source: errno.into() };
    prctl::set_dumpable(false).map_err(system("become undumpable"))?;
    let (_, hard) = getrlimit(Resource::RLIMIT_CORE).map_err(system("read the core limit"))?;
    let limit = hard.min(1);
    setrlimit(Resource::RLIMIT_CORE, limit, limit).map_err(system("limit cores"))
}

fn confine(config: &Config) -> Result<Confinement, HardeningError> {
    let mut rules = Ruleset::default()
        .handle_access(AccessFs::from_all(LANDLOCK))?
        .handle_access(AccessNet::BindTcp)?
        .scope(Scope::from_all(LANDLOCK))?
        .create()?;
    for dir in [&config.agent_dir, &config.control_dir, &config.queue_dir] {
        rules =
            rules.add_rule(PathBeneath::new(PathFd::new(dir)?, AccessFs::from_all(LANDLOCK)))?;
    }
    for file in READABLE {
        rules = readable(rules, Path::new(file))?;
    }
    Ok(match rules.restrict_self()?.ruleset {
        RulesetStatus::FullyEnforced => Confinement::Full,
        RulesetStatus::PartiallyEnforced => Confinement::Partial,
        RulesetStatus::NotEnforced => Confinement::None,
    })
}

fn readable(rules: RulesetCreated, file: &Path) -> Result<RulesetCreated, HardeningError> {
    match PathFd::new(file) {
        Ok(file) => Ok(rules.add_rule(PathBeneath::new(file, AccessFs::ReadFile))?),
        Err(_not_there) => Ok(rules),
    }
}
