//! A model of everything around the pure half: a store, an engine, agents, a forge.
//!
//! Time passes, effects fail, are lost or are repeated, containers die, news comes in any order;
//! the laws are asserted after each step. [`World::calm`] then heals the world and waits for rest.

pub(crate) mod engine;
pub(crate) mod forge;
mod laws;

use std::{
    collections::{BTreeMap, BTreeSet},
    iter,
};

use jiff::{SignedDuration, Timestamp};
use orchestrator_core::{
    bottle::{Bottle, Origin, Prompt, Rights, State},
    event::{Effect, Event, News},
    host::{Host, HostLimits, cool},
    policy::{Sight, Verdict, Why, decide, rights_lost},
    reconcile::{Container, Pair, Plan, SidecarGrant, plan},
    slots::{Turn, Turns, admit},
    step::{Step, step},
    timing::Timing,
};
use protocol::ids::Slug;

use self::{
    engine::{Outcome, Site},
    forge::Forge,
};
use crate::support::{at, is_outcome, name, queued};

pub(crate) use self::laws::assert_laws;

pub(crate) struct World {
    pub(crate) now: Timestamp,
    pub(crate) timing: Timing,
    pub(crate) slots: u32,
    turns: Turns,
    /// The host has no room for another bottle.
    pub(crate) full: bool,
    pub(crate) forge: Forge,
    /// In the order in which they were made.
    pub(crate) sites: Vec<Site>,
    /// Containers of ours that no record knows.
    pub(crate) orphans: BTreeSet<Slug>,
    effects: u64,
    /// How often each kind of event changed something.
    pub(crate) kinds: BTreeMap<String, u32>,
}

impl World {
    pub(crate) fn new(slots: u32) -> Self {
        Self {
            now: at(0),
            timing: Timing::default(),
            slots,
            turns: Turns::default(),
            full: false,
            forge: Forge::new(),
            sites: vec![],
            orphans: BTreeSet::new(),
            effects: 0,
            kinds: BTreeMap::new(),
        }
    }

    /// The site of a random index, if there is any.
    pub(crate) fn pick(&self, index: usize) -> Option<usize> {
        (!self.sites.is_empty()).then(|| index % self.sites.len())
    }

    /// One event in one transaction: it must be possible, and the laws must hold.
    pub(crate) fn tell(&mut self, index: usize, event: &Event) {
        let bottle = &self.sites[index].bottle;
        match step(bottle, event, self.now, &self.timing) {
            Ok(taken) => self.commit(index, event, taken),
            Err(error) => panic!("{error}, which is {:?}", bottle.state),
        }
    }

    fn commit(&mut self, index: usize, event: &Event, taken: Step) {
        let site = &mut self.sites[index];
        site.keep_account_of_holds(event, &taken);
        assert_laws(&site.bottle, event, &taken, &format!("{:?} + {event:?}", site.bottle.state));
        site.keep_account_of_prompts(event, &taken);
        site.assert_claims_are_no_rights(event, &taken);
        if matches!(event, Event::SlotGranted {}) {
            let fresh = matches!(site.bottle.rights, Rights::Seen { at } if self.timing.is_fresh(at, self.now));
            assert!(fresh, "woken without a look: {:?}", site.bottle.rights);
        }
        if taken.ignored.is_none() {
            let text = format!("{event:?}");
            let kind = text.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
            *self.kinds.entry(kind.to_owned()).or_default() += 1;
        }
        if let Some(effect) = taken.effects.into_iter().next() {
            self.effects += 1;
            site.pending = Some((self.effects, effect));
        }
        site.bottle = taken.next;
        if site.history.len() < 50 {
            site.history.push(event.clone());
        }
        let used = self.sites.iter().filter(|site| site.bottle.uses_slot()).count();
        assert!(used <= self.slots as usize, "{used} slots are used of {}", self.slots);
    }

    /// Starts the effect that is to be done, unless an older one is still going on.
    pub(crate) fn begin(&mut self, index: usize) {
        let site = &mut self.sites[index];
        if site.in_flight.is_none() {
            site.in_flight.clone_from(&site.pending);
        }
    }

    /// Ends the effect that is going on. Its outcome ends what is to be done, if that is still it.
    pub(crate) fn finish(&mut self, index: usize, outcome: Outcome) {
        let site = &mut self.sites[index];
        let Some((id, effect)) = site.in_flight.take() else { return };
        let Some(event) = site.perform(&effect, outcome) else { return };
        assert!(is_outcome(&event));
        if site.pending.as_ref().is_some_and(|(pending, _)| *pending == id) {
            site.pending = None;
        }
        self.tell(index, &event);
    }

    /// The daemon is killed: what was going on ends halfway, what is stored stays.
    pub(crate) fn crash(&mut self, halfway: Outcome) {
        for site in &mut self.sites {
            if let Some((_, effect)) = site.in_flight.take() {
                let lost = site.perform(&effect, halfway);
                drop(lost);
            }
        }
    }

    /// Reads the forge about an issue and does what policy says.
    pub(crate) fn look(&mut self, issue: usize) {
        let issue = issue % self.forge.issues.len();
        let number = self.forge.issues[issue].number;
        let index = self.sites.iter().rposition(|site| site.bottle.home.issue == Some(number));
        if let Some(index) = index {
            self.check_claims(index);
        }
        let bottle = index.map(|index| &self.sites[index].bottle);
        let sight = self.forge.sight(issue, bottle);
        let rules = self.forge.rules();
        let verdict = decide(&rules, &sight, bottle);
        assert_eq!(verdict, decide(&rules, &sight, bottle), "the same sight, judged twice");
        match (verdict, index) {
            (Verdict::Launch(launch), _) => {
                self.forge.keep_account_of_launches(issue);
                // CASES I2
                let before = self
                    .sites
                    .iter()
                    .filter(|site| site.bottle.home.issue == Some(number) && site.bottle.is_live());
                assert_eq!(before.count(), 0, "a second bottle for #{number}");
                let bottle = self.fresh(launch.prompt, launch.heard.into_iter().collect(), number);
                self.sites.push(Site::new(bottle));
            }
            (Verdict::Tell(event), Some(index)) => {
                self.tell(index, &event);
                self.seen(index, &sight);
            }
            (Verdict::Nothing(Why::NothingNew | Why::KillSwitch), Some(index)) => {
                self.seen(index, &sight);
            }
            (Verdict::Tell(event), None) => panic!("{event:?} for nobody"),
            (Verdict::Nothing(_), _) => {}
        }
    }

    /// What was looked at and not ended may be woken, to be told what those say who may say it now.
    fn seen(&mut self, index: usize, sight: &Sight) {
        let bottle = &self.sites[index].bottle;
        if bottle.wants_slot_since().is_none() {
            return;
        }
        let remarks = rights_lost(sight, bottle);
        if !remarks.is_empty() {
            self.tell(index, &Event::RightsLost { remarks });
        }
        self.tell(index, &Event::Seen {});
        let mut waiting = self.sites[index].bottle.waiting.iter();
        let unwanted = waiting.find(|p| p.saying.is_some() && !self.forge.bob_may_write);
        assert_eq!(unwanted, None, "the words of one who may not write");
    }

    /// Asks the forge whose the pull requests are that a sidecar told of.
    fn check_claims(&mut self, index: usize) {
        let claims = self.sites[index].bottle.claims.open.clone();
        if !claims.is_empty() {
            let ours = |number: &_| self.sites[index].opened.contains(number);
            let (ours, foreign) = claims.into_iter().partition(ours);
            self.tell(index, &Event::Pulls { ours, foreign });
        }
    }

    fn fresh(
        &self,
        prompt: Prompt,
        heard: BTreeSet<orchestrator_core::bottle::Heard>,
        number: protocol::ids::IssueNumber,
    ) -> Bottle {
        let serial = u32::try_from(self.sites.len()).unwrap() + 1;
        let mut bottle = queued();
        bottle.slug = name(&format!("implementer-{serial:05}"));
        bottle.serial = serial;
        bottle.home.issue = Some(number);
        bottle.home.origin = Origin::Issue;
        bottle.waiting = vec![prompt];
        bottle.heard = heard;
        bottle.created_at = self.now;
        bottle.rights = Rights::Seen { at: self.now };
        bottle.state = State::Queued { since: self.now };
        bottle
    }

    /// Gives free slots away.
    pub(crate) fn grant(&mut self) {
        if self.forge.kill_switch || self.full {
            return;
        }
        let bottles: Vec<Bottle> = self.sites.iter().map(|site| site.bottle.clone()).collect();
        for turn in admit(bottles.iter(), self.slots, &self.turns, &self.timing, self.now) {
            match turn {
                Turn::Grant(bottle) => {
                    self.turns.serve(&bottle.home.repo);
                    self.tell(bottle.serial as usize - 1, &Event::SlotGranted {});
                }
                Turn::Look(bottle) => {
                    self.tell(bottle.serial as usize - 1, &Event::LookAsked {});
                }
            }
        }
    }

    /// The host is measured, with memory for so many hot bottles.
    pub(crate) fn measure(&mut self, hot_max: u32, short_of_memory: bool) {
        let bottles: Vec<Bottle> = self.sites.iter().map(|site| site.bottle.clone()).collect();
        let host = Host { memory_available: short_of_memory.then_some(0), ..Host::default() };
        let limits = HostLimits { hot_max, ..HostLimits::default() };
        for slug in cool(&bottles, &host, &limits, &self.timing, self.now) {
            let index = bottles.iter().position(|bottle| bottle.slug == slug).unwrap();
            self.tell(index, &Event::Cool {});
        }
    }

    /// The wall clock jumps; the daemon may not have been there to see it.
    pub(crate) fn jump(&mut self, seconds: i64, seen: bool) {
        let by = SignedDuration::from_secs(seconds);
        self.now += by;
        for index in 0..if seen { self.sites.len() } else { 0 } {
            self.tell(index, &Event::ClockJumped { by });
        }
    }

    /// Delivers one piece of news, not always the oldest.
    pub(crate) fn deliver(&mut self, index: usize, which: usize) {
        let queue = &mut self.sites[index].queue;
        if queue.is_empty() {
            return;
        }
        let event = queue.remove(which % queue.len());
        self.tell(index, &event);
    }

    pub(crate) fn pass(&mut self, seconds: i64) {
        self.now += SignedDuration::from_secs(seconds);
    }

    fn plan(&self) -> Plan {
        let busy = |site: &&Site| site.pending.is_some() || site.in_flight.is_some();
        let bottles: Vec<Bottle> = self.sites.iter().map(|site| site.bottle.clone()).collect();
        let busy = self.sites.iter().filter(busy).map(|site| site.bottle.slug.clone()).collect();
        let running = Pair {
            sidecar: Container::Running,
            bottle: Container::Running,
            grant: SidecarGrant::Unknown,
        };
        let ours = self.sites.iter().map(|site| (site.bottle.slug.clone(), site.pair.clone()));
        let orphans = self.orphans.iter().cloned().zip(iter::repeat(running));
        let seen: BTreeMap<Slug, Pair> = ours.chain(orphans).collect();
        plan(&bottles, &busy, &seen)
    }

    /// Compares and puts right; says whether there was anything to do.
    pub(crate) fn reconcile(&mut self) -> bool {
        let plan = self.plan();
        assert_eq!(plan.orphans, self.orphans.iter().cloned().collect::<Vec<_>>());
        self.orphans.clear();
        for (slug, event) in &plan.events {
            let index = self.sites.iter().position(|site| site.bottle.slug == *slug).unwrap();
            self.tell(index, event);
        }
        plan != Plan::default()
    }

    /// Lets nothing fail any more until nothing is left to do; gives the rounds that it took.
    pub(crate) fn calm(&mut self, agents_answer: bool) -> usize {
        self.forge.kill_switch = false;
        self.full = false;
        // What a daemon does when it starts, for jumps that it did not see.
        self.jump(0, true);
        let most = 24 * (self.sites.len() + self.forge.issues.len() + 1);
        for round in 0..most {
            if !self.calm_round(agents_answer) {
                self.assert_rest();
                return round;
            }
        }
        let states: Vec<_> =
            self.sites.iter().map(|s| (&s.bottle.state, &s.pending, &s.pair)).collect();
        panic!("no rest after {most} rounds: {states:#?}");
    }

    /// Does all that can be done now. With nothing to do, time passes to the next deadline of a
    /// bottle that is on its way; says whether anything happened.
    fn calm_round(&mut self, agents_answer: bool) -> bool {
        let before: Vec<Bottle> = self.sites.iter().map(|site| site.bottle.clone()).collect();
        for issue in 0..self.forge.issues.len() {
            self.look(issue);
        }
        let mut busy = false;
        for index in 0..self.sites.len() {
            while !self.sites[index].queue.is_empty() {
                self.deliver(index, 0);
                busy = true;
            }
            self.begin(index);
            busy |= self.sites[index].in_flight.is_some();
            self.finish(index, Outcome::Done);
            if agents_answer {
                self.sites[index].agent_ends_its_run(0);
            }
        }
        self.grant();
        busy |= self.reconcile();
        busy |= before.len() != self.sites.len()
            || iter::zip(&before, &self.sites).any(|(before, site)| *before != site.bottle);
        busy || self.wait_for_a_deadline()
    }

    fn wait_for_a_deadline(&mut self) -> bool {
        let deadlines = self.sites.iter().filter(|site| !site.is_at_rest());
        let Some(next) = deadlines.filter_map(|site| self.timing.deadline(&site.bottle)).min()
        else {
            return false;
        };
        self.now = self.now.max(next);
        for index in 0..self.sites.len() {
            self.tell(index, &Event::Tick {});
        }
        true
    }

    /// Nothing is under way, containers are as the records say, and everybody was told once.
    fn assert_rest(&self) {
        assert_eq!(self.plan(), Plan::default());
        for site in &self.sites {
            assert!(site.is_at_rest(), "no rest: {:?}", site.bottle.state);
            assert!(site.pending.is_none() && site.queue.is_empty());
            site.assert_containers_fit();
        }
        self.forge.assert_everybody_was_heard_once(&self.sites);
        self.forge.assert_every_issue_is_at_its_end(&self.sites);
    }

    /// News that a compromised sidecar may make up.
    pub(crate) fn lie(&mut self, index: usize, news: Event) {
        if self.sites[index].bottle.runs > 0 {
            self.tell(index, &news);
        }
    }

    /// Tells once more what was told before, out of order.
    pub(crate) fn repeat(&mut self, index: usize, which: usize) {
        let history = &self.sites[index].history;
        let Some(event) = history.get(which % history.len().max(1)).cloned() else { return };
        match &event {
            // Told in the transaction that found it waiting, and never stored as an event.
            Event::SlotGranted {} | Event::LookAsked {} | Event::Seen {} => {}
            Event::RightsLost { .. } => {}
            Event::ClockJumped { .. } => {}
            // Has no id of the forge's; the inbox keeps repeats out.
            Event::Wake { heard, .. } if heard.is_empty() => {}
            Event::News { news: News::Alive {}, .. } => {}
            _ => self.tell(index, &event),
        }
    }

    /// An effect that somebody still waits for, for tests of the tests.
    pub(crate) fn pending(&self) -> impl Iterator<Item = &Effect> {
        self.sites.iter().filter_map(|site| site.pending.as_ref().map(|(_, effect)| effect))
    }
}
