//! New bottles: from an order to a queued record with a name of its own.

use std::collections::BTreeSet;

use jiff::Timestamp;
use orchestrator_core::bottle::{Bottle, Claims, Home, Origin, Prompt, Rights, State};
use protocol::ids::{
    AgentName, BadName, BranchName, IssueNumber, Login, ProfileName, RepoName, Slug,
};
use rand::RngExt as _;

use super::{Laws, admit};
use crate::store::{Books, StoreError};

/// What a new bottle is ordered with.
#[derive(Debug, Clone)]
pub struct Order {
    /// The repository.
    pub repo: RepoName,
    /// The issue.
    pub issue: Option<IssueNumber>,
    /// Who asked.
    pub origin: Origin,
    /// Where its pull request goes.
    pub base: BranchName,
    /// The agent.
    pub agent: AgentName,
    /// Its account.
    pub login: Login,
    /// What it is made of.
    pub profiles: Vec<ProfileName>,
    /// A word of the operator's.
    pub label: Option<String>,
    /// The engine.
    pub backend: String,
    /// What it is told first.
    pub prompt: Prompt,
}

/// Makes the record of a new bottle, with a slug that no bottle has.
///
/// # Errors
/// Those of the store.
pub fn new_bottle(
    books: &Books<'_>,
    laws: &Laws,
    order: Order,
    now: Timestamp,
) -> Result<Bottle, StoreError> {
    let slug = loop {
        let slug = chance_slug(&order.agent);
        if books.bottle(&slug)?.is_none() {
            break slug;
        }
    };
    let place = order.issue.map_or_else(|| "manual".to_owned(), |number| number.to_string());
    let branch = format!("{}/{place}/{slug}", laws.branch_prefix);
    let unusable =
        |why: BadName| StoreError::Unusable { path: branch.clone(), why: why.to_string() };
    Ok(Bottle {
        serial: books.next_serial()?,
        home: Home {
            forge: laws.forge.clone(),
            repo: order.repo,
            issue: order.issue,
            origin: order.origin,
            base: order.base,
            branch: branch.parse().map_err(unusable)?,
        },
        slug,
        agent: order.agent,
        login: order.login,
        profiles: order.profiles,
        backend: order.backend,
        label: order.label,
        pull_requests: vec![],
        claims: Claims::default(),
        heard: BTreeSet::new(),
        waiting: vec![order.prompt],
        asked_at: None,
        // Whoever orders it has looked.
        rights: Rights::Seen { at: now },
        runs: 0,
        nonce: None,
        last_checkin: None,
        starved_at: None,
        created_at: now,
        state: State::Queued { since: now },
    })
}

/// Stores a new bottle and gives it a slot if one is free.
///
/// # Errors
/// Those of the store; a constraint error when the issue has a live bottle.
pub fn create(
    books: &Books<'_>,
    laws: &Laws,
    bottle: &Bottle,
    now: Timestamp,
) -> Result<(), StoreError> {
    books.save(bottle, laws.timing.deadline(bottle))?;
    let about = bottle.home.issue.map_or_else(
        || bottle.home.repo.to_string(),
        |issue| format!("{}#{issue}", bottle.home.repo),
    );
    books.log(&bottle.slug, now, &format!("queued: {about} for agent {}", bottle.agent))?;
    admit(books, laws, now)
}

/// Without letters that are mistaken for others, or make words.
const SLUG_LETTERS: &[u8] = b"23456789bcdfghjkmnpqrstvwxz";

fn chance_slug(agent: &AgentName) -> Slug {
    let mut rng = rand::rng();
    loop {
        let ending: String = (0..5)
            .filter_map(|_| SLUG_LETTERS.get(rng.random_range(0..SLUG_LETTERS.len())))
            .map(|b| char::from(*b))
            .collect();
        if let Ok(slug) = Slug::new(agent, &ending) {
            return slug;
        }
    }
}
