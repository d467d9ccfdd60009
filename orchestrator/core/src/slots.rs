//! Whose turn it is when slots are free: [`admit`].
//!
//! Repositories take turns: the one with the fewest bottles awake comes first, among equals the one
//! that was served longest ago. Inside a repository the oldest request comes first. So one
//! repository with fifty issues makes another wait for one bottle, not for fifty.

use std::collections::{BTreeMap, VecDeque};

use jiff::Timestamp;
use protocol::ids::RepoName;
use serde::{Deserialize, Serialize};

use crate::{
    bottle::{Bottle, Rights},
    timing::Timing,
};

/// Which repository was served when, counted in turns.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Turns {
    last: u64,
    served: BTreeMap<RepoName, u64>,
}

impl Turns {
    /// Remembers that a bottle of this repository was given a slot.
    pub fn serve(&mut self, repo: &RepoName) {
        self.last = self.last.saturating_add(1);
        self.served.insert(repo.clone(), self.last);
    }

    /// The turn in which it was served last; 0 for never.
    fn of(&self, repo: &RepoName) -> u64 {
        self.served.get(repo).copied().unwrap_or(0)
    }
}

/// What the bottle whose turn it is gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn<'a> {
    /// A slot.
    Grant(&'a Bottle),
    /// A look at its issue first: what was allowed when it was asked for may not be any more. Its
    /// slot is kept for it meanwhile.
    Look(&'a Bottle),
}

/// Whose turn it is, first come first. `bottles` are all that use or want a slot.
pub fn admit<'a>(
    bottles: impl Iterator<Item = &'a Bottle> + Clone,
    slots: u32,
    turns: &Turns,
    timing: &Timing,
    now: Timestamp,
) -> Vec<Turn<'a>> {
    let mut awake: BTreeMap<&RepoName, usize> = BTreeMap::new();
    for bottle in bottles.clone().filter(|bottle| bottle.uses_slot()) {
        *awake.entry(&bottle.home.repo).or_default() += 1;
    }
    let used: usize = awake.values().sum();
    let mut turns = turns.clone();
    let mut waiting = by_repository(bottles);
    let mut free = usize::try_from(slots).unwrap_or(usize::MAX).saturating_sub(used);
    let mut admitted = Vec::new();
    while free > 0 {
        let next = waiting.iter().min_by_key(|(repo, queue)| {
            (awake.get(*repo).copied().unwrap_or(0), turns.of(repo), queue.front().map(order))
        });
        let Some(repo) = next.map(|(repo, _)| *repo) else { break };
        let Some(bottle) = waiting.get_mut(repo).and_then(VecDeque::pop_front) else { break };
        waiting.retain(|_, queue| !queue.is_empty());
        free -= 1;
        *awake.entry(repo).or_default() += 1;
        turns.serve(repo);
        admitted.extend(turn(bottle, timing, now));
    }
    admitted
}

fn turn<'a>(bottle: &'a Bottle, timing: &Timing, now: Timestamp) -> Option<Turn<'a>> {
    match bottle.rights {
        _ if bottle.looks_at().is_none() => Some(Turn::Grant(bottle)),
        Rights::Seen { at } if timing.is_fresh(at, now) => Some(Turn::Grant(bottle)),
        Rights::Seen { .. } | Rights::Unknown {} => Some(Turn::Look(bottle)),
        Rights::Asked { .. } | Rights::Overdue {} => None,
    }
}

/// Those that wait, oldest request first. Who waits for an answer of the forge that does not come is
/// passed over.
fn by_repository<'a>(
    bottles: impl Iterator<Item = &'a Bottle>,
) -> BTreeMap<&'a RepoName, VecDeque<&'a Bottle>> {
    let mut waiting: BTreeMap<&RepoName, VecDeque<&Bottle>> = BTreeMap::new();
    let passed_over = |bottle: &Bottle| matches!(bottle.rights, Rights::Overdue {});
    for bottle in bottles.filter(|b| b.wants_slot_since().is_some() && !passed_over(b)) {
        waiting.entry(&bottle.home.repo).or_default().push_back(bottle);
    }
    for queue in waiting.values_mut() {
        queue.make_contiguous().sort_by_key(order);
    }
    waiting
}

fn order(bottle: &&Bottle) -> (Option<Timestamp>, u32) {
    (bottle.wants_slot_since(), bottle.serial)
}
