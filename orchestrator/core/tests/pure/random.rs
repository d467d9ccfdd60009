//! A hostile world, by chance: what must hold whatever happens, and that all comes to rest.

use orchestrator_core::{
    bottle::{Reason, Rights, Tier},
    event::{Event, News},
};
use proptest::{collection::vec, prelude::*, sample::select};
use protocol::{agent::DoneStatus, ids::IssueNumber, item::PullState};

use crate::{
    support::{name, number, prompt, run},
    world::{
        World,
        engine::{Disturbance, Outcome},
        forge::Speaker,
    },
};

/// One thing that happens. Indices are taken modulo what there is.
#[derive(Debug, Clone)]
enum Happening {
    /// The forge is read about an issue.
    Look(usize),
    /// Free slots are given away.
    Grant,
    /// A stored effect is begun.
    Begin(usize),
    /// A begun effect ends.
    Finish(usize, Outcome),
    /// The daemon is killed.
    Crash(Outcome),
    /// News is read from the queue directory.
    Deliver(usize, usize),
    /// Seconds go by.
    Pass(i64),
    /// The wall clock jumps by seconds, while the daemon looks or not.
    Jump(i64, bool),
    /// The host has no room for another bottle, or has again.
    Full(bool),
    /// The host is measured: hot bottles that it can bear, and whether memory is short.
    Measure(u32, bool),
    Tick(usize),
    Reconcile,
    Agent(usize, Agent),
    Forge(usize, People),
    KillSwitch(bool),
    Operator(usize, Event),
    Disturb(usize, Disturbance, bool),
    Orphan,
    /// Something that was told before is told again.
    Repeat(usize, usize),
    /// A compromised sidecar's news.
    Lie(usize, u32, News),
}

#[derive(Debug, Clone, Copy)]
enum Agent {
    Alive,
    Opens,
    Done,
    Exits(i32),
}

#[derive(Debug, Clone, Copy)]
enum People {
    Say(Speaker, bool),
    Label(bool),
    Assign(bool),
    Open(bool),
    Gone(bool),
    Pull(PullState),
    PullGone,
    LetBobWrite(bool),
}

fn happen(world: &mut World, happening: Happening) {
    match happening {
        Happening::Look(issue) => world.look(issue),
        Happening::Grant => world.grant(),
        Happening::Crash(outcome) => world.crash(outcome),
        Happening::Pass(seconds) => world.pass(seconds),
        Happening::Jump(seconds, seen) => world.jump(seconds, seen),
        Happening::Full(full) => world.full = full,
        Happening::Measure(hot_max, short) => world.measure(hot_max, short),
        Happening::Reconcile => {
            let _anything: bool = world.reconcile();
        }
        Happening::KillSwitch(on) => world.forge.kill_switch = on,
        Happening::Forge(issue, people) => happen_on_forge(world, issue, people),
        Happening::Orphan => {
            let _new: bool = world.orphans.insert(name("forgotten-00000"));
        }
        Happening::Begin(site)
        | Happening::Finish(site, _)
        | Happening::Deliver(site, _)
        | Happening::Tick(site)
        | Happening::Agent(site, _)
        | Happening::Operator(site, _)
        | Happening::Disturb(site, ..)
        | Happening::Repeat(site, _)
        | Happening::Lie(site, ..) => {
            if let Some(index) = world.pick(site) {
                happen_at(world, index, happening);
            }
        }
    }
}

fn happen_at(world: &mut World, index: usize, happening: Happening) {
    match happening {
        Happening::Begin(_) => world.begin(index),
        Happening::Finish(_, outcome) => world.finish(index, outcome),
        Happening::Deliver(_, which) => world.deliver(index, which),
        Happening::Tick(_) => world.tell(index, &Event::Tick {}),
        Happening::Agent(_, agent) => happen_in_bottle(world, index, agent),
        Happening::Operator(_, event) => world.tell(index, &event),
        Happening::Disturb(_, disturbance, told) => {
            world.sites[index].disturb(disturbance);
            if told {
                let detail = format!("{disturbance:?}");
                world.sites[index].queue.push(Event::Died { detail });
            }
        }
        Happening::Repeat(_, which) => world.repeat(index, which),
        Happening::Lie(_, about, news) => world.lie(index, Event::News { run: run(about), news }),
        other => unreachable!("{other:?} does not happen at a bottle"),
    }
}

fn happen_in_bottle(world: &mut World, index: usize, agent: Agent) {
    let site = &mut world.sites[index];
    match agent {
        Agent::Alive => site.agent_says(News::Alive {}),
        Agent::Done => site.agent_is_done(),
        Agent::Exits(code) => site.agent_ends_its_run(code),
        Agent::Opens => {
            let number = world.forge.open_pull();
            if !site.agent_opens(number) {
                world.forge.pulls.insert(number, PullState::Closed);
            }
        }
    }
}

fn happen_on_forge(world: &mut World, issue: usize, people: People) {
    let issue = issue % world.forge.issues.len();
    if matches!(people, People::Label(false) | People::Assign(false) | People::Gone(true)) {
        world.forge.take_back(issue);
    }
    let there = &mut world.forge.issues[issue];
    match people {
        People::LetBobWrite(may) => world.forge.let_bob_write(may),
        People::Say(speaker, in_review) => world.forge.say(issue, speaker, in_review),
        People::Label(on) => there.labelled = on,
        People::Assign(on) => there.assigned = on,
        People::Open(open) => there.open = open,
        People::Gone(gone) => there.gone = gone,
        People::Pull(state) => {
            if let Some(pull) = pull_of(world, issue) {
                world.forge.pulls.insert(pull, state);
            }
        }
        People::PullGone => {
            if let Some(pull) = pull_of(world, issue) {
                world.forge.pulls.remove(&pull);
            }
        }
    }
}

/// The last pull request of an issue's last bottle.
fn pull_of(world: &World, issue: usize) -> Option<IssueNumber> {
    let number = world.forge.issues[issue].number;
    let bottle = world.sites.iter().rfind(|site| site.bottle.home.issue == Some(number));
    bottle.and_then(|site| site.bottle.pull_requests.last().copied())
}

fn outcomes() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        6 => Just(Outcome::Done),
        1 => Just(Outcome::Failed),
        1 => Just(Outcome::DoneButFailed),
        1 => Just(Outcome::Refused),
        1 => Just(Outcome::LostBefore),
        1 => Just(Outcome::LostAfter),
    ]
}

fn agents() -> impl Strategy<Value = Agent> {
    select(vec![
        Agent::Alive,
        Agent::Opens,
        Agent::Done,
        Agent::Done,
        Agent::Exits(0),
        Agent::Exits(1),
    ])
}

fn people() -> impl Strategy<Value = People> {
    let speaker = select(vec![Speaker::Trusted, Speaker::Stranger, Speaker::Ourselves]);
    prop_oneof![
        12 => (speaker, any::<bool>()).prop_map(|(who, review)| People::Say(who, review)),
        1 => any::<bool>().prop_map(People::Label),
        1 => any::<bool>().prop_map(People::Assign),
        1 => any::<bool>().prop_map(People::Open),
        1 => select(vec![People::Gone(true), People::Gone(false), People::Gone(false)]),
        2 => select(vec![PullState::Open, PullState::Merged, PullState::Closed])
            .prop_map(People::Pull),
        1 => Just(People::PullGone),
        2 => any::<bool>().prop_map(People::LetBobWrite),
    ]
}

fn operators() -> impl Strategy<Value = Event> {
    let wake = Event::Wake { prompts: vec![prompt("typed")], heard: vec![] };
    prop_oneof![
        2 => Just(wake),
        2 => Just(Event::Freeze { tier: Tier::Cold }),
        1 => Just(Event::Freeze { tier: Tier::Hot }),
        1 => Just(Event::Cancel { reason: Reason::Operator }),
    ]
}

fn disturbances() -> impl Strategy<Value = Disturbance> {
    select(vec![
        Disturbance::BottleExits,
        Disturbance::BottleOutOfMemory,
        Disturbance::ChildOutOfMemory,
        Disturbance::BottleRemoved,
        Disturbance::BottlePaused,
        Disturbance::BottleRuns,
        Disturbance::BottleOnlyCreated,
        Disturbance::SidecarExits,
        Disturbance::SidecarRemoved,
        Disturbance::SidecarRuns,
        Disturbance::GrantLost,
        Disturbance::GrantForeign,
    ])
}

fn lies() -> impl Strategy<Value = News> {
    prop_oneof![
        Just(News::Alive {}),
        select(vec![1_u64, 2, 100, 101, 102, 999])
            .prop_map(|n| News::PrOpened { number: number(n) }),
        Just(News::Done { status: DoneStatus::Failed, summary: "a lie".to_owned() }),
        any::<i32>().prop_map(|code| News::Exited { code }),
    ]
}

/// `hostile` adds what only a compromised sidecar does.
fn happenings(hostile: bool) -> impl Strategy<Value = Happening> {
    let site = 0..8_usize;
    let lie = (site.clone(), 1..5_u32, lies()).prop_map(move |(at, run, news)| {
        if hostile { Happening::Lie(at, run, news) } else { Happening::Tick(at) }
    });
    prop_oneof![
        9 => site.clone().prop_map(Happening::Look),
        6 => Just(Happening::Grant),
        10 => site.clone().prop_map(Happening::Begin),
        10 => (site.clone(), outcomes()).prop_map(|(at, how)| Happening::Finish(at, how)),
        1 => select(vec![Outcome::LostBefore, Outcome::LostAfter]).prop_map(Happening::Crash),
        10 => (site.clone(), 0..9_usize).prop_map(|(at, which)| Happening::Deliver(at, which)),
        4 => select(vec![1_i64, 5, 11, 60, 1_000, 3_700]).prop_map(Happening::Pass),
        5 => site.clone().prop_map(Happening::Tick),
        1 => (select(vec![-86_400_i64, -3_600, 90, 3_600, 40_000_000]), any::<bool>())
            .prop_map(|(by, seen)| Happening::Jump(by, seen)),
        1 => select(vec![true, false, false]).prop_map(Happening::Full),
        3 => (0..2_u32, any::<bool>()).prop_map(|(hot, short)| Happening::Measure(hot, short)),
        3 => Just(Happening::Reconcile),
        10 => (site.clone(), agents()).prop_map(|(at, what)| Happening::Agent(at, what)),
        5 => (site.clone(), people()).prop_map(|(at, what)| Happening::Forge(at, what)),
        1 => select(vec![true, false, false]).prop_map(Happening::KillSwitch),
        2 => (site.clone(), operators()).prop_map(|(at, what)| Happening::Operator(at, what)),
        2 => (site.clone(), disturbances(), any::<bool>())
            .prop_map(|(at, what, told)| Happening::Disturb(at, what, told)),
        1 => Just(Happening::Orphan),
        3 => (site, 0..50_usize).prop_map(|(at, which)| Happening::Repeat(at, which)),
        2 => lie,
    ]
}

proptest! {
    // CASES 26, 27, 135-142, 145-147, 157, 161, 163, 164, 169: whatever is lost, repeated,
    // reordered or broken.
    #[test]
    fn whatever_happens_all_comes_to_rest(
        slots in 1..3_u32,
        happenings in vec(happenings(true), 1..200),
        agents_answer: bool,
    ) {
        let mut world = World::new(slots);
        for happening in happenings {
            happen(&mut world, happening);
        }
        world.calm(agents_answer);
    }

    // CASES 164: the engine alone is disturbed, after all was well.
    #[test]
    fn a_disturbed_world_is_put_right_in_three_rounds(
        happenings in vec(happenings(false), 1..100),
        disturbances in vec((0..8_usize, disturbances()), 1..12),
        orphan: bool,
    ) {
        let mut world = World::new(2);
        for happening in happenings {
            happen(&mut world, happening);
        }
        world.calm(true);
        for (site, disturbance) in disturbances {
            if let Some(index) = world.pick(site) {
                world.sites[index].disturb(disturbance);
            }
        }
        if orphan {
            world.orphans.insert(name("forgotten-00000"));
        }
        let mut rounds = 0;
        while world.reconcile() {
            rounds += 1;
            prop_assert!(rounds <= 3, "still something to put right");
            for index in 0..world.sites.len() {
                world.begin(index);
                world.finish(index, Outcome::Done);
            }
        }
        for index in 0..world.sites.len() {
            while !world.sites[index].queue.is_empty() {
                world.deliver(index, 0);
            }
        }
        prop_assert_eq!(world.pending().count(), 0);
        prop_assert_eq!(world.calm(true), 0, "put right, and yet not at rest");
    }
}

/// The model would prove nothing if it never got anywhere.
#[test]
fn the_model_reaches_every_state() {
    use proptest::{strategy::ValueTree as _, test_runner::TestRunner};
    let mut runner = TestRunner::deterministic();
    let mut words = std::collections::BTreeMap::<&str, u32>::new();
    let mut kinds = std::collections::BTreeMap::<String, u32>::new();
    let mut overdue = 0;
    for _ in 0..192 {
        let sequence = vec(happenings(true), 200).new_tree(&mut runner).unwrap().current();
        let mut world = World::new(2);
        for happening in sequence {
            happen(&mut world, happening);
            for site in &world.sites {
                *words.entry(site.bottle.state.word()).or_default() += 1;
                overdue += u32::from(site.bottle.rights == Rights::Overdue {});
            }
        }
        for (kind, times) in world.kinds {
            *kinds.entry(kind).or_default() += times;
        }
    }
    assert_eq!(words.len(), 8, "{words:?}");
    assert!(words.values().all(|times| *times > 100), "{words:?}");
    assert_eq!(kinds.len(), 22, "each kind of event changes something: {kinds:?}");
    assert!(overdue > 100, "{overdue}");
}
