//! The daemon's memory and descriptors over time: flat, whatever happened.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::{sync::RwLock, time::Instant};

use crate::rig::Rig;

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// Fewer looks than this say nothing about growth.
const LOOKS_MIN: usize = 9;
/// The daemon may grow by this beside a quarter: its caches fill once.
const GROWTH_MAX_KIB: u64 = 8 * 1024;
/// Descriptors that may be in use more by chance: connections of the moment.
const FDS_MORE_MAX: u64 = 24;

/// One look.
#[derive(Debug, Clone, Copy)]
struct Size {
    rss_kib: u64,
    fds: u64,
}

/// All looks so far.
#[derive(Debug)]
pub(super) struct Gauge {
    begun: Instant,
    looks: Mutex<Vec<Size>>,
}

impl Gauge {
    pub(super) fn new() -> Self {
        Self { begun: Instant::now(), looks: Mutex::default() }
    }

    /// Looks until it is dropped.
    pub(super) async fn watch(&self, rig: &RwLock<Rig>) {
        loop {
            let pid = rig.read().await.daemon_pid();
            if let Some(size) = pid.and_then(size) {
                self.looks.lock().unwrap_or_else(PoisonError::into_inner).push(size);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// First and last third, in words.
    pub(super) fn sentence(&self) -> String {
        let Some((first, last)) = self.thirds() else { return "not seen yet".to_owned() };
        format!(
            "memory {:.1} -> {:.1} MiB, descriptors {} -> {}, first and last third of {} s",
            mib(first.rss_kib),
            mib(last.rss_kib),
            first.fds,
            last.fds,
            self.begun.elapsed().as_secs()
        )
    }

    /// What has grown.
    pub(super) fn growth(&self) -> Vec<String> {
        let Some((first, last)) = self.thirds() else {
            return vec!["the daemon's size was never seen".to_owned()];
        };
        grown(first, last)
    }

    fn thirds(&self) -> Option<(Size, Size)> {
        thirds(&self.looks.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn grown(first: Size, last: Size) -> Vec<String> {
    let mut wrong = Vec::new();
    if last.rss_kib > first.rss_kib + first.rss_kib / 4 + GROWTH_MAX_KIB {
        let (first, last) = (mib(first.rss_kib), mib(last.rss_kib));
        wrong.push(format!("the daemon's memory grows: {first:.1} -> {last:.1} MiB"));
    }
    if last.fds > first.fds + FDS_MORE_MAX {
        wrong.push(format!("the daemon's descriptors grow: {} -> {}", first.fds, last.fds));
    }
    wrong
}

/// The medians of the first and of the last third.
fn thirds(looks: &[Size]) -> Option<(Size, Size)> {
    if looks.len() < LOOKS_MIN {
        return None;
    }
    let third = looks.len() / 3;
    Some((middle(looks.get(..third)?), middle(looks.get(looks.len() - third..)?)))
}

fn middle(looks: &[Size]) -> Size {
    let of = |what: fn(&Size) -> u64| {
        let mut all: Vec<u64> = looks.iter().map(what).collect();
        all.sort_unstable();
        all.get(all.len() / 2).copied().unwrap_or_default()
    };
    Size { rss_kib: of(|size| size.rss_kib), fds: of(|size| size.fds) }
}

fn mib(kib: u64) -> f64 {
    f64::from(u32::try_from(kib).unwrap_or(u32::MAX)) / 1024.0
}

/// `None` while the process starts or ends.
fn size(pid: u32) -> Option<Size> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let rss = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let fds = std::fs::read_dir(format!("/proc/{pid}/fd")).ok()?.count();
    Some(Size {
        rss_kib: rss.trim().strip_suffix(" kB")?.parse().ok()?,
        fds: u64::try_from(fds).ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_is_told_and_noise_is_not() {
        let looks = |last: Size| {
            let early = Size { rss_kib: 20_000, fds: 40 };
            let mut looks = vec![early; 20];
            looks.extend(vec![last; 10]);
            // One look that is far off changes nothing.
            looks.push(Size { rss_kib: 900_000, fds: 900 });
            let (first, last) = thirds(&looks).unwrap();
            grown(first, last).len()
        };
        assert_eq!(looks(Size { rss_kib: 30_000, fds: 60 }), 0);
        assert_eq!(looks(Size { rss_kib: 60_000, fds: 40 }), 1);
        assert_eq!(looks(Size { rss_kib: 60_000, fds: 100 }), 2);
    }
}
