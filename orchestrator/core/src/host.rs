//! What the host can bear: [`admits`] says whether a bottle may be woken, [`cool`] which hot ones
//! give their memory back.
//!
//! The shell measures a [`Host`] from time to time. What could not be measured refuses nothing: a
//! broken measurement must not stop the work. Running bottles are never touched from here.

use jiff::Timestamp;
use protocol::ids::Slug;
use serde::{Deserialize, Serialize};

use crate::{
    bottle::{Bottle, State, Tier},
    timing::Timing,
};

/// The host as it was measured just now; `None` is what could not be measured.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Host {
    /// Free bytes of the file system that has least, of the data directory's and the engine's.
    pub disk_free: Option<u64>,
    /// Where that is.
    pub disk_path: String,
    /// Bytes of memory that programs can still get.
    pub memory_available: Option<u64>,
    /// File descriptors that the daemon may still open.
    pub descriptors_free: Option<u64>,
    /// Directories that the daemon may still watch.
    pub watches_free: Option<u64>,
}

/// Below these floors nothing is started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostLimits {
    /// Bytes of disk.
    pub disk_floor: u64,
    /// Bytes of memory.
    pub memory_floor: u64,
    /// File descriptors.
    pub descriptors_floor: u64,
    /// Watched directories.
    pub watches_floor: u64,
    /// Hot bottles at a time.
    pub hot_max: u32,
}

impl Default for HostLimits {
    /// A clone with its build takes some hundred megabytes of disk, and the database must never
    /// run out of it; an agent takes as much memory. A bottle in work takes two connections and a
    /// watch; the rest is for webhooks and commands. Sixteen sleeping agents fit a small host.
    fn default() -> Self {
        Self {
            disk_floor: 1 << 30,
            memory_floor: 256 << 20,
            descriptors_floor: 64,
            watches_floor: 4,
            hot_max: 16,
        }
    }
}

/// What the host has too little of. Each is a sentence for people, with the figures.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "lack", rename_all = "snake_case", deny_unknown_fields)]
pub enum Lack {
    /// Disk.
    #[error("{path} has {free} bytes free, and {floor} must stay free; make room there")]
    Disk {
        /// Where.
        path: String,
        /// Bytes that are free.
        free: u64,
        /// Bytes that must stay free.
        floor: u64,
    },
    /// Memory.
    #[error(
        "the host has {available} bytes of memory left, and {floor} must stay; \
         lower the number of slots or of hot bottles"
    )]
    Memory {
        /// Bytes that are left.
        available: u64,
        /// Bytes that must stay.
        floor: u64,
    },
    /// File descriptors.
    #[error(
        "the daemon can open {free} more files, and {floor} must stay; \
         raise its limit (LimitNOFILE)"
    )]
    Descriptors {
        /// That are left.
        free: u64,
        /// That must stay.
        floor: u64,
    },
    /// Watched directories.
    #[error(
        "the daemon can watch {free} more directories, and {floor} must stay; \
         raise fs.inotify.max_user_watches"
    )]
    Watches {
        /// That are left.
        free: u64,
        /// That must stay.
        floor: u64,
    },
}

/// Whether one more bottle may be woken. What waits stays where it is until the host has room.
///
/// # Errors
/// The first of the host's resources that is below its floor.
pub fn admits(host: &Host, limits: &HostLimits) -> Result<(), Lack> {
    let below = |measured: Option<u64>, floor: u64| measured.filter(|free| *free < floor);
    if let Some(free) = below(host.disk_free, limits.disk_floor) {
        return Err(Lack::Disk { path: host.disk_path.clone(), free, floor: limits.disk_floor });
    }
    if let Some(available) = below(host.memory_available, limits.memory_floor) {
        return Err(Lack::Memory { available, floor: limits.memory_floor });
    }
    if let Some(free) = below(host.descriptors_free, limits.descriptors_floor) {
        return Err(Lack::Descriptors { free, floor: limits.descriptors_floor });
    }
    if let Some(free) = below(host.watches_free, limits.watches_floor) {
        return Err(Lack::Watches { free, floor: limits.watches_floor });
    }
    Ok(())
}

/// The hot bottles that are to become cold now, longest asleep first: those whose time is over,
/// those above the number that may be hot, and one more while memory is short. One measurement
/// costs one bottle at most: what it gave back shows only in the next.
pub fn cool(
    bottles: &[Bottle],
    host: &Host,
    limits: &HostLimits,
    timing: &Timing,
    now: Timestamp,
) -> Vec<Slug> {
    let mut hot: Vec<(bool, Timestamp, &Bottle)> = bottles
        .iter()
        .filter_map(|bottle| match bottle.state {
            // Who is about to be woken gives nothing back, and would only wake more slowly.
            State::Frozen { tier: Tier::Hot, since, .. } => {
                Some((bottle.wants_slot_since().is_some(), since, bottle))
            }
            _ => None,
        })
        .collect();
    hot.sort_by_key(|(waits, since, bottle)| (*waits, *since, bottle.serial));
    let is_over = |bottle: &Bottle| timing.deadline(bottle).is_some_and(|deadline| deadline <= now);
    let (over, fresh): (Vec<_>, Vec<_>) =
        hot.into_iter().map(|(_, _, bottle)| bottle).partition(|bottle| is_over(bottle));
    let allowed = usize::try_from(limits.hot_max).unwrap_or(usize::MAX);
    let short = host.memory_available.is_some_and(|left| left < limits.memory_floor);
    let surplus = fresh.len().saturating_sub(allowed);
    let relief = usize::from(short && over.is_empty());
    let taken = surplus.max(relief);
    over.into_iter().chain(fresh.into_iter().take(taken)).map(|b| b.slug.clone()).collect()
}
