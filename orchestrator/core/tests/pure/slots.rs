//! Whose turn it is when slots are free.

use std::collections::BTreeSet;

use orchestrator_core::{
    bottle::{Bottle, State, Tier},
    policy::admit,
};
use proptest::{collection::vec, prelude::*};

use crate::support::{at, in_state, prompt, reported, run, waking};

proptest! {
    #[test]
    fn slots_go_to_those_who_waited_longest(
        kinds in vec((0..7_u8, 0..5_i64), 0..12),
        slots in 0..6_u32,
    ) {
        let bottles: Vec<Bottle> =
            (1..).zip(kinds).map(|(serial, (kind, since))| waiting(serial, kind, since)).collect();
        let used = bottles.iter().filter(|bottle| bottle.uses_slot()).count();
        let order = |bottle: &Bottle| bottle.wants_slot_since().map(|since| (since, bottle.serial));
        let admitted = admit(bottles.iter(), slots);
        let free = (slots as usize).saturating_sub(used);
        let wanting = bottles.iter().filter(|bottle| order(bottle).is_some()).count();
        prop_assert_eq!(admitted.len(), wanting.min(free));
        let chosen: Vec<_> = admitted.iter().map(|bottle| order(bottle).unwrap()).collect();
        prop_assert!(chosen.is_sorted());
        let serials: BTreeSet<u32> = admitted.iter().map(|bottle| bottle.serial).collect();
        prop_assert_eq!(serials.len(), admitted.len());
        let left_out = bottles.iter().filter(|bottle| !serials.contains(&bottle.serial));
        for waits in left_out.filter_map(order) {
            prop_assert!(chosen.iter().all(|first| *first < waits), "{waits:?} waited longer");
        }
    }
}

/// A bottle of some kind, the last two of which use a slot.
fn waiting(serial: u32, kind: u8, seconds: i64) -> Bottle {
    let since = at(seconds);
    let failed = |retry| State::Failed { reason: String::new(), since, retry };
    let frozen = |held| State::Frozen { tier: Tier::Cold, since, ending: reported(), held };
    let state = match kind {
        0 => State::Queued { since },
        1 => frozen(false),
        2 => frozen(true),
        3 => failed(false),
        4 => failed(true),
        5 => State::Starting(waking(1, 0, None)),
        _ => State::Running { run: run(1), since, last_news: since, done: None },
    };
    Bottle { serial, waiting: vec![prompt("waits")], ..in_state(state) }
}
