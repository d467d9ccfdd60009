//! What goes wrong: the forge, its webhooks, the daemon, containers.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use axum::http::Method;
use nix::sys::signal::Signal;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};
use tokio::time::sleep;

use super::World;
use crate::{
    forge_double::{CannedAnswer, DeliveryFault, DeliveryFaultKind, Fault as Forged, FaultKind},
    rig::{Fault, Rig},
};

/// Starts of a daemon that ended again, as a service manager makes them.
const STARTS_MAX: u32 = 5;

/// Trouble by chance, counted.
#[derive(Debug)]
pub(super) struct Trouble {
    seed: u64,
    counts: Mutex<BTreeMap<&'static str, u32>>,
}

impl Trouble {
    pub(super) fn new(seed: u64) -> Self {
        Self { seed, counts: Mutex::default() }
    }

    /// How often which was made.
    pub(super) fn counts(&self) -> Vec<(&'static str, u32)> {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.iter().map(|(kind, count)| (*kind, *count)).collect()
    }

    /// Makes trouble until it is dropped.
    pub(super) async fn make(&self, world: &World) {
        let mut chance = StdRng::seed_from_u64(self.seed);
        loop {
            sleep(world.plan.trouble_every.mul_f64(chance.random_range(0.3..1.7))).await;
            let made = match chance.random_range(0..20_u32) {
                0..7 => Ok(Some(self.forge(&*world.rig.read().await, &mut chance))),
                7..12 => Ok(Some(self.webhooks(&*world.rig.read().await, &mut chance))),
                12..13 => self.daemon(world, &mut chance).await.map(Some),
                _ => self.container(&*world.rig.read().await, &mut chance).await,
            };
            // A container that has gone meanwhile cannot be killed.
            let Ok(Some(kind)) = made else { continue };
            *self.counts.lock().unwrap_or_else(PoisonError::into_inner).entry(kind).or_default() +=
                1;
        }
    }

    /// Ends what was planned and not yet struck, and sees to it that a daemon runs.
    pub(super) async fn end(&self, world: &World) {
        let mut rig = world.rig.write().await;
        rig.forge.clear_faults();
        rig.forge.release_held();
        if !rig.daemon_lives() {
            // What keeps it from starting is in the account.
            drop(start(&mut rig).await);
        }
    }

    fn forge(&self, rig: &Rig, chance: &mut StdRng) -> &'static str {
        let some = chance.random_range(1..4_usize);
        let wait = Duration::from_millis(chance.random_range(100..1500_u64));
        let api = "/api/v1/repos";
        let (kind, fault) = match chance.random_range(0..9_u32) {
            0 => (
                "500 on reading",
                Forged::new(FaultKind::Status(500)).on(Method::GET, api).times(some),
            ),
            1 => ("502 on writing", Forged::new(FaultKind::Status(502)).on(Method::POST, api)),
            2 => (
                "500 after writing",
                Forged::new(FaultKind::AfterThenStatus(500)).on(Method::POST, api),
            ),
            3 => (
                "hang-up after writing",
                Forged::new(FaultKind::AfterThenDrop).on(Method::POST, api),
            ),
            4 => ("hang-up", Forged::new(FaultKind::DropConnection).on_path(api).times(some)),
            5 => ("slow forge", Forged::new(FaultKind::Delay(wait)).on_path(api).times(some)),
            6 => ("login page", Forged::new(FaultKind::Html200).on(Method::GET, api).times(some)),
            7 => (
                "rate limit",
                Forged::new(FaultKind::Answer(rate_limit())).on_path(api).times(some),
            ),
            _ => ("500 on git", Forged::new(FaultKind::Status(500)).on_path("info/refs")),
        };
        rig.forge.fault(fault);
        kind
    }

    fn webhooks(&self, rig: &Rig, chance: &mut StdRng) -> &'static str {
        let some = chance.random_range(1..4_usize);
        let wait = Duration::from_millis(chance.random_range(100..1500_u64));
        let (kind, fault) = match chance.random_range(0..5_u32) {
            0 => ("lost webhooks", DeliveryFault::next(some, DeliveryFaultKind::Lose)),
            1 => ("repeated webhooks", DeliveryFault::next(some, DeliveryFaultKind::Repeat(4))),
            2 => ("reordered webhooks", DeliveryFault::next(3, DeliveryFaultKind::Reorder)),
            3 => ("late webhooks", DeliveryFault::next(some, DeliveryFaultKind::Delay(wait))),
            _ => ("forged webhooks", DeliveryFault::next(some, DeliveryFaultKind::Forge)),
        };
        rig.forge.delivery_fault(fault);
        kind
    }

    async fn daemon(&self, world: &World, chance: &mut StdRng) -> Result<&'static str, Fault> {
        let mut rig = world.rig.write().await;
        let (kind, signal) = if chance.random() {
            ("killed daemon", Signal::SIGKILL)
        } else {
            ("restarted daemon", Signal::SIGTERM)
        };
        rig.end_daemon(signal).await?;
        sleep(Duration::from_millis(chance.random_range(0..1500_u64))).await;
        start(&mut rig).await?;
        Ok(kind)
    }

    async fn container(
        &self,
        rig: &Rig,
        chance: &mut StdRng,
    ) -> Result<Option<&'static str>, Fault> {
        let names = rig.docker.containers().await?;
        if names.is_empty() {
            return Ok(None);
        }
        let Some(name) = names.get(chance.random_range(0..names.len())) else { return Ok(None) };
        let (kind, words): (_, &[&str]) = match chance.random_range(0..6_u32) {
            0 => ("killed container", &["kill"]),
            1 => ("paused container", &["pause"]),
            2 => ("unpaused container", &["unpause"]),
            3 => ("removed container", &["rm", "--force"]),
            4 => ("restarted container", &["restart", "--time", "0"]),
            _ => ("stopped container", &["stop", "--time", "0"]),
        };
        let words: Vec<&str> = words.iter().copied().chain([name.as_str()]).collect();
        rig.docker.run(&words).await?;
        Ok(Some(kind))
    }
}

/// As a service manager does: again when it ends at once.
async fn start(rig: &mut Rig) -> Result<(), Fault> {
    let mut tried = 1;
    while let Err(error) = rig.start_daemon().await {
        if tried == STARTS_MAX {
            return Err(error);
        }
        tried += 1;
        sleep(Duration::from_millis(500)).await;
    }
    Ok(())
}

fn rate_limit() -> CannedAnswer {
    CannedAnswer {
        status: 429,
        headers: vec![("retry-after".to_owned(), "1".to_owned())],
        body: "{\"message\":\"too many requests\"}".to_owned(),
    }
}
