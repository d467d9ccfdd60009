//! Real time, which is what is measured.

use std::time::{Duration, Instant};

/// Now.
#[expect(clippy::disallowed_methods, reason = "real time is what is measured")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Milliseconds from one moment to another; 0 when they are the other way round.
pub(crate) fn ms(from: Instant, to: Instant) -> f64 {
    to.saturating_duration_since(from).as_secs_f64() * 1e3
}

/// Milliseconds since.
pub(crate) fn ms_since(from: Instant) -> f64 {
    ms(from, now())
}

/// How many in a second.
pub(crate) fn rate(count: u32, took: Duration) -> f64 {
    f64::from(count) / took.as_secs_f64().max(f64::EPSILON)
}
