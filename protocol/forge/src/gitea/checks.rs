//! The checks of a commit.

use std::collections::HashSet;

use protocol::{
    item::{Check, CheckState},
    limits::FORGE_PAGES_MAX,
};

use super::{
    address::Address,
    http::Http,
    wire::{WireStatus, WireStatuses},
};
use crate::ForgeError;

/// Entries of a page, as for other lists.
const PAGE_LEN: usize = 50;

/// Reads the combined status of a commit, all pages. Versions differ in whether the list is paged
/// and in what they call its total; a page with nothing new ends it.
pub(super) async fn read(
    http: &Http,
    address: &Address,
    what: &str,
) -> Result<Vec<Check>, ForgeError> {
    let mut seen = HashSet::new();
    let mut checks = Vec::new();
    for page in 1..=FORGE_PAGES_MAX {
        let address = address.clone().query("page", page).query("limit", PAGE_LEN);
        let statuses: WireStatuses = http.get(&address, what).await?;
        let statuses = statuses.statuses.unwrap_or_default();
        let full = statuses.len() >= PAGE_LEN;
        let fresh: Vec<WireStatus> =
            statuses.into_iter().filter(|status| seen.insert(status.id)).collect();
        let nothing_new = fresh.is_empty();
        checks.extend(fresh.into_iter().map(WireStatus::into_check));
        if nothing_new || !full {
            break;
        }
    }
    Ok(checks)
}

/// The state of a commit as a whole: not good as long as one check is not.
pub(super) fn worst(checks: &[Check]) -> Option<CheckState> {
    let by_weight = [
        CheckState::Error,
        CheckState::Failure,
        CheckState::Pending,
        CheckState::Warning,
        CheckState::Success,
    ];
    by_weight.into_iter().find(|state| checks.iter().any(|check| check.state == *state))
}
