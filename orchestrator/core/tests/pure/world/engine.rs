//! One bottle's place in the model: its record, the effect to be done, its containers, its agent.

use std::collections::{BTreeMap, BTreeSet};

use orchestrator_core::{
    bottle::{Bottle, Heard, Prompt, State, Tier},
    event::{Effect, Event, News},
    reconcile::{Container, Pair, SidecarGrant},
    step::Step,
};
use protocol::{agent::DoneStatus, ids::IssueNumber, ids::Nonce};

/// How an effect goes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Outcome {
    /// As it should.
    Done,
    /// Nothing was done, and that is told.
    Failed,
    /// It was done, and yet called a failure: the answer came too late.
    DoneButFailed,
    /// Nothing was done, and trying again does not help.
    Refused,
    /// Nothing was done, and nobody is told.
    LostBefore,
    /// It was done, and nobody is told.
    LostAfter,
}

/// What somebody does to containers behind our back.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Disturbance {
    BottleExits,
    BottleOutOfMemory,
    ChildOutOfMemory,
    BottleRemoved,
    BottlePaused,
    BottleRuns,
    BottleOnlyCreated,
    SidecarExits,
    SidecarRemoved,
    SidecarRuns,
    GrantLost,
    GrantForeign,
}

pub(crate) struct Site {
    pub(crate) bottle: Bottle,
    pub(crate) pending: Option<(u64, Effect)>,
    pub(crate) in_flight: Option<(u64, Effect)>,
    pub(crate) pair: Pair,
    /// News that was durably written and not yet read.
    pub(crate) queue: Vec<Event>,
    /// What it was told, to be told again.
    pub(crate) history: Vec<Event>,
    /// All prompts that it was given.
    pub(crate) given: Vec<Prompt>,
    /// The prompts of runs that began.
    pub(crate) told: Vec<Prompt>,
    /// Remarks that nobody was told of, for who made them might not write.
    pub(crate) silenced: BTreeSet<Heard>,
    /// Pull requests that really are of its branch.
    pub(crate) opened: BTreeSet<IssueNumber>,
    /// An operator put it to sleep, and nobody has said anything since.
    hold: bool,
    asked: BTreeMap<u32, Vec<Prompt>>,
    handed_over: BTreeMap<u32, Vec<Prompt>>,
    working: Option<u32>,
    finished: BTreeSet<u32>,
    nonces: u64,
}

impl Site {
    pub(crate) fn new(bottle: Bottle) -> Self {
        Self {
            given: bottle.waiting.clone(),
            bottle,
            pending: None,
            in_flight: None,
            pair: Pair::MISSING,
            queue: vec![],
            history: vec![],
            told: vec![],
            silenced: BTreeSet::new(),
            opened: BTreeSet::new(),
            hold: false,
            asked: BTreeMap::new(),
            handed_over: BTreeMap::new(),
            working: None,
            finished: BTreeSet::new(),
            nonces: 0,
        }
    }

    pub(crate) fn is_at_rest(&self) -> bool {
        match &self.bottle.state {
            State::Frozen { .. } => self.bottle.wants_slot_since().is_none(),
            State::Failed { retry, .. } => !retry,
            State::Destroyed { cleaning, .. } => cleaning.is_none(),
            State::Queued { .. }
            | State::Starting(_)
            | State::Running { .. }
            | State::Freezing { .. }
            | State::Rehydrating(_) => false,
        }
    }

    /// What an operator put to sleep stays asleep until something new is said.
    pub(crate) fn keep_account_of_holds(&mut self, event: &Event, taken: &Step) {
        match event {
            Event::Freeze { .. } if taken.ignored.is_none() => self.hold = true,
            Event::Wake { prompts, .. } if taken.ignored.is_none() && !prompts.is_empty() => {
                self.hold = false;
            }
            Event::SlotGranted {} => assert!(!self.hold, "woken against the operator's word"),
            _ => {}
        }
    }

    /// What a sidecar tells of gives nothing until the forge was asked; what happens to programs in a
    /// bottle that lives ends nothing.
    pub(crate) fn assert_claims_are_no_rights(&self, event: &Event, taken: &Step) {
        let strange = |number: &&IssueNumber| !self.opened.contains(number);
        let foreign = taken.next.pull_requests.iter().find(strange);
        assert_eq!(foreign, None, "a right by a sidecar's word alone");
        if let Event::News { news: News::PrOpened { number }, .. } = event {
            let Bottle { pull_requests, claims, .. } = &taken.next;
            let known = [pull_requests, &claims.open, &claims.refuted];
            assert!(known.iter().any(|known| known.contains(number)), "#{number} is not learned");
        }
        if matches!(event, Event::RightsLost { .. }) {
            assert_eq!(taken.effects, [], "something is done for one who may not write");
        }
        if matches!(event, Event::Starved {} | Event::Pulls { .. } | Event::Seen {}) {
            assert_eq!((&taken.next.state, &taken.effects[..]), (&self.bottle.state, &[][..]));
        }
    }

    /// Every prompt is in one place: it waits, is on its way into a run, or a run began with it.
    pub(crate) fn keep_account_of_prompts(&mut self, event: &Event, taken: &Step) {
        if let (Event::Wake { prompts, .. }, None, true) =
            (event, taken.ignored, taken.next.is_live())
        {
            self.given.extend(prompts.iter().cloned());
        }
        self.keep_account_of_silenced(event, taken);
        if let (Event::Wake { heard, .. }, true) = (event, self.bottle.is_live()) {
            let dropped = heard.is_empty() && taken.ignored.is_some();
            assert!(!dropped, "an operator's prompt is dropped");
        }
        for effect in &taken.effects {
            if let Effect::Awaken { run, prompts } = effect {
                let before = self.asked.insert(run.get(), prompts.clone());
                assert!(before.is_none_or(|before| before == *prompts), "run {run} told twice");
            }
        }
        let on_its_way = |state: &State| match state {
            State::Starting(waking) | State::Rehydrating(waking) => Some(waking.clone()),
            _ => None,
        };
        let after = on_its_way(&taken.next.state);
        if let (Some(before), None) = (on_its_way(&self.bottle.state), &after)
            && !matches!(taken.next.state, State::Failed { .. })
        {
            self.told.extend(self.asked[&before.run.get()].iter().cloned());
        }
        if taken.next.is_live() {
            let waking = after.map(|waking| waking.prompts).unwrap_or_default();
            let mut places = [self.told.clone(), waking, taken.next.waiting.clone()].concat();
            let mut given = self.given.clone();
            places.sort_by(|a, b| a.text.cmp(&b.text));
            given.sort_by(|a, b| a.text.cmp(&b.text));
            assert_eq!(given, places, "prompts, given against kept, after {event:?}");
        }
    }

    /// Remarks that are heard of and not told.
    fn keep_account_of_silenced(&mut self, event: &Event, taken: &Step) {
        let id = |prompt: &Prompt| prompt.saying.as_ref().map(|saying| saying.id);
        match event {
            Event::Wake { prompts, heard } if taken.ignored.is_none() => {
                let told: BTreeSet<_> = prompts.iter().filter_map(id).collect();
                self.silenced.extend(heard.iter().filter(|heard| !told.contains(heard)));
            }
            Event::RightsLost { remarks } if taken.ignored.is_none() => {
                let lost = |prompt: &Prompt| id(prompt).is_some_and(|id| remarks.contains(&id));
                self.given.retain(|prompt| !lost(prompt));
                self.silenced.extend(remarks);
            }
            _ => {}
        }
    }

    /// Does what an effect asks for, or fails at it; gives what is told of it.
    pub(crate) fn perform(&mut self, effect: &Effect, outcome: Outcome) -> Option<Event> {
        if matches!(outcome, Outcome::Done | Outcome::DoneButFailed | Outcome::LostAfter) {
            self.act(effect);
        }
        match outcome {
            Outcome::Done => Some(self.success(effect)),
            Outcome::Failed | Outcome::DoneButFailed => Some(failure(effect, true)),
            Outcome::Refused => Some(failure(effect, false)),
            Outcome::LostBefore | Outcome::LostAfter => None,
        }
    }

    fn act(&mut self, effect: &Effect) {
        match effect {
            Effect::Awaken { run, prompts } => self.awaken(run.get(), prompts),
            Effect::Sleep { tier: Tier::Hot } if self.can_be_paused() => {
                self.pair.bottle = Container::Paused;
                self.pair.grant = SidecarGrant::None;
            }
            Effect::Sleep { .. } => self.stop(),
            Effect::Remove {} => {
                self.pair = Pair::MISSING;
                self.working = None;
            }
        }
    }

    fn awaken(&mut self, run: u32, prompts: &[Prompt]) {
        let newest = self.handed_over.keys().next_back();
        assert!(newest.is_none_or(|newest| *newest <= run), "run {run} after run {newest:?}");
        self.nonces += 1;
        let nonce = Nonce::from_bytes(self.nonces.to_be_bytes());
        let grant = SidecarGrant::Nonce(nonce);
        self.pair = Pair { sidecar: Container::Running, bottle: Container::Running, grant };
        let before = self.handed_over.insert(run, prompts.to_vec());
        assert!(before.is_none_or(|before| before == prompts), "run {run} with other prompts");
        if !self.finished.contains(&run) {
            self.working = Some(run);
        }
    }

    fn can_be_paused(&self) -> bool {
        self.pair.sidecar == Container::Running
            && matches!(self.pair.bottle, Container::Running | Container::Paused)
    }

    fn stop(&mut self) {
        for container in [&mut self.pair.sidecar, &mut self.pair.bottle] {
            if matches!(container, Container::Running | Container::Paused) {
                *container = Container::Exited { code: 143, out_of_memory: false };
            }
        }
        self.pair.grant = SidecarGrant::Unknown;
        self.working = None;
    }

    fn success(&self, effect: &Effect) -> Event {
        match effect {
            Effect::Awaken { run, .. } => {
                Event::Awoken { run: *run, nonce: Nonce::from_bytes(self.nonces.to_be_bytes()) }
            }
            Effect::Sleep { .. } if self.pair.bottle == Container::Paused => {
                Event::Asleep { tier: Tier::Hot }
            }
            Effect::Sleep { .. } => Event::Asleep { tier: Tier::Cold },
            Effect::Remove {} => Event::Cleaned {},
        }
    }

    /// What the agent of the current run can say, if one is at work.
    fn worker(&self) -> Option<std::num::NonZeroU32> {
        let up = self.pair.sidecar == Container::Running && self.pair.bottle == Container::Running;
        self.working.filter(|_| up).and_then(std::num::NonZeroU32::new)
    }

    pub(crate) fn agent_says(&mut self, news: News) {
        if let Some(run) = self.worker() {
            self.queue.push(Event::News { run, news });
        }
    }

    pub(crate) fn agent_is_done(&mut self) {
        self.agent_says(News::Done { status: DoneStatus::Success, summary: "done".to_owned() });
    }

    pub(crate) fn agent_opens(&mut self, number: IssueNumber) -> bool {
        self.agent_says(News::PrOpened { number });
        let opened = self.worker().is_some();
        if opened {
            self.opened.insert(number);
        }
        opened
    }

    pub(crate) fn agent_ends_its_run(&mut self, code: i32) {
        if let Some(run) = self.worker() {
            self.agent_says(News::Exited { code });
            self.finished.insert(run.get());
            self.working = None;
        }
    }

    /// Changes containers that there are. Whether the engine tells of it is another matter.
    pub(crate) fn disturb(&mut self, disturbance: Disturbance) {
        let there = |container: &Container| *container != Container::Missing;
        let (bottle, sidecar) = (there(&self.pair.bottle), there(&self.pair.sidecar));
        let exited = |out_of_memory| Container::Exited { code: 137, out_of_memory };
        match disturbance {
            Disturbance::BottleExits if bottle => self.pair.bottle = exited(false),
            Disturbance::BottleOutOfMemory if bottle => self.pair.bottle = exited(true),
            // The engine tells of it; no container changes.
            Disturbance::ChildOutOfMemory if bottle => self.queue.push(Event::Starved {}),
            Disturbance::BottleRemoved => self.pair.bottle = Container::Missing,
            Disturbance::BottlePaused if bottle => self.pair.bottle = Container::Paused,
            Disturbance::BottleRuns if bottle => self.pair.bottle = Container::Running,
            Disturbance::BottleOnlyCreated => self.pair.bottle = Container::Created,
            Disturbance::SidecarExits if sidecar => self.pair.sidecar = exited(false),
            Disturbance::SidecarRemoved => self.pair.sidecar = Container::Missing,
            Disturbance::SidecarRuns if sidecar => self.pair.sidecar = Container::Running,
            Disturbance::GrantLost if sidecar => self.pair.grant = SidecarGrant::None,
            Disturbance::GrantForeign if sidecar => {
                self.pair.grant = SidecarGrant::Nonce(Nonce::from_bytes([0xff; 8]));
            }
            Disturbance::BottleExits
            | Disturbance::BottleOutOfMemory
            | Disturbance::ChildOutOfMemory
            | Disturbance::BottlePaused
            | Disturbance::BottleRuns
            | Disturbance::SidecarExits
            | Disturbance::SidecarRuns
            | Disturbance::GrantLost
            | Disturbance::GrantForeign => {}
        }
        if !matches!(self.pair.bottle, Container::Running | Container::Paused) {
            self.working = None;
        }
    }

    /// At rest, the containers are what the record says.
    pub(crate) fn assert_containers_fit(&self) {
        let up =
            |container: &Container| matches!(container, Container::Running | Container::Paused);
        let Pair { sidecar, bottle, .. } = &self.pair;
        match &self.bottle.state {
            State::Frozen { held: true, .. } if !self.bottle.waiting.is_empty() && !self.hold => {
                panic!("what was said since does not wake it")
            }
            State::Frozen { tier: Tier::Hot, .. } => {
                assert_eq!((sidecar, bottle), (&Container::Running, &Container::Paused));
            }
            State::Frozen { tier: Tier::Cold, .. } | State::Failed { .. } => {
                assert!(!up(sidecar) && !up(bottle), "awake: {:?}", self.pair);
            }
            State::Destroyed { .. } => {
                assert_eq!((sidecar, bottle), (&Container::Missing, &Container::Missing));
            }
            state => panic!("not at rest: {state:?}"),
        }
    }
}

fn failure(effect: &Effect, transient: bool) -> Event {
    let error = "it did not work".to_owned();
    match effect {
        Effect::Awaken { run, .. } => Event::AwakenFailed { run: *run, error, transient },
        Effect::Sleep { .. } => Event::SleepFailed { error },
        Effect::Remove {} => Event::CleanFailed { error },
    }
}
