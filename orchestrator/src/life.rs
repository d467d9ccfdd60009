//! Telling bottles what happened, inside one transaction: state, effects, log and slots together.

use jiff::Timestamp;
use orchestrator_core::{
    bottle::{Bottle, Home, Origin, Prompt, State},
    event::{Event, News},
    policy::{self, Launch, Rules, Sight, Verdict},
    step::step,
    timing::Timing,
};
use protocol::ids::{AgentName, BranchName, ForgeId, Login, RepoName, Slug};
use rand::RngExt as _;

use crate::store::{Books, StoreError};

/// What every decision needs besides the record.
#[derive(Debug, Clone)]
pub struct Laws {
    /// Waits.
    pub timing: Timing,
    /// Bottles that may be awake at a time.
    pub slots: u32,
    /// What the configuration allows, with the kill switch as it is now.
    pub rules: Rules,
    /// The forge's id.
    pub forge: ForgeId,
    /// Branches begin with this.
    pub branch_prefix: BranchName,
    /// The engine's name.
    pub backend: String,
}

/// What became of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// The bottle's record changed.
    Changed,
    /// Nothing changed, for this reason.
    Ignored(&'static str),
    /// There is no such bottle.
    Unknown,
}

/// Tells a bottle what happened, then gives free slots to those that wait.
///
/// # Errors
/// Those of the store. An impossible event is logged and ignored.
pub fn tell(
    books: &Books<'_>,
    laws: &Laws,
    slug: &Slug,
    event: &Event,
    now: Timestamp,
) -> Result<Told, StoreError> {
    let told = tell_one(books, laws, slug, event, now)?;
    admit(books, laws, now)?;
    Ok(told)
}

fn tell_one(
    books: &Books<'_>,
    laws: &Laws,
    slug: &Slug,
    event: &Event,
    now: Timestamp,
) -> Result<Told, StoreError> {
    let Some(bottle) = books.bottle(slug)? else { return Ok(Told::Unknown) };
    let stepped = match step(&bottle, event, now, &laws.timing) {
        Ok(stepped) => stepped,
        Err(impossible) => {
            tracing::error!(%slug, %impossible, "dropped an event");
            return Ok(Told::Ignored("it cannot happen in this state"));
        }
    };
    if let Some(why) = stepped.ignored {
        tracing::debug!(%slug, ?event, why, "nothing to do");
        return Ok(Told::Ignored(why));
    }
    books.save(&stepped.next, laws.timing.deadline(&stepped.next))?;
    if !stepped.effects.is_empty() {
        books.replace_effects(slug, &stepped.effects)?;
    }
    if let Some(sentence) = sentence(&bottle, &stepped.next, event) {
        tracing::info!(%slug, sentence, "bottle");
        books.log(slug, now, &sentence)?;
    }
    Ok(Told::Changed)
}

/// What people read of a change, if it is worth a line.
fn sentence(before: &Bottle, after: &Bottle, event: &Event) -> Option<String> {
    if let Event::AwakenFailed { error, .. }
    | Event::SleepFailed { error }
    | Event::CleanFailed { error } = event
    {
        return Some(format!("{}: {error}", after.state.word()));
    }
    if let Event::News { news: News::Done { .. }, .. } = event {
        return None; // the op log has the agent's own words
    }
    if before.state.word() != after.state.word()
        || matches!(after.state, State::Frozen { .. }) && before.state != after.state
    {
        let detail = after.state.detail();
        return Some(if detail.is_empty() {
            after.state.word().to_owned()
        } else {
            format!("{}: {detail}", after.state.word())
        });
    }
    match event {
        Event::Wake { prompts, .. } if !prompts.is_empty() => {
            let sources: Vec<&str> = prompts.iter().map(|prompt| prompt.source.as_str()).collect();
            Some(format!("will be told: {}", sources.join(", ")))
        }
        _ => None,
    }
}

fn admit(books: &Books<'_>, laws: &Laws, now: Timestamp) -> Result<(), StoreError> {
    if laws.rules.kill_switch {
        return Ok(());
    }
    let bottles = books.slot_bottles()?;
    let next: Vec<Slug> =
        policy::admit(bottles.iter(), laws.slots).into_iter().map(|b| b.slug.clone()).collect();
    for slug in next {
        tell_one(books, laws, &slug, &Event::SlotGranted {}, now)?;
    }
    Ok(())
}

/// Judges what was seen of an issue or pull request and acts on it in the same transaction.
///
/// # Errors
/// Those of the store.
pub fn judge(
    books: &Books<'_>,
    laws: &Laws,
    sight: &Sight,
    number: protocol::ids::IssueNumber,
    login_of: impl Fn(&AgentName) -> Option<Login>,
    now: Timestamp,
) -> Result<Verdict, StoreError> {
    let bottle = books.bottle_about(&sight.repo, number)?;
    let verdict = policy::decide(&laws.rules, sight, bottle.as_ref());
    match (&verdict, bottle) {
        (Verdict::Tell(event), Some(bottle)) => {
            tell(books, laws, &bottle.slug, event, now)?;
        }
        (Verdict::Launch(launch), _) => {
            if let Some(login) = login_of(&launch.agent) {
                let Launch { issue, agent, profiles, base, prompt, heard } = (**launch).clone();
                let order = Order {
                    repo: sight.repo.clone(),
                    issue: Some(issue),
                    origin: Origin::Issue,
                    base,
                    agent,
                    login,
                    profiles,
                    label: None,
                    backend: laws.backend.clone(),
                    prompt,
                };
                let mut bottle = new_bottle(books, laws, order, now)?;
                bottle.heard.extend(heard);
                create(books, laws, &bottle, now)?;
            }
        }
        (Verdict::Tell(_), None) | (Verdict::Nothing(_), _) => {}
    }
    Ok(verdict)
}

/// What a new bottle is ordered with.
#[derive(Debug, Clone)]
pub struct Order {
    /// The repository.
    pub repo: RepoName,
    /// The issue.
    pub issue: Option<protocol::ids::IssueNumber>,
    /// Who asked.
    pub origin: Origin,
    /// Where its pull request goes.
    pub base: BranchName,
    /// The agent.
    pub agent: AgentName,
    /// Its account.
    pub login: Login,
    /// What it is made of.
    pub profiles: Vec<protocol::ids::ProfileName>,
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
    let unusable = |why: protocol::ids::BadName| StoreError::Unusable {
        path: branch.clone(),
        why: why.to_string(),
    };
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
        heard: std::collections::BTreeSet::new(),
        waiting: vec![order.prompt],
        runs: 0,
        nonce: None,
        last_checkin: None,
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
