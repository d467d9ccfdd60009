//! Phases and runs: configure, start, done, drain, again.

use std::{sync::Arc, time::Duration};

use protocol::{
    agent::{AgentRpcClient as _, DoneStatus, RunExit},
    control::ControlRpcClient as _,
    error::ErrorCode,
    event::Happening,
    grant::Grant,
};
use sidecar::phase::Settings;
use tokio::{io::AsyncReadExt as _, net::UnixStream};

use crate::{
    fake_forge::{Fault, number},
    harness::{Bottle, eventually, grant, refused, run, secrets, settings},
};

fn exit() -> RunExit {
    RunExit { code: 0, output_tail: "bye".to_owned() }
}

/// Kinds of events that change a bottle's life, with their runs.
fn vital(bottle: &Bottle) -> Vec<String> {
    let name = |what: &Happening| match what {
        Happening::RunStarted {} => Some("started"),
        Happening::Done { .. } => Some("done"),
        Happening::Exited { .. } => Some("exited"),
        Happening::PrOpened { .. } => Some("pr"),
        Happening::CheckIn { .. } | Happening::Operation { .. } => None,
    };
    let told = |event: protocol::event::QueueEvent| {
        name(&event.what).map(|name| format!("{name} {}", event.run.unwrap()))
    };
    bottle.events().into_iter().filter_map(told).collect()
}

#[tokio::test]
async fn nothing_is_answered_before_a_grant() {
    let bottle = Bottle::fresh(settings());
    let error = refused(bottle.agent.read_issue(number(17)).await);
    assert_eq!(
        (error.data.kind, error.message.as_str()),
        (ErrorCode::NotReady, "the bottle is starting")
    );
    assert_eq!(refused(bottle.agent.context().await).data.kind, ErrorCode::NotReady);
    assert_eq!(refused(bottle.control.start_run(run(1)).await).data.kind, ErrorCode::NotReady);
    assert_eq!(refused(bottle.agent.next_run().await).data.kind, ErrorCode::NotReady);
    assert_eq!(bottle.control.usage().await.unwrap().nonce, None);
}

#[tokio::test]
async fn each_configure_has_its_nonce_and_keeps_what_is_known() {
    let bottle = Bottle::at_work().await;
    bottle.agent.post_comment(number(17), "x".to_owned()).await.unwrap();
    let (second, third) = (bottle.configure().await, bottle.configure().await);
    assert_ne!(second.nonce, third.nonce);
    let usage = bottle.control.usage().await.unwrap();
    assert_eq!((usage.nonce, usage.writes), (Some(third.nonce), 1));
    assert_eq!(bottle.agent.context().await.unwrap().writes_left.this_minute, 29);
    bottle.agent.post_comment(number(17), "y".to_owned()).await.unwrap();
    let ids: Vec<String> = bottle.events().iter().map(|event| event.id.to_string()).collect();
    assert!(ids[0].ends_with("-00000001") && ids[1].ends_with("-00000002"), "{ids:?}");
    assert_ne!(ids[0].split('-').next(), ids[1].split('-').next());
}

#[tokio::test]
async fn a_sidecar_serves_one_bottle() {
    let bottle = Bottle::at_work().await;
    let other = Grant { slug: "implementer-aaaaa".parse().unwrap(), ..grant(&bottle.forge_url) };
    let error = refused(bottle.control.configure(other, secrets()).await);
    assert_eq!(error.data.kind, ErrorCode::Invalid);
    let mut foreign = run(2);
    foreign.run = "implementer-aaaaa.2".parse().unwrap();
    assert_eq!(refused(bottle.control.start_run(foreign).await).data.kind, ErrorCode::Invalid);
}

#[tokio::test]
async fn a_run_is_given_out_until_it_is_started_and_told_once() {
    let bottle = Bottle::at_work().await;
    for _ in 0..2 {
        assert_eq!(bottle.agent.next_run().await.unwrap(), Some(run(1)));
    }
    bottle.agent.run_started(run(1).run).await.unwrap();
    bottle.agent.run_started(run(1).run).await.unwrap();
    assert_eq!(bottle.agent.next_run().await.unwrap(), None);
    bottle.control.start_run(run(1)).await.unwrap();
    assert_eq!(bottle.agent.next_run().await.unwrap(), None);
    bottle.agent.run_exited(run(1).run, exit()).await.unwrap();
    bottle.agent.run_exited(run(1).run, exit()).await.unwrap();
    assert_eq!(vital(&bottle), ["started implementer-k3v9q.1", "exited implementer-k3v9q.1"]);
    let unknown = refused(bottle.agent.run_exited(run(7).run, exit()).await);
    assert_eq!(unknown.data.kind, ErrorCode::Invalid);
}

#[tokio::test]
async fn a_waiting_bottle_gets_its_run_at_once() {
    let long = Settings { next_run_wait: Duration::from_secs(20), ..settings() };
    let bottle = Bottle::fresh(long);
    let (agent, forge_url) = (bottle.agent.clone(), bottle.forge_url.clone());
    let waiting = async { agent.next_run().await.unwrap() };
    let giving = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        bottle.control.configure(grant(&forge_url), secrets()).await.unwrap();
        eventually_waiting(&bottle).await;
        bottle.control.start_run(run(1)).await.unwrap();
    };
    let (given, ()) = tokio::join!(waiting, giving);
    assert_eq!(given, Some(run(1)));
}

async fn eventually_waiting(bottle: &Bottle) {
    for _ in 0..3000 {
        if bottle.control.usage().await.unwrap().bottle_waiting {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the waiting bottle is not seen");
}

// CASES 59, TH10
#[tokio::test]
async fn the_first_done_of_a_run_counts() {
    let bottle = Bottle::at_work().await;
    let done = |status, summary: &str| bottle.agent.signal_done(status, summary.to_owned());
    let (one, two) =
        tokio::join!(done(DoneStatus::Success, "first"), done(DoneStatus::Failed, "second"));
    let (one, two) = (one.unwrap(), two.unwrap());
    assert!(one.counted ^ two.counted);
    assert_eq!((one.status, &one.summary), (two.status, &two.summary));
    assert_eq!(vital(&bottle), ["done implementer-k3v9q.1"]);
    bottle.control.start_run(run(2)).await.unwrap();
    assert!(done(DoneStatus::Blocked, "").await.unwrap().counted);
    assert_eq!(vital(&bottle), ["done implementer-k3v9q.1", "done implementer-k3v9q.2"]);
    bottle.agent.post_comment(number(17), "still allowed".to_owned()).await.unwrap();
}

// CASES 61: there are no keys; what may be there once is found by what it is.
#[tokio::test]
async fn two_that_race_for_one_thing_make_it_once_and_get_the_same_answer() {
    let bottle = Bottle::at_work().await;
    let socket = bottle.dir.path().join("agent/agent.sock");
    let other = rpc::client::connect(&socket, Duration::from_secs(10)).unwrap();
    let open = || ("Fix it".to_owned(), "Done.".to_owned());
    let ((title, body), (same_title, same_body)) = (open(), open());
    let (one, two) =
        tokio::join!(bottle.agent.open_pr(title, body), other.open_pr(same_title, same_body));
    let (one, two) = (one.unwrap(), two.unwrap());
    assert_eq!(one.pull_request.number, two.pull_request.number);
    assert!(one.existed ^ two.existed, "one of them made it");
    assert_eq!(bottle.forge.changes().len(), 1, "{:?}", bottle.forge.changes());
}

// CASES 58
#[tokio::test]
async fn a_done_without_run_or_beyond_bounds_is_refused() {
    let bottle = Bottle::fresh(settings());
    bottle.configure().await;
    let done = |summary: String| bottle.agent.signal_done(DoneStatus::Success, summary);
    assert_eq!(refused(done(String::new()).await).message, "no run is going on");
    bottle.control.start_run(run(1)).await.unwrap();
    assert_eq!(refused(done("x".repeat(8193)).await).data.kind, ErrorCode::Invalid);
    assert_eq!(refused(done("\0".to_owned()).await).data.kind, ErrorCode::Invalid);
    let tail = RunExit { code: 0, output_tail: "x".repeat(4097) };
    assert_eq!(
        refused(bottle.agent.run_exited(run(1).run, tail).await).data.kind,
        ErrorCode::Invalid
    );
    // Control characters grow sixfold in JSON; the largest summary of them must still fit.
    assert!(done("\u{1}".repeat(8192)).await.unwrap().counted);
}

#[tokio::test]
async fn a_drain_waits_for_the_write_in_flight() {
    let bottle =
        Bottle::at_work_with(Settings { drain_patience: Duration::from_secs(20), ..settings() })
            .await;
    bottle.forge.fail_next([Fault::Wait]);
    let write = bottle.agent.post_comment(number(17), "x".to_owned());
    let drain = async {
        bottle.forge.is_waiting.notified().await;
        let draining = bottle.control.drain();
        let releasing = async {
            tokio::time::sleep(Duration::from_millis(50)).await;
            let late = refused(bottle.agent.read_issue(number(17)).await);
            assert_eq!(late.message, "the bottle is going to sleep");
            bottle.forge.go_on.add_permits(1);
        };
        tokio::join!(draining, releasing).0.unwrap()
    };
    let (written, drained) = tokio::join!(write, drain);
    written.unwrap();
    assert_eq!(drained.cut, 0);
    assert_eq!(bottle.sentences(), ["posted comment on #17"]);
    assert_eq!(refused(bottle.agent.context().await).message, "the bottle is asleep");
}

// CASES 94
#[tokio::test]
async fn a_drain_cuts_what_does_not_end_and_records_it() {
    let bottle = Bottle::at_work().await;
    bottle.forge.fail_next([Fault::Wait]);
    let write = bottle.agent.post_comment(number(17), "x".to_owned());
    let drain = async {
        bottle.forge.is_waiting.notified().await;
        bottle.control.drain().await.unwrap()
    };
    let (written, drained) = tokio::join!(write, drain);
    assert_eq!(refused(written).data.kind, ErrorCode::NotReady);
    assert_eq!(drained.cut, 1);
    let sentence = bottle.sentences().pop().unwrap();
    assert!(sentence.starts_with("failed: post comment on #17: cut off"), "{sentence}");
}

// CASES 39
#[tokio::test]
async fn a_drain_closes_the_agents_connections_and_configure_wakes_it() {
    let bottle = Bottle::at_work().await;
    let mut old = UnixStream::connect(bottle.dir.path().join("agent/agent.sock")).await.unwrap();
    tokio::time::sleep(Duration::from_millis(20)).await;
    bottle.control.drain().await.unwrap();
    assert_eq!(bottle.control.drain().await.unwrap().cut, 0);
    assert_eq!(bottle.control.usage().await.unwrap().nonce, None);
    let mut rest = Vec::new();
    // Well before an idle connection would be closed anyway.
    let closed = tokio::time::timeout(Duration::from_secs(1), old.read_to_end(&mut rest)).await;
    assert!(closed.is_ok(), "the connection outlives the drain");
    bottle.configure().await;
    bottle.agent.post_comment(number(17), "awake".to_owned()).await.unwrap();
    assert_eq!(bottle.control.usage().await.unwrap().run, Some(run(1).run));
}

#[tokio::test]
async fn a_drain_ends_the_wait_for_a_run() {
    let bottle = Bottle::fresh(Settings { next_run_wait: Duration::from_secs(20), ..settings() });
    bottle.configure().await;
    let draining = async {
        eventually_waiting(&bottle).await;
        // Held up by a write, so that the waiting bottle sees it going on.
        bottle.forge.fail_next([Fault::Wait]);
        let write = bottle.agent.post_comment(number(17), "x".to_owned());
        let drain = async {
            bottle.forge.is_waiting.notified().await;
            bottle.control.drain().await.unwrap();
        };
        drop(tokio::join!(write, drain));
    };
    let (waited, ()) = tokio::join!(bottle.agent.next_run(), draining);
    assert_eq!(refused(waited).data.kind, ErrorCode::NotReady);
}

#[tokio::test]
async fn nothing_holds_the_secrets_after_a_drain() {
    let bottle = Bottle::at_work().await;
    let held = Arc::downgrade(bottle.running.sidecar.enter().unwrap().session());
    bottle.agent.post_comment(number(17), "x".to_owned()).await.unwrap();
    assert!(held.upgrade().is_some());
    bottle.control.drain().await.unwrap();
    assert!(held.upgrade().is_none());
    assert_eq!(Arc::strong_count(&bottle.forge), 2, "a client of the forge is left");
}

#[tokio::test]
async fn shutdown_drains_and_ends() {
    let mut bottle = Bottle::at_work().await;
    let ending = bottle.running.sidecar.ending();
    bottle.control.shutdown().await.unwrap();
    assert!(ending.is_cancelled());
    bottle.running.end().await;
    eventually("the socket is dead", || {
        std::os::unix::net::UnixStream::connect(bottle.dir.path().join("agent/agent.sock")).is_err()
    })
    .await;
}
