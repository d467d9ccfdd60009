//! A process that a test lets die at a commit (CASES 4.6). Programs that are delivered are built
//! without debug assertions; there is nothing of this in them.
//!
//! `BOT_BOTTLE_CRASH_AT=<point>:<n>` ends the process by `SIGKILL` when it comes to the point for
//! the `n`th time. Everything else that the daemon does outside goes through a port, where a test
//! can do the same without our help.

use std::sync::{
    OnceLock,
    atomic::{AtomicU32, Ordering},
};

use nix::sys::signal::{Signal, raise};

/// A place in the writer where power may fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Point {
    /// All is written, nothing is committed.
    Committing,
    /// It is committed, nobody has heard of it.
    Committed,
}

impl Point {
    fn word(self) -> &'static str {
        match self {
            Self::Committing => "committing",
            Self::Committed => "committed",
        }
    }
}

/// Which point ends the process, and how often it is passed before.
static ORDER: OnceLock<Option<(String, AtomicU32)>> = OnceLock::new();

/// Comes to a point of a transaction that changes something.
pub(super) fn at(point: Point) {
    if !cfg!(debug_assertions) {
        return;
    }
    let read = || {
        let text = std::env::var_os("BOT_BOTTLE_CRASH_AT")?.into_string().ok()?;
        let (point, times) = text.split_once(':')?;
        Some((point.to_owned(), AtomicU32::new(times.parse().ok()?)))
    };
    let Some((wanted, left)) = ORDER.get_or_init(read) else { return };
    if wanted == point.word() && left.fetch_sub(1, Ordering::SeqCst) == 1 {
        raise(Signal::SIGKILL).unwrap_or_default();
    }
}
