//! Telling bottles what happened, inside one transaction: state, effects, log and slots together.

mod admission;
mod order;

use std::panic::{AssertUnwindSafe, catch_unwind};

use jiff::{SignedDuration, Timestamp};
use orchestrator_core::{
    bottle::{Bottle, Origin, Prompt, State},
    event::{Event, News},
    host::Lack,
    policy::{self, Launch, Rules, Sight, Verdict, Why},
    step::{self, Impossible, Step},
    timing::Timing,
};
use protocol::ids::{AgentName, BranchName, ForgeId, IssueNumber, Login, Slug};

use crate::store::{Books, StoreError};

use self::admission::look_soon;
pub use self::{
    admission::{admit, waits, waits_for},
    order::{Order, create, new_bottle},
};

/// What every decision needs besides the record.
#[derive(Debug, Clone)]
pub struct Laws {
    /// Waits.
    pub timing: Timing,
    /// Bottles that may be awake at a time.
    pub slots: u32,
    /// What the configuration allows, with the kill switch as it is now.
    pub rules: Rules,
    /// What the host has too little of to wake a bottle, if it has.
    pub lack: Option<Lack>,
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
    tell_by(step::step, books, laws, slug, event, now)
}

/// How events are decided on.
type Decide = fn(&Bottle, &Event, Timestamp, &Timing) -> Result<Step, Impossible>;

fn tell_by(
    decide: Decide,
    books: &Books<'_>,
    laws: &Laws,
    slug: &Slug,
    event: &Event,
    now: Timestamp,
) -> Result<Told, StoreError> {
    let Some(bottle) = books.bottle(slug)? else { return Ok(Told::Unknown) };
    let stepped = match guarded(|| decide(&bottle, event, now, &laws.timing)) {
        Ok(Ok(stepped)) => stepped,
        Ok(Err(impossible)) => {
            tracing::error!(%slug, %impossible, "dropped an event");
            return Ok(Told::Ignored("it cannot happen in this state"));
        }
        Err(why) => {
            tracing::error!(%slug, why, ?event, "a decision broke off; the bottle is stopped");
            step::broken(&bottle, &why, now)
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
    if stepped.next.claims.open.len() > bottle.claims.open.len() {
        look_soon(books, &stepped.next, now)?;
    }
    if let Some(sentence) = sentence(&bottle, &stepped.next, event) {
        tracing::info!(%slug, sentence, "bottle");
        books.log(slug, now, &sentence)?;
    }
    Ok(Told::Changed)
}

/// Makes a decision in which a fault of ours harms only what it is about: decisions change nothing
/// but what they give back, so nothing is left half done.
fn guarded<T>(decide: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(decide)).map_err(|payload| {
        let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
        text.or_else(|| payload.downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "a panic without a message".to_owned())
    })
}

/// No forge asks for a longer pause than this that is worth keeping over a clock that jumped.
const HINT_DELAY_MAX: SignedDuration = SignedDuration::from_hours(1);

/// Tells every bottle that the wall clock has jumped, and moves the hints that wait. With zero it
/// only pulls back what lies in the future, after a jump that nobody saw.
///
/// # Errors
/// Those of the store.
pub fn clock_jumped(
    books: &Books<'_>,
    laws: &Laws,
    by: SignedDuration,
    now: Timestamp,
) -> Result<(), StoreError> {
    let mut bottles = books.live_bottles()?;
    bottles.extend(books.unclean_bottles()?);
    for bottle in bottles {
        tell_one(books, laws, &bottle.slug, &Event::ClockJumped { by }, now)?;
    }
    let latest = now.saturating_add(HINT_DELAY_MAX).unwrap_or(Timestamp::MAX);
    books.shift_hints(by, latest)?;
    admit(books, laws, now)
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
    // That a bottle which sleeps is told something changes its state too.
    if let Event::Wake { prompts, .. } = event
        && !prompts.is_empty()
        && before.state.word() == after.state.word()
    {
        return Some(format!("will be told: {}", sources(prompts)));
    }
    if before.state.word() != after.state.word()
        || matches!(after.state, State::Frozen { .. }) && before.state != after.state
    {
        let detail = after.detail();
        return Some(if detail.is_empty() {
            after.state.word().to_owned()
        } else {
            format!("{}: {detail}", after.state.word())
        });
    }
    if before.detail() != after.detail() && matches!(event, Event::Starved {}) {
        return Some(
            "a program was killed for lack of memory; the run goes on if it can".to_owned(),
        );
    }
    if after.claims.refuted.len() > before.claims.refuted.len() {
        return after.claims.refuted.last().map(|number| {
            format!("#{number} is not a pull request of its branch, whatever its sidecar says")
        });
    }
    match event {
        Event::RightsLost { .. } => {
            let gone = before.waiting.iter().filter(|prompt| !after.waiting.contains(prompt));
            Some(format!("not told, for who said it may not write any more: {}", sources(gone)))
        }
        _ => None,
    }
}

fn sources<'a>(prompts: impl IntoIterator<Item = &'a Prompt>) -> String {
    let sources: Vec<&str> = prompts.into_iter().map(|prompt| prompt.source.as_str()).collect();
    sources.join(", ")
}

/// Judges what was seen of an issue or pull request and acts on it in the same transaction.
///
/// # Errors
/// Those of the store.
pub fn judge(
    books: &Books<'_>,
    laws: &Laws,
    sight: &Sight,
    number: IssueNumber,
    login_of: impl Fn(&AgentName) -> Option<Login>,
    now: Timestamp,
) -> Result<Verdict, StoreError> {
    let (verdict, bottle) = decided(books, laws, sight, number)?;
    match (&verdict, bottle) {
        (Verdict::Launch(launch), _) => {
            if let Some(login) = login_of(&launch.agent) {
                launch_for(books, laws, sight, launch, login, now)?;
            }
        }
        (Verdict::Tell(event), Some(bottle)) => {
            tell_one(books, laws, &bottle.slug, event, now)?;
            seen(books, laws, sight, &bottle.slug, now)?;
        }
        // The kill switch is asked last, and keeps slots back by itself.
        (Verdict::Nothing(Why::NothingNew | Why::KillSwitch), Some(bottle)) => {
            seen(books, laws, sight, &bottle.slug, now)?;
        }
        (Verdict::Tell(_), None) | (Verdict::Nothing(_), _) => {}
    }
    admit(books, laws, now)?;
    Ok(verdict)
}

/// Whether what was seen ends a bottle, or takes back what an ended one was asked for with.
///
/// # Errors
/// Those of the store.
pub fn ends(
    books: &Books<'_>,
    laws: &Laws,
    sight: &Sight,
    number: IssueNumber,
) -> Result<bool, StoreError> {
    let (verdict, _) = decided(books, laws, sight, number)?;
    Ok(matches!(verdict, Verdict::Tell(Event::Cancel { .. } | Event::Released {})))
}

fn decided(
    books: &Books<'_>,
    laws: &Laws,
    sight: &Sight,
    number: IssueNumber,
) -> Result<(Verdict, Option<Bottle>), StoreError> {
    let bottle = books.bottle_about(&sight.repo, number)?;
    let verdict = guarded(|| policy::decide(&laws.rules, sight, bottle.as_ref()))
        .map_err(|why| StoreError::Undecided { what: format!("{}#{number}", sight.repo), why })?;
    Ok((verdict, bottle))
}

/// The forge was asked about a bottle and did not end it: if it wants a slot, it may have one, to be
/// told what those said who may say so still.
fn seen(
    books: &Books<'_>,
    laws: &Laws,
    sight: &Sight,
    slug: &Slug,
    now: Timestamp,
) -> Result<(), StoreError> {
    let bottle = books.bottle(slug)?.filter(|bottle| bottle.wants_slot_since().is_some());
    let Some(bottle) = bottle else { return Ok(()) };
    let remarks = policy::rights_lost(sight, &bottle);
    if !remarks.is_empty() {
        tell_one(books, laws, slug, &Event::RightsLost { remarks }, now)?;
    }
    tell_one(books, laws, slug, &Event::Seen {}, now)?;
    Ok(())
}

fn launch_for(
    books: &Books<'_>,
    laws: &Laws,
    sight: &Sight,
    launch: &Launch,
    login: Login,
    now: Timestamp,
) -> Result<(), StoreError> {
    let Launch { issue, agent, profiles, base, prompt, heard } = launch.clone();
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
    create(books, laws, &bottle, now)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Store, open};

    const FAULTY: &str = "implementer-aaaaa";
    const SOUND: &str = "implementer-bbbbb";

    fn name<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
        text.parse().unwrap()
    }

    fn laws() -> Laws {
        Laws {
            timing: Timing::default(),
            slots: 2,
            rules: Rules {
                agent_label: "bot-bottle:".to_owned(),
                profile_label: "bot-bottle-bottle:".to_owned(),
                repos: [name("team/project")].into(),
                agents: [(name("implementer"), vec![])].into(),
                profiles: [].into(),
                own_logins: [name("implementer-bot")].into(),
                kill_switch: false,
            },
            lack: None,
            forge: name("gitea"),
            branch_prefix: name("bot-bottle"),
            backend: "docker".to_owned(),
        }
    }

    fn make(books: &Books<'_>, slug: &str, issue: u64) -> Result<(), StoreError> {
        let order = Order {
            repo: name("team/project"),
            issue: Some(issue.try_into().unwrap()),
            origin: Origin::Issue,
            base: name("main"),
            agent: name("implementer"),
            login: name("implementer-bot"),
            profiles: vec![],
            label: None,
            backend: "docker".to_owned(),
            prompt: Prompt { source: "a test".to_owned(), text: "do it".to_owned(), saying: None },
        };
        let now = Timestamp::UNIX_EPOCH;
        let bottle = Bottle { slug: name(slug), ..new_bottle(books, &laws(), order, now)? };
        create(books, &laws(), &bottle, now)
    }

    /// Has a fault that shows only at one bottle.
    fn faulty(
        bottle: &Bottle,
        event: &Event,
        now: Timestamp,
        timing: &Timing,
    ) -> Result<Step, Impossible> {
        assert_ne!(bottle.slug.as_str(), FAULTY, "as ordered");
        step::step(bottle, event, now, timing)
    }

    // CASES 159: the transaction, the daemon and the other bottles go on.
    #[tokio::test]
    async fn a_panic_in_a_decision_stops_its_bottle_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::start(open(&dir.path().join("t.db")).unwrap()).unwrap();
        let work = |books: &Books<'_>| {
            make(books, FAULTY, 1)?;
            make(books, SOUND, 2)?;
            let cancel = Event::Cancel { reason: orchestrator_core::bottle::Reason::Operator };
            let now = Timestamp::UNIX_EPOCH;
            let told: Result<Vec<Told>, _> = [FAULTY, SOUND, FAULTY]
                .into_iter()
                .map(|slug| tell_by(faulty, books, &laws(), &name(slug), &cancel, now))
                .collect();
            let states: Result<Vec<_>, StoreError> = [FAULTY, SOUND]
                .into_iter()
                .map(|slug| Ok(books.bottle(&name(slug))?.unwrap()))
                .collect();
            let lines = books.log_after(&name(FAULTY), 0, std::num::NonZeroU32::MAX)?;
            Ok((told?, states?, lines))
        };
        let (told, bottles, lines) = store.write(work).await.unwrap();
        let ignored = Told::Ignored("a decision about it broke off");
        assert_eq!(told, [Told::Changed, Told::Changed, ignored], "it ends in one step");
        let words: Vec<_> = bottles.iter().map(|bottle| bottle.state.word()).collect();
        assert_eq!(words, ["failed", "destroyed"]);
        let sentence = &lines.last().unwrap().sentence;
        assert!(sentence.starts_with("failed: a fault in bot-bottle: "), "{sentence}");
        assert!(sentence.contains("as ordered"), "{sentence}");
        assert_eq!(bottles[0].waiting.len(), 1, "what it was to be told waits");
        store.close().await;
    }
}
