//! Lists, page by page.
//!
//! Pages are asked for by number; addresses that an answer names are never followed (CASES 192).

use std::collections::HashSet;

use protocol::limits::FORGE_PAGES_MAX;
use serde::de::DeserializeOwned;

use super::{address::Address, http::Http};
use crate::ForgeError;

/// Entries of a page: Gitea's default maximum (`MAX_RESPONSE_ITEMS`). It may be set lower, hence
/// the look at `X-Total-Count`.
const PAGE_LEN: usize = 50;

/// A list that is read one page at a time.
pub(super) struct Pages<'a, T> {
    http: &'a Http,
    address: Address,
    what: &'a str,
    id_of: fn(&T) -> u64,
    seen: HashSet<u64>,
    page: u32,
    over: bool,
}

impl<'a, T: DeserializeOwned> Pages<'a, T> {
    /// Begins before the first page. `id_of` tells entries apart.
    pub(super) fn new(
        http: &'a Http,
        address: Address,
        what: &'a str,
        id_of: fn(&T) -> u64,
    ) -> Self {
        Self { http, address, what, id_of, seen: HashSet::new(), page: 0, over: false }
    }

    /// The entries of the next page that were not on an earlier one; none when the list is over,
    /// or longer than we read. A list that ignores `page` is over when nothing new comes.
    pub(super) async fn next(&mut self) -> Result<Vec<T>, ForgeError> {
        if self.over || self.page >= FORGE_PAGES_MAX {
            return Ok(Vec::new());
        }
        self.page += 1;
        let address = self.address.clone().query("page", self.page).query("limit", PAGE_LEN);
        let answer = self.http.ask(&address, self.what).await?;
        let entries: Option<Vec<T>> = self.http.json(&answer, self.what)?;
        let entries = entries.unwrap_or_default();
        let len = entries.len();
        let fresh: Vec<T> =
            entries.into_iter().filter(|entry| self.seen.insert((self.id_of)(entry))).collect();
        let total = answer
            .headers
            .get("x-total-count")
            .and_then(|n| n.to_str().ok()?.parse::<usize>().ok());
        self.over = total.map_or(len < PAGE_LEN, |total| self.seen.len() >= total);
        if !self.over && !fresh.is_empty() && self.page == FORGE_PAGES_MAX {
            tracing::warn!(
                what = self.what,
                pages = FORGE_PAGES_MAX,
                "a list of the forge is not read to its end"
            );
        }
        Ok(fresh)
    }

    /// All entries.
    pub(super) async fn all(mut self) -> Result<Vec<T>, ForgeError> {
        let mut all = Vec::new();
        loop {
            let page = self.next().await?;
            if page.is_empty() {
                return Ok(all);
            }
            all.extend(page);
        }
    }
}
