//! How the intake does, beside what the store keeps: whether webhooks come, how often one place was
//! looked at, whether the forge wants to be left alone. Lost at a restart without harm.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use forge::ForgeError;
use jiff::{SignedDuration, Timestamp};
use protocol::ids::RepoName;
use tokio::{sync::Notify, time::Instant};

/// Looks at one place in a row; an issue that is labelled, assigned and commented on in one go is
/// never slowed down.
const BURST: u32 = 5;
/// After a burst a place is looked at this often: ten thousand deliveries in ten seconds are some
/// fifteen looks.
const PACE: Duration = Duration::from_secs(1);
/// Places whose looks are counted; the oldest are forgotten, as after a quiet time.
const PLACES_MAX: usize = 4096;

/// How the intake does.
#[derive(Debug, Default)]
pub struct Pulse {
    state: Mutex<State>,
    /// Told when a delivery could not be taken, so that it is to be looked for.
    pub missed: Notify,
}

/// What `status` and `doctor` show.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Health {
    /// When the last delivery with our signature came, since the daemon started.
    pub last_delivery: Option<Timestamp>,
    /// When the last poll ended.
    pub last_poll: Option<Timestamp>,
    /// Changes that a poll found before any delivery told of them.
    pub found_by_poll: u64,
    /// No delivery came since a poll found such a change: the webhook is missing, switched off, or
    /// cannot reach us.
    pub webhooks_silent: bool,
    /// Deliveries refused for their signature: a wrong secret, or somebody who tries.
    pub refused: u64,
    /// Deliveries of what our own accounts said; nothing follows from them.
    pub echoes: u64,
    /// Why repositories could not be read at the last poll.
    pub unread: BTreeMap<RepoName, String>,
}

#[derive(Debug, Default)]
struct State {
    health: Health,
    looks: BTreeMap<String, Looks>,
    quiet_until: Option<Instant>,
    held: BTreeSet<String>,
}

/// A bucket of looks that fills again with time.
#[derive(Debug, Clone, Copy)]
struct Looks {
    taken: u32,
    at: Instant,
}

impl Pulse {
    /// How it does now.
    pub fn health(&self) -> Health {
        self.state().health.clone()
    }

    /// A delivery with our signature came.
    pub fn delivered(&self, now: Timestamp) {
        let health = &mut self.state().health;
        health.last_delivery = Some(now);
        if std::mem::take(&mut health.webhooks_silent) {
            tracing::info!("webhooks come again");
        }
    }

    /// A delivery was refused for its signature.
    pub fn refused(&self) {
        let health = &mut self.state().health;
        health.refused = health.refused.saturating_add(1);
    }

    /// A delivery told of what one of our own accounts said.
    pub fn echoed(&self) {
        let health = &mut self.state().health;
        health.echoes = health.echoes.saturating_add(1);
    }

    /// A poll found what no delivery had told of.
    pub fn found_by_poll(&self) {
        let health = &mut self.state().health;
        health.found_by_poll = health.found_by_poll.saturating_add(1);
        if !std::mem::replace(&mut health.webhooks_silent, true) {
            tracing::warn!(
                last_delivery = ?health.last_delivery,
                "a poll found what no webhook told of; see the webhook's deliveries in the repository's settings"
            );
        }
    }

    /// A poll has ended.
    pub fn polled(&self, now: Timestamp, unread: BTreeMap<RepoName, String>) {
        let health = &mut self.state().health;
        (health.last_poll, health.unread) = (Some(now), unread);
    }

    /// Begins a look at a lane, or says how long to wait before: after a burst there is a pace, and
    /// a forge that limits its rate is left alone.
    ///
    /// # Errors
    /// The time to wait.
    pub fn begin_look(&self, lane: &str) -> Result<(), Duration> {
        self.begin_look_at(lane, Instant::now())
    }

    fn begin_look_at(&self, lane: &str, now: Instant) -> Result<(), Duration> {
        let state = &mut *self.state();
        if let Some(wait) = state.quiet_until.and_then(|until| until.checked_duration_since(now)) {
            if wait > Duration::ZERO {
                return Err(wait);
            }
            state.quiet_until = None;
        }
        if state.looks.len() >= PLACES_MAX {
            state.looks.retain(|_, looks| looks.left(now) > 0);
        }
        if state.looks.len() >= PLACES_MAX {
            state.looks.clear();
        }
        let looks = state.looks.entry(lane.to_owned()).or_insert(Looks { taken: 0, at: now });
        let left = looks.left(now);
        if left >= BURST {
            return Err(PACE);
        }
        *looks = Looks { taken: left + 1, at: now };
        Ok(())
    }

    /// Something is to be done at a lane, but for the kill switch: it is looked at when that is gone.
    /// Of very many, some are left to the poll.
    pub fn hold(&self, lane: String) {
        let held = &mut self.state().held;
        if held.len() < PLACES_MAX {
            held.insert(lane);
        }
    }

    /// The lanes that are held, which they are no more.
    pub fn take_held(&self) -> BTreeSet<String> {
        std::mem::take(&mut self.state().held)
    }

    /// Nobody looks at a place again before this if the next look is put off: what is due by then is
    /// soon enough for news that comes now.
    pub fn horizon(&self, now: Timestamp) -> Timestamp {
        let quiet = self.state().quiet_until.map(|until| until.duration_since(Instant::now()));
        let wait = SignedDuration::try_from(quiet.unwrap_or_default().max(PACE));
        now.saturating_add(wait.unwrap_or(SignedDuration::ZERO)).unwrap_or(now)
    }

    /// The forge refused: if for its rate, it is left alone as long as it wants.
    pub fn heed(&self, error: &ForgeError) {
        self.heed_at(error, Instant::now());
    }

    fn heed_at(&self, error: &ForgeError, now: Instant) {
        if let Some(wait) = error.retry_after() {
            let state = &mut *self.state();
            let until = now + wait;
            state.quiet_until = Some(state.quiet_until.map_or(until, |old| old.max(until)));
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing is left half done under this lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Looks {
    /// Looks that still count against the burst: one is forgotten for each [`PACE`].
    fn left(self, now: Instant) -> u32 {
        let forgotten = now.saturating_duration_since(self.at).as_secs() / PACE.as_secs();
        self.taken.saturating_sub(u32::try_from(forgotten).unwrap_or(u32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // CASES 22
    #[test]
    fn after_a_burst_a_place_is_looked_at_at_a_pace_and_others_are_not_slowed() {
        let pulse = Pulse::default();
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let looks = (0..10_000).filter(|millis| pulse.begin_look_at("a", at(*millis)).is_ok());
        let looks = looks.count();
        assert!((5..=15).contains(&looks), "{looks}");
        assert_eq!(pulse.begin_look_at("b", at(10_000)), Ok(()));
        for _ in 0..BURST {
            assert_eq!(pulse.begin_look_at("a", at(20_000)), Ok(()), "a quiet time fills it again");
        }
    }

    #[test]
    fn places_are_forgotten_when_there_are_many() {
        let (pulse, now) = (Pulse::default(), Instant::now());
        for n in 0..3 * PLACES_MAX {
            assert_eq!(pulse.begin_look_at(&n.to_string(), now), Ok(()));
        }
        assert!(pulse.state().looks.len() <= PLACES_MAX);
    }

    // CASES 185
    #[test]
    fn a_forge_that_limits_its_rate_is_left_alone() {
        let (pulse, now) = (Pulse::default(), Instant::now());
        let retry_after = Duration::from_secs(60);
        pulse.heed_at(&ForgeError::RateLimited { what: "read".to_owned(), retry_after }, now);
        assert_eq!(pulse.begin_look_at("a", now), Err(retry_after));
        assert_eq!(pulse.begin_look_at("a", now + retry_after), Ok(()));
    }

    // CASES 25
    #[test]
    fn silence_of_webhooks_is_told_until_one_comes() {
        let pulse = Pulse::default();
        assert!(!pulse.health().webhooks_silent);
        pulse.found_by_poll();
        pulse.found_by_poll();
        assert!(pulse.health().webhooks_silent);
        assert_eq!(pulse.health().found_by_poll, 2);
        pulse.delivered(Timestamp::UNIX_EPOCH);
        assert!(!pulse.health().webhooks_silent);
    }
}
