//! What must hold for each step, wherever the bottle and the event come from.

use orchestrator_core::{
    bottle::{Bottle, Prompt, State, Waking},
    event::{Effect, Event},
    step::Step,
};

fn waking(bottle: &Bottle) -> Option<&Waking> {
    match &bottle.state {
        State::Starting(waking) | State::Rehydrating(waking) => Some(waking),
        State::Queued { .. }
        | State::Running { .. }
        | State::Freezing { .. }
        | State::Frozen { .. }
        | State::Failed { .. }
        | State::Destroyed { .. } => None,
    }
}

/// Panics, with `context`, when a step breaks a law.
pub(crate) fn assert_laws(before: &Bottle, event: &Event, taken: &Step, context: &str) {
    let after = &taken.next;
    assert!(taken.effects.len() <= 1, "{context}: more than one effect");
    identity_stays(before, after, context);
    memory_only_grows(before, after, context);
    the_end_is_the_end(before, after, context);
    runs_are_numbered(before, taken, context);
    effects_fit_the_state(taken, context);
    no_prompt_is_lost(before, event, after, context);
    if taken.ignored.is_some() {
        assert_eq!(before, after, "{context}: ignored, and yet a change");
        assert!(taken.effects.is_empty(), "{context}: ignored, and yet an effect");
    }
}

fn identity_stays(before: &Bottle, after: &Bottle, context: &str) {
    assert_eq!(
        (&before.slug, before.serial, &before.home, &before.agent, &before.login),
        (&after.slug, after.serial, &after.home, &after.agent, &after.login),
        "{context}"
    );
    assert_eq!(
        (&before.profiles, &before.backend, &before.label, before.created_at),
        (&after.profiles, &after.backend, &after.label, after.created_at),
        "{context}"
    );
}

fn memory_only_grows(before: &Bottle, after: &Bottle, context: &str) {
    let forgotten = before.pull_requests.iter().any(|number| !after.pull_requests.contains(number));
    assert!(!forgotten, "{context}: a pull request is forgotten");
    assert!(before.heard.is_subset(&after.heard), "{context}: what was heard is forgotten");
    assert!(before.last_checkin.is_none() || after.last_checkin.is_some(), "{context}: unheard of");
}

// CASES I3
fn the_end_is_the_end(before: &Bottle, after: &Bottle, context: &str) {
    if let State::Destroyed { reason, at, released, .. } = &before.state {
        match &after.state {
            State::Destroyed { reason: reason2, at: at2, released: released2, .. } => {
                assert_eq!((reason, at), (reason2, at2), "{context}: another end");
                assert!(released <= released2, "{context}: no longer released");
            }
            other => panic!("{context}: risen from the dead: {other:?}"),
        }
    }
    if !after.is_live() && before.is_live() {
        assert!(after.waiting.is_empty(), "{context}: a prompt for the dead");
        assert_eq!(after.nonce, None, "{context}: the dead keep a nonce");
    }
}

fn runs_are_numbered(before: &Bottle, taken: &Step, context: &str) {
    let after = &taken.next;
    if after.runs != before.runs {
        assert_eq!(after.runs, before.runs + 1, "{context}: a run number is skipped or used again");
        let woken = waking(after).unwrap_or_else(|| panic!("{context}: a run without a waking"));
        assert_eq!(woken.prompts, before.waiting, "{context}: not told what waited");
        assert!(after.waiting.is_empty(), "{context}: told, and waits still");
        assert!(matches!(taken.effects[..], [Effect::Awaken { .. }]), "{context}: not awoken");
    }
    if let Some(run) = after.current_run() {
        assert_eq!(run.get(), after.runs, "{context}: not in its newest run");
    }
}

fn effects_fit_the_state(taken: &Step, context: &str) {
    let attempts = match &taken.next.state {
        State::Starting(waking) | State::Rehydrating(waking) => Some(waking.attempts),
        State::Freezing { attempts, .. } => Some(*attempts),
        State::Destroyed { cleaning, .. } => *cleaning,
        State::Queued { .. }
        | State::Running { .. }
        | State::Frozen { .. }
        | State::Failed { .. } => None,
    };
    if let (Some(attempts), [_]) = (attempts, &taken.effects[..]) {
        assert_eq!(attempts.next_at, None, "{context}: due again while it is under way");
    }
    match (&taken.effects[..], &taken.next.state) {
        ([Effect::Awaken { run, prompts }], _) => {
            let woken = waking(&taken.next)
                .unwrap_or_else(|| panic!("{context}: awoken without being on its way"));
            assert_eq!((woken.run, &woken.prompts), (*run, prompts), "{context}");
        }
        ([Effect::Sleep { tier }], State::Freezing { tier: wanted, .. })
        | ([Effect::Sleep { tier }], State::Frozen { tier: wanted, .. }) => {
            assert_eq!(tier, wanted, "{context}: another depth of sleep");
        }
        ([Effect::Sleep { .. }], State::Failed { .. })
        | ([Effect::Remove {}], State::Destroyed { cleaning: Some(_), .. })
        | ([], _) => {}
        (effects, state) => panic!("{context}: {effects:?} in {state:?}"),
    }
}

/// A prompt waits, or is part of the waking, until a run begins with it, the bottle ends, or its author
/// loses the right to say it before it was given a slot.
fn no_prompt_is_lost(before: &Bottle, event: &Event, after: &Bottle, context: &str) {
    let held = |bottle: &Bottle| -> Vec<Prompt> {
        let told = waking(bottle).map(|waking| waking.prompts.clone()).unwrap_or_default();
        [told, bottle.waiting.clone()].concat()
    };
    let run_began = waking(before).is_some()
        && waking(after).is_none()
        && !matches!(after.state, State::Failed { .. });
    let is_unsaid = |prompt: &Prompt| match event {
        Event::RightsLost { remarks } if before.wants_slot_since().is_some() => {
            prompt.saying.as_ref().is_some_and(|saying| remarks.contains(&saying.id))
        }
        _ => false,
    };
    let mut must_stay = if !after.is_live() {
        vec![]
    } else if run_began {
        before.waiting.clone()
    } else {
        held(before)
    };
    must_stay.retain(|prompt| !is_unsaid(prompt));
    assert!(
        held(after).starts_with(&must_stay),
        "{context}: a prompt is lost or out of order: {must_stay:?} -> {:?}",
        held(after)
    );
}
