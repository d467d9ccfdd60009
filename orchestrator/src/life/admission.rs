//! Giving free slots to bottles that wait, after a look at the forge where the last is too old.

use jiff::Timestamp;
use orchestrator_core::{
    bottle::{Bottle, Rights},
    event::Event,
    slots::{self, Turn, Turns},
};

use super::{Laws, tell_one};
use crate::{
    intake::webhook,
    store::{Books, StoreError},
};

/// Where it is remembered which repository was served when.
const TURNS: &str = "slot_turns";

/// Gives free slots to those whose turn it is. Every word to a bottle does so too; by itself it is for
/// what changes without one: the kill switch, and room on the host.
///
/// # Errors
/// Those of the store.
pub fn admit(books: &Books<'_>, laws: &Laws, now: Timestamp) -> Result<(), StoreError> {
    if laws.rules.kill_switch || laws.lack.is_some() {
        return Ok(());
    }
    // Those that wait may be many and long; they are read only when one of them can be served.
    if books.slots_used()? >= laws.slots {
        return Ok(());
    }
    let bottles = books.slot_bottles()?;
    if bottles.iter().all(Bottle::uses_slot) {
        return Ok(());
    }
    let before = turns(books)?;
    let mut after = before.clone();
    for turn in slots::admit(bottles.iter(), laws.slots, &before, &laws.timing, now) {
        match turn {
            Turn::Grant(bottle) => {
                tell_one(books, laws, &bottle.slug, &Event::SlotGranted {}, now)?;
                after.serve(&bottle.home.repo);
            }
            Turn::Look(bottle) => {
                tell_one(books, laws, &bottle.slug, &Event::LookAsked {}, now)?;
                look_soon(books, bottle, now)?;
            }
        }
    }
    if after != before {
        let text = serde_json::to_string(&after)
            .map_err(|source| StoreError::Row { table: "meta", source })?;
        books.set_meta(TURNS, &text)?;
    }
    Ok(())
}

/// The order of turns is a courtesy: when it cannot be read, it begins anew.
fn turns(books: &Books<'_>) -> Result<Turns, StoreError> {
    let text = books.meta(TURNS)?;
    Ok(text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default())
}

/// Leaves a hint that a bottle's issue is to be looked at now.
pub(super) fn look_soon(
    books: &Books<'_>,
    bottle: &Bottle,
    now: Timestamp,
) -> Result<(), StoreError> {
    let number = bottle.looks_at().or_else(|| bottle.claims.open.last().copied());
    let Some(number) = number else { return Ok(()) };
    let lane = webhook::lane(&bottle.home.repo, number);
    let key = format!("{}{}:{lane}", Books::POLL, now.as_millisecond());
    // Also when one waits: a look that is under way may have begun too early.
    books.arrive(&key, Some(&lane), now).map(|_| ())
}

/// Why a bottle that waits has no slot: a sentence for people; `None` for one that does not wait.
pub fn waits_for(laws: &Laws, bottle: &Bottle) -> Option<String> {
    bottle.wants_slot_since()?;
    Some(waits(laws, bottle.rights))
}

/// The same for one that is known to wait.
pub fn waits(laws: &Laws, rights: Rights) -> String {
    match (&laws.lack, rights) {
        _ if laws.rules.kill_switch => "waits: the kill switch is on".to_owned(),
        (Some(lack), _) => format!("waits: {lack}"),
        (None, Rights::Asked { .. } | Rights::Overdue {}) => {
            "waits for the forge to say that it is still wanted".to_owned()
        }
        (None, Rights::Unknown {} | Rights::Seen { .. }) => {
            format!("waits for one of {} slots", laws.slots)
        }
    }
}
