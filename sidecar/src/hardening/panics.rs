//! Panics: told without their text, and not borne for ever.
//!
//! A panic costs one call. Many of them mean that somebody has found one to cause at will, or that
//! the process is broken; then it ends, which the orchestrator sees (CASES 65).

use std::{
    collections::VecDeque,
    panic,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// So many panics within [`WINDOW`] end the process.
const PANICS_MAX: usize = 3;
const WINDOW: Duration = Duration::from_secs(60);

/// Logs the place of each panic, never its text, which may hold anything; ends the process at the
/// third one of a minute.
pub fn watch() {
    let times = Mutex::new(VecDeque::new());
    panic::set_hook(Box::new(move |panic| {
        let place = panic.location().map(ToString::to_string);
        tracing::error!(place, "panic");
        let mut times = times.lock().unwrap_or_else(PoisonError::into_inner);
        if too_many(&mut times, Instant::now()) {
            tracing::error!("too many panics, this process ends");
            std::process::abort();
        }
    }));
}

fn too_many(times: &mut VecDeque<Instant>, now: Instant) -> bool {
    while times.front().is_some_and(|time| now.duration_since(*time) >= WINDOW) {
        times.pop_front();
    }
    times.push_back(now);
    times.len() >= PANICS_MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_third_panic_of_a_minute_is_one_too_many() {
        let (mut times, start) = (VecDeque::new(), Instant::now());
        let mut at = |second| too_many(&mut times, start + Duration::from_secs(second));
        assert_eq!([at(0), at(10), at(61), at(65)], [false, false, false, true]);
    }
}
