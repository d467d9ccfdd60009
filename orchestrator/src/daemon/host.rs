//! The host: how much it has left, and whether its clock jumps.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use nix::{
    sys::{
        resource::{Resource, getrlimit, setrlimit},
        statvfs::statvfs,
    },
    time::ClockId,
};
use orchestrator_core::{
    clock::{Reading, jump},
    event::Event,
    host::{self, Host, Lack},
};
use tokio::{sync::Semaphore, time::timeout};

use super::Daemon;
use crate::{
    clock, life,
    store::{Books, StoreError},
};

/// Between two looks: a full disk is noticed before the next launch, a free one soon after.
const REGULARLY: Duration = Duration::from_secs(5);
/// For the host, or the engine about itself: a file system of a network may hang.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the host shows of itself.
pub trait Gauges: Send + Sync + std::fmt::Debug {
    /// How much is left; of the disk, where these directories are. May block.
    fn measure(&self, dirs: &[PathBuf]) -> Host;

    /// Both clocks now.
    fn clocks(&self) -> Reading;
}

/// What the host showed when it was measured last; nothing is known before.
#[derive(Debug)]
pub(super) struct Measured {
    last: Arc<Mutex<Host>>,
    /// One measurement at a time: each that hangs holds a thread.
    turn: Arc<Semaphore>,
}

impl Default for Measured {
    fn default() -> Self {
        Self { last: Arc::default(), turn: Arc::new(Semaphore::new(1)) }
    }
}

impl Measured {
    fn last(&self) -> Host {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Measures anew. While that hangs, what is known remains.
    async fn renew(&self, measure: impl FnOnce() -> Host + Send + 'static) -> Host {
        let turn = timeout(PATIENCE, Arc::clone(&self.turn).acquire_owned()).await;
        // Whoever has the turn tells why it takes so long.
        let Ok(Ok(turn)) = turn else { return self.last() };
        let last = Arc::clone(&self.last);
        let work = move || {
            let host = measure();
            *last.lock().unwrap_or_else(PoisonError::into_inner) = host;
            drop(turn);
        };
        if timeout(PATIENCE, tokio::task::spawn_blocking(work)).await.is_err() {
            tracing::error!("a file system hangs; what the host has left is not known any more");
        }
        self.last()
    }
}

/// This host.
#[derive(Debug, Clone, Copy)]
pub struct ThisHost;

impl Gauges for ThisHost {
    fn measure(&self, dirs: &[PathBuf]) -> Host {
        let fullest = dirs.iter().filter_map(|dir| Some((free(dir)?, dir))).min();
        let (disk_free, disk_path) = match fullest {
            Some((free, dir)) => (Some(free), dir.display().to_string()),
            None => (None, String::new()),
        };
        Host {
            disk_free,
            disk_path,
            memory_available: memory_available(),
            descriptors_free: descriptors_free(),
            watches_free: watches_free(),
        }
    }

    fn clocks(&self) -> Reading {
        // Not the runtime's own clock, which tests may pause: both must be the host's. Linux always has
        // this one; without it no jump would be found.
        let steady = ClockId::CLOCK_MONOTONIC.now().map(Duration::from).unwrap_or_default();
        Reading { wall: clock::now(), steady }
    }
}

/// Bytes that we may still write there; none when no file can be made any more.
fn free(dir: &Path) -> Option<u64> {
    let stat = statvfs(dir).ok()?;
    if stat.files() > 0 && stat.files_available() == 0 {
        return Some(0);
    }
    Some(stat.blocks_available().saturating_mul(stat.fragment_size()))
}

/// <https://docs.kernel.org/filesystems/proc.html#meminfo>
fn memory_available() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok()?.checked_mul(1 << 10)
}

fn descriptors_free() -> Option<u64> {
    let (soft, _) = getrlimit(Resource::RLIMIT_NOFILE).ok()?;
    let open = fs::read_dir("/proc/self/fd").ok()?.count();
    soft.checked_sub(u64::try_from(open).ok()?)
}

/// Those of other programs of the same user count too, but nobody tells how many they are.
fn watches_free() -> Option<u64> {
    let text = fs::read_to_string("/proc/sys/fs/inotify/max_user_watches").ok()?;
    let all: u64 = text.trim().parse().ok()?;
    let files = fs::read_dir("/proc/self/fd").ok()?.flatten();
    let inotify = files.filter(|file| {
        fs::read_link(file.path()).is_ok_and(|to| to.as_os_str() == "anon_inode:inotify")
    });
    let watches = inotify.filter_map(|file| {
        let info = Path::new("/proc/self/fdinfo").join(file.file_name());
        let text = fs::read_to_string(info).ok()?;
        u64::try_from(text.lines().filter(|line| line.starts_with("inotify ")).count()).ok()
    });
    Some(all.saturating_sub(watches.sum()))
}

/// As many files as we may open: a bottle needs some while it is spoken to.
pub(super) fn raise_descriptors() {
    if let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE)
        && soft < hard
        && let Err(error) = setrlimit(Resource::RLIMIT_NOFILE, hard, hard)
    {
        tracing::warn!(%error, soft, hard, "cannot raise the limit of open files");
    }
}

/// Looks until the daemon stops.
pub(super) async fn run(daemon: Arc<Daemon>) {
    let mut before = daemon.gauges.clocks();
    loop {
        tokio::select! {
            () = tokio::time::sleep(REGULARLY) => {}
            () = daemon.stopped() => return,
        }
        let now = daemon.gauges.clocks();
        if let Some(by) = jump(before, now) {
            tracing::warn!(%by, "the clock jumped; every deadline moves with it");
            if let Err(error) = daemon.clock_jumped(by).await {
                // Seen again at the next look.
                tracing::error!(%error, "cannot move the deadlines");
                continue;
            }
        }
        before = now;
        if let Err(error) = daemon.look_at_host().await {
            tracing::error!(%error, "cannot act on what the host has left");
        }
    }
}

impl Daemon {
    /// Measures, and acts on it: without room nothing is woken, hot bottles give memory back.
    pub(super) async fn look_at_host(&self) -> Result<(), StoreError> {
        let host = self.measure().await;
        let lack = host::admits(&host, &self.host_limits).err();
        let known = self.set_lack(lack.clone());
        match (&known, &lack) {
            (None, Some(lack)) => tracing::warn!(%lack, "nothing is woken until there is room"),
            (Some(_), None) => tracing::info!("the host has room again"),
            _ => {}
        }
        let (limits, laws) = (self.host_limits.clone(), self.laws());
        let held = if laws.rules.kill_switch { BTreeSet::new() } else { self.pulse.take_held() };
        let lanes = held.clone();
        let act = move |books: &Books<'_>| {
            let (bottles, now) = (books.live_bottles()?, clock::now());
            for lane in &lanes {
                let key = format!("{}held:{lane}:{}", Books::POLL, now.as_millisecond());
                books.hint(&key, lane, now, now)?;
            }
            for slug in host::cool(&bottles, &host, &limits, &laws.timing, now) {
                life::tell(books, &laws, &slug, &Event::Cool {}, now)?;
            }
            // Who waited for room, or for the kill switch, is told by nobody else.
            life::admit(books, &laws, now)
        };
        let acted = self.store.write(act).await;
        if acted.is_err() {
            held.into_iter().for_each(|lane| self.pulse.hold(lane));
        }
        self.work.notify_one();
        acted
    }

    async fn measure(&self) -> Host {
        let mut dirs = vec![self.config.data_dir.clone()];
        // Asked again until it is known.
        let ask = async || timeout(PATIENCE, self.engine.root()).await.ok().flatten().ok_or(());
        let root = self.engine_root.get_or_try_init(ask);
        dirs.extend(root.await.ok().cloned());
        let gauges = Arc::clone(&self.gauges);
        self.measured.renew(move || gauges.measure(&dirs)).await
    }

    /// Whether nothing can be written any more.
    pub(super) fn is_disk_full(&self) -> bool {
        matches!(self.lack(), Some(Lack::Disk { .. }))
    }

    /// Where how much is free, for people.
    pub(super) async fn disk_sentence(&self) -> String {
        let host = self.measure().await;
        match host.disk_free {
            Some(free) => format!("{} has {free} bytes free", host.disk_path),
            None => "how much is free is not known".to_owned(),
        }
    }

    /// What the host has too little of, as it was found last.
    pub(super) fn lack(&self) -> Option<Lack> {
        self.lack.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_lack(&self, lack: Option<Lack>) -> Option<Lack> {
        let mut known = self.lack.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut known, lack)
    }

    /// Moves all deadlines; with zero, only those that no honest clock can have set.
    pub(super) async fn clock_jumped(&self, by: jiff::SignedDuration) -> Result<(), StoreError> {
        let laws = self.laws();
        let moved = move |books: &Books<'_>| life::clock_jumped(books, &laws, by, clock::now());
        self.store.write(moved).await?;
        self.work.notify_one();
        Ok(())
    }
}
