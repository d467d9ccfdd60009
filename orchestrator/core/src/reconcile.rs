//! What should be against what is: [`plan`].
//!
//! Run at start and on a slow timer. Nothing here trusts that an event arrived: the restart path
//! and the everyday path are the same code.

use std::collections::{BTreeMap, BTreeSet};

use protocol::ids::{Nonce, Slug};

use crate::{
    bottle::{Bottle, State, Tier},
    event::Event,
};

/// A container as the engine shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Container {
    /// There is none.
    Missing,
    /// Made, never started.
    Created,
    /// Its program runs.
    Running,
    /// Its program is frozen.
    Paused,
    /// Its program has ended.
    Exited {
        /// With this code.
        code: i64,
        /// By the out-of-memory killer.
        out_of_memory: bool,
    },
    /// There is one, and the engine cannot tell what it does.
    Unclear,
}

/// Both containers of a bottle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// The sidecar's.
    pub sidecar: Container,
    /// The agent's.
    pub bottle: Container,
    /// What a running sidecar says of itself.
    pub grant: SidecarGrant,
}

/// Whether a sidecar still has what it was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SidecarGrant {
    /// It was not asked or did not answer; says nothing.
    Unknown,
    /// It has none: it was restarted or drained.
    None,
    /// It was configured with this nonce.
    Nonce(Nonce),
}

impl Pair {
    /// A bottle of which the engine knows nothing.
    pub const MISSING: Self = Self {
        sidecar: Container::Missing,
        bottle: Container::Missing,
        grant: SidecarGrant::Unknown,
    };

    /// Whether it is seen well enough to be judged.
    fn is_clear(&self) -> bool {
        self.sidecar != Container::Unclear && self.bottle != Container::Unclear
    }
}

/// What is to be put right.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Plan {
    /// What bottles are told.
    pub events: Vec<(Slug, Event)>,
    /// Containers of ours that no record knows; to be removed.
    pub orphans: Vec<Slug>,
}

/// Compares the records of all bottles with the engine's containers. Bottles in `busy` have an
/// effect that is not finished, which will put them right by itself; of which the engine cannot tell
/// what they do, it may tell at the next look.
pub fn plan(bottles: &[Bottle], busy: &BTreeSet<Slug>, seen: &BTreeMap<Slug, Pair>) -> Plan {
    let mut plan = Plan::default();
    for bottle in bottles.iter().filter(|bottle| !busy.contains(&bottle.slug)) {
        let pair = seen.get(&bottle.slug).unwrap_or(&Pair::MISSING);
        if !pair.is_clear() {
            continue;
        }
        plan.events.extend(difference(bottle, pair).map(|event| (bottle.slug.clone(), event)));
    }
    let known: BTreeSet<&Slug> = bottles.iter().map(|bottle| &bottle.slug).collect();
    let orphans = seen.iter().filter(|(slug, pair)| pair.is_clear() && !known.contains(slug));
    plan.orphans = orphans.map(|(slug, _)| slug.clone()).collect();
    plan
}

fn difference(bottle: &Bottle, pair: &Pair) -> Option<Event> {
    match &bottle.state {
        // On their way: an effect or its retry is due.
        State::Queued { .. }
        | State::Starting(_)
        | State::Rehydrating(_)
        | State::Freezing { .. } => None,
        State::Running { .. } => broken(bottle, pair).map(|detail| Event::Died { detail }),
        State::Frozen { tier: Tier::Hot, .. } => match (&pair.sidecar, &pair.bottle) {
            (Container::Running, Container::Paused) => None,
            (_, Container::Running) => {
                Some(drifted("the frozen bottle was woken by somebody else"))
            }
            (_, _) => Some(Event::Died { detail: describe(bottle, pair) }),
        },
        State::Frozen { tier: Tier::Cold, .. } | State::Failed { .. } => {
            awake(pair).then(|| drifted("a container runs that should be stopped"))
        }
        State::Destroyed { cleaning: Some(_), .. } => None,
        State::Destroyed { cleaning: None, .. } => {
            let gone = pair.sidecar == Container::Missing && pair.bottle == Container::Missing;
            (!gone).then(|| drifted("a container is left of a destroyed bottle"))
        }
    }
}

/// Why a running bottle cannot go on, if it cannot.
fn broken(bottle: &Bottle, pair: &Pair) -> Option<String> {
    if pair.bottle != Container::Running || pair.sidecar != Container::Running {
        return Some(describe(bottle, pair));
    }
    match &pair.grant {
        SidecarGrant::Unknown => None,
        SidecarGrant::None => Some("the sidecar was restarted and has lost its grant".to_owned()),
        SidecarGrant::Nonce(nonce) => {
            let other = bottle.nonce.as_ref().is_some_and(|known| known != nonce);
            other.then(|| "the sidecar was configured by somebody else".to_owned())
        }
    }
}

fn awake(pair: &Pair) -> bool {
    [&pair.sidecar, &pair.bottle]
        .iter()
        .any(|c| matches!(c, Container::Running | Container::Paused))
}

fn drifted(detail: &str) -> Event {
    Event::Drifted { detail: detail.to_owned() }
}

fn describe(bottle: &Bottle, pair: &Pair) -> String {
    let starved = bottle.starved_at.is_some();
    format!(
        "the sidecar {}, the bottle {}",
        condition(&pair.sidecar, false),
        condition(&pair.bottle, starved)
    )
}

/// What became of a container. We stop and kill only what the record does not show running, so an
/// end that is found at a running bottle was made by somebody else. The engine keeps saying "out of
/// memory" of a container in which something was killed once, however its own program ended.
fn condition(container: &Container, starved: bool) -> String {
    match container {
        Container::Missing => "is gone".to_owned(),
        Container::Created => "was never started".to_owned(),
        Container::Running => "runs".to_owned(),
        Container::Paused => "is paused".to_owned(),
        Container::Unclear => "is not shown by the engine".to_owned(),
        Container::Exited { code: KILLED, out_of_memory } if *out_of_memory || starved => {
            "was killed for lack of memory".to_owned()
        }
        Container::Exited { code: KILLED, .. } => {
            format!("was killed ({KILLED}), not by us and not for lack of memory")
        }
        Container::Exited { code: TERMINATED, .. } => {
            format!("was stopped ({TERMINATED}), not by us")
        }
        Container::Exited { code, out_of_memory } => {
            let rest = if *out_of_memory || starved { ", after memory ran out in it" } else { "" };
            format!("exited with {code}{rest}")
        }
    }
}

/// 128 + SIGKILL.
const KILLED: i64 = 137;
/// 128 + SIGTERM.
const TERMINATED: i64 = 143;
