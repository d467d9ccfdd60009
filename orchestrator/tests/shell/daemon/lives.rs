//! What happens to bottles when engine, host or we ourselves fail.

use std::{sync::atomic::Ordering, time::Duration};

use futures_util::future::join_all;
use orchestrator::life;
use orchestrator_core::{
    bottle::{Ending, State, Tier},
    host::Host,
    reconcile::Container,
};
use tokio::time::Instant;

use super::{
    PATIENCE, Rig, bottle, order, until, until_frozen, until_running,
    world::{Events, Refusal},
};
use crate::support::name;

const A: &str = "implementer-aaaaa";
const B: &str = "implementer-bbbbb";
const FULL: Host = Host {
    disk_free: Some(4096),
    disk_path: String::new(),
    memory_available: None,
    descriptors_free: None,
    watches_free: None,
};

async fn until_true(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "in vain: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

// CASES 161, 176: the engine restarts, and with it every container ends.
#[tokio::test]
async fn an_engine_that_goes_away_and_comes_back_finds_each_bottle_in_its_right_state() {
    let rig = Rig::new().await;
    let running = rig.start().await;
    order(&running, A, 1).await;
    until_running(&running, A).await;
    rig.engine.away.store(true, Ordering::SeqCst);
    order(&running, B, 2).await;
    // Longer than all attempts take: an engine that is away uses up none of them.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let State::Starting(waking) = bottle(&running, B).await.state else { panic!("it started") };
    assert_eq!(waking.attempts.failed, 0, "nothing is known of it, so it has not failed");
    assert!(matches!(bottle(&running, A).await.state, State::Running { .. }));

    rig.engine.end_all();
    rig.engine.away.store(false, Ordering::SeqCst);
    until_running(&running, B).await;
    let State::Frozen { tier, ending, .. } = until_frozen(&running, A).await else { panic!() };
    assert_eq!(tier, Tier::Cold);
    assert!(matches!(ending, Ending::Died { .. }), "{ending:?}");
    let runs: Vec<String> =
        rig.sidecars.runs.lock().unwrap().iter().map(ToString::to_string).collect();
    assert_eq!(runs, [format!("{A}.1"), format!("{B}.1")], "no run was given twice");
    running.stop().await;
}

// CASES 163: whatever the engine tells or does not, its list decides.
#[tokio::test]
async fn events_that_are_lost_broken_or_repeated_lead_to_the_same_end() {
    let kinds = [Events::Told, Events::Flood, Events::Broken, Events::Silent];
    join_all(kinds.map(ends_in_the_same_way)).await;
}

async fn ends_in_the_same_way(events: Events) {
    let rig = Rig::new().await;
    *rig.engine.events.lock().unwrap() = events;
    let running = rig.start().await;
    order(&running, A, 1).await;
    until_running(&running, A).await;
    let ended = Container::Exited { code: 1, out_of_memory: false };
    rig.engine.change(A, |seen| seen.bottle = ended);
    let State::Frozen { ending, .. } = until_frozen(&running, A).await else { panic!() };
    let Ending::Died { detail } = ending else { panic!("{events:?}: {ending:?}") };
    assert!(detail.contains("the bottle exited with 1"), "{events:?}: {detail}");
    assert_eq!(rig.engine.count(&format!("run {A}")), 1, "{events:?}");
    running.stop().await;
}

// CASES 159
#[tokio::test]
async fn a_fault_of_ours_at_one_bottle_stops_that_one_alone() {
    let rig = Rig::new().await;
    let running = rig.start().await;
    rig.engine.refuse.lock().unwrap().insert(name(A), Refusal::Panic);
    order(&running, A, 1).await;
    order(&running, B, 2).await;
    until_running(&running, B).await;
    let failed = |state: &State| matches!(state, State::Failed { .. });
    let State::Failed { reason, .. } = until(&running, A, "failed", failed).await else { panic!() };
    assert!(reason.contains("a fault of the daemon's own"), "{reason}");
    running.stop().await;
}

// CASES 171, 180: nothing is started, the reason is shown, and room is noticed.
#[tokio::test]
async fn a_host_without_room_starts_nothing_until_there_is_room_again() {
    let rig = Rig::new().await;
    *rig.gauge.host.lock().unwrap() = Host { disk_path: "/srv/data".to_owned(), ..FULL };
    let running = rig.start().await;
    order(&running, A, 1).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let waiting = bottle(&running, A).await;
    assert!(matches!(waiting.state, State::Queued { .. }), "{:?}", waiting.state);
    let why = life::waits_for(&running.daemon().laws(), &waiting).unwrap();
    assert!(why.contains("/srv/data has 4096 bytes free"), "{why}");
    *rig.gauge.host.lock().unwrap() = Host::default();
    until_running(&running, A).await;
    running.stop().await;
}

// CASES 171: it fills up between the decision and the container.
#[tokio::test]
async fn a_waking_that_finds_the_disk_full_waits_and_uses_up_no_attempt() {
    let rig = Rig::new().await;
    let running = rig.start().await;
    rig.engine.refuse.lock().unwrap().insert(name(A), Refusal::Full);
    *rig.gauge.host.lock().unwrap() = Host { disk_path: "/srv/docker".to_owned(), ..FULL };
    order(&running, A, 1).await;
    until_true("it was tried", || rig.engine.count(&format!("run {A}")) > 0).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let State::Starting(waking) = bottle(&running, A).await.state else { panic!("it started") };
    assert_eq!(waking.attempts.failed, 0);
    rig.engine.refuse.lock().unwrap().clear();
    *rig.gauge.host.lock().unwrap() = Host::default();
    until_running(&running, A).await;
    running.stop().await;
}

// CASES 171: a quota, or the engine's own store: what we measure shows nothing.
#[tokio::test]
async fn a_full_disk_that_cannot_be_measured_is_a_failure_with_the_figures() {
    let rig = Rig::new().await;
    let roomy = Host { disk_free: Some(1 << 40), disk_path: "/srv/docker".to_owned(), ..FULL };
    *rig.gauge.host.lock().unwrap() = roomy;
    let running = rig.start().await;
    rig.engine.refuse.lock().unwrap().insert(name(A), Refusal::Full);
    order(&running, A, 1).await;
    let failed = |state: &State| matches!(state, State::Failed { .. });
    let State::Failed { reason, .. } = until(&running, A, "failed", failed).await else { panic!() };
    for words in ["no space left on device", "/srv/docker has 1099511627776 bytes free"] {
        assert!(reason.contains(words), "{reason} lacks {words}");
    }
    running.stop().await;
}

// A run that was taken while its answer was lost goes on when it is handed over again.
#[tokio::test]
async fn a_repeated_waking_never_stops_the_agent_of_that_run() {
    let rig = Rig::new().await;
    let running = rig.start().await;
    rig.sidecars.lose.store(3, Ordering::SeqCst);
    order(&running, A, 1).await;
    until_running(&running, A).await;
    let runs = rig.sidecars.runs.lock().unwrap().clone();
    assert_eq!(runs.len(), 4);
    assert!(runs.iter().all(|run| *run == runs[0]), "{runs:?}");
    for call in ["stop", "remove", "pause"] {
        assert_eq!(rig.engine.count(&format!("{call} {A}")), 0, "{call}");
        assert_eq!(rig.engine.count(&format!("{call} {A}-sidecar")), 0, "{call} the sidecar");
    }
    running.stop().await;
}

// CASES 164: both containers run, and still the agent is gone.
#[tokio::test]
async fn a_bottle_that_was_restarted_behind_our_back_is_found_by_its_waiting() {
    let rig = Rig::new().await;
    let running = rig.start().await;
    order(&running, A, 1).await;
    until_running(&running, A).await;
    rig.sidecars.waiting.lock().unwrap().insert(name(A));
    rig.engine.change(A, |_| {});
    let State::Frozen { ending, .. } = until_frozen(&running, A).await else { panic!() };
    assert!(
        matches!(&ending, Ending::Died { detail } if detail.contains("restarted")),
        "{ending:?}"
    );
    running.stop().await;
}

// CASES 157: what is remembered as wall time moves with the wall clock.
#[tokio::test]
async fn deadlines_move_when_the_clock_jumps() {
    let rig = Rig::new().await;
    let running = rig.start().await;
    order(&running, A, 1).await;
    let State::Running { last_news: before, .. } = until_running(&running, A).await else {
        panic!()
    };
    *rig.gauge.ahead.lock().unwrap() = -600;
    let moved = |state: &State| {
        matches!(state, State::Running { last_news, .. }
            if (-602..=-598).contains(&last_news.duration_since(before).as_secs()))
    };
    until(&running, A, "moved by ten minutes", moved).await;
    running.stop().await;
}

#[tokio::test]
async fn the_kill_switch_waits_for_no_engine() {
    let rig = Rig::new().await;
    let running = rig.start().await;
    order(&running, A, 1).await;
    until_running(&running, A).await;
    rig.engine.blind.store(true, Ordering::SeqCst);
    rig.engine.change(A, |_| {});
    std::fs::write(running.daemon().config.kill_switch_file(), b"").unwrap();
    let State::Frozen { tier, .. } = until_frozen(&running, A).await else { panic!() };
    assert_eq!(tier, Tier::Cold);
    running.stop().await;
}

#[tokio::test]
async fn a_file_system_that_hangs_holds_up_nothing_and_is_measured_again_when_it_answers() {
    let rig = Rig::new().await;
    rig.gauge.hang(true);
    *rig.gauge.host.lock().unwrap() = Host { disk_path: "/srv/data".to_owned(), ..FULL };
    let running = rig.start().await;
    order(&running, A, 1).await;
    until_running(&running, A).await;
    assert_eq!(rig.gauge.begun.load(Ordering::SeqCst), 1, "each that hangs holds a thread");
    rig.gauge.hang(false);
    until_true("it is measured", || running.daemon().laws().lack.is_some()).await;
    running.stop().await;
}

#[tokio::test]
async fn a_host_short_of_memory_takes_it_back_from_the_bottle_that_slept_longest() {
    let rig = Rig::new().await;
    let running = rig.start().await;
    for (slug, serial) in [(A, 1), (B, 2)] {
        order(&running, slug, serial).await;
        until_running(&running, slug).await;
        let (slug, laws) = (name(slug), running.daemon().laws());
        let exited = move |books: &orchestrator::store::Books<'_>| {
            let news = orchestrator_core::event::News::Exited { code: 0 };
            let run = std::num::NonZeroU32::MIN;
            let event = orchestrator_core::event::Event::News { run, news };
            life::tell(books, &laws, &slug, &event, jiff::Timestamp::now())
        };
        running.daemon().store.write(exited).await.unwrap();
        running.daemon().work.notify_one();
    }
    let hot = |state: &State| matches!(state, State::Frozen { tier: Tier::Hot, .. });
    until(&running, A, "hot", hot).await;
    until(&running, B, "hot", hot).await;
    *rig.gauge.host.lock().unwrap() = Host { memory_available: Some(1 << 20), ..Host::default() };
    let cold = |state: &State| matches!(state, State::Frozen { tier: Tier::Cold, .. });
    until(&running, A, "cold", cold).await;
    *rig.gauge.host.lock().unwrap() = Host::default();
    assert!(hot(&bottle(&running, B).await.state), "one measurement costs one bottle");
    let ended = |container: &Container| matches!(container, Container::Exited { .. });
    until_true("its memory is free", || rig.engine.seen(A).is_some_and(|s| ended(&s.bottle))).await;
    running.stop().await;
}
