//! A sidecar that is missing, asleep or restarted.

use protocol::error::{ErrorCode, RpcError};

use crate::{
    fake::{Fake, Report},
    process::Bottle,
};

fn asleep() -> RpcError {
    RpcError::new(ErrorCode::NotReady, "the bottle is going to sleep")
}

#[tokio::test]
async fn a_sidecar_that_comes_late_is_waited_for() {
    let mut fake = Fake::absent();
    let mut bottle = Bottle::start(&fake);
    bottle.forwarder().await;
    fake.offer(1, "exit 1");
    fake.appear();
    assert_eq!(fake.exit_of(1).await.code, 1);
}

#[tokio::test]
async fn a_restart_of_the_sidecar_while_waiting_goes_unnoticed() {
    let mut fake = Fake::start();
    let _bottle = Bottle::start(&fake);
    fake.heard(|script| !script.calls.is_empty()).await;
    fake.vanish().await;
    fake.offer(1, "exit 1");
    fake.appear();
    assert_eq!(fake.exit_of(1).await.code, 1);
}

#[tokio::test]
async fn an_end_is_reported_to_a_sidecar_that_was_away_meanwhile() {
    let mut fake = Fake::start();
    let (go, gone) = (fake.path("go"), fake.path("gone"));
    let (go_path, gone_path) = (go.display(), gone.display());
    fake.offer(
        1,
        &format!(
            "echo up; while ! [ -e {go_path} ]; do sleep 0.01; done; echo > {gone_path}; exit 9"
        ),
    );
    let mut bottle = Bottle::start(&fake);
    bottle.says("up").await;
    fake.heard(|script| !script.reports.is_empty()).await;
    fake.vanish().await;
    std::fs::write(go, "").unwrap();
    while !gone.exists() {
        tokio::task::yield_now().await;
    }
    fake.appear();
    assert_eq!(fake.exit_of(1).await.code, 9);
}

#[tokio::test]
async fn every_call_is_repeated_over_a_nap() {
    let fake = Fake::start();
    fake.change(|script| script.failing = Some((3, asleep())));
    let _bottle = Bottle::start(&fake);
    fake.heard(|script| script.calls.len() >= 4).await;
    // While it waits for a run; then while it asks what it is, starts, and ends.
    fake.change(|script| script.failing = Some((0, asleep())));
    let nap = fake.path("nap");
    fake.offer(1, &format!("while ! [ -e {} ]; do sleep 0.01; done; exit 3", nap.display()));
    fake.heard(|script| !script.reports.is_empty()).await;
    fake.change(|script| script.failing = Some((4, asleep())));
    std::fs::write(nap, "").unwrap();
    assert_eq!(fake.exit_of(1).await.code, 3);
    let ends = fake.reports().iter().filter(|r| matches!(r, Report::Exited(..))).count();
    let tries = fake.calls().iter().filter(|call| call.starts_with("run_exited")).count();
    assert_eq!((ends, tries), (1, 5));
}

#[tokio::test]
async fn a_report_that_is_refused_for_good_does_not_hold_up_the_next_run() {
    let fake = Fake::start();
    let hold = fake.path("hold");
    fake.offer(1, &format!("while ! [ -e {} ]; do sleep 0.01; done", hold.display()));
    let _bottle = Bottle::start(&fake);
    fake.heard(|script| !script.reports.is_empty()).await;
    let unknown = RpcError::new(ErrorCode::Conflict, "another run is going on");
    fake.change(|script| script.failing = Some((1, unknown)));
    std::fs::write(hold, "").unwrap();
    fake.heard(|script| script.calls.iter().any(|call| call.starts_with("run_exited"))).await;
    fake.offer(2, "exit 2");
    assert_eq!(fake.exit_of(2).await.code, 2);
    let is_end = |call: &&String| call.starts_with("run_exited implementer-k3v9q.1");
    assert_eq!(fake.calls().iter().filter(is_end).count(), 1);
}

#[tokio::test]
async fn a_sidecar_that_sleeps_is_asked_ever_more_seldom() {
    let fake = Fake::start();
    fake.change(|script| script.failing = Some((u32::MAX, asleep())));
    let _bottle = Bottle::start(&fake);
    fake.heard(|script| !script.calls.is_empty()).await;
    tokio::time::sleep(std::time::Duration::from_millis(600)).await;
    // After 50, 150 and 350 ms; the next one comes at 750.
    assert!((2..=5).contains(&fake.calls().len()), "{:?}", fake.calls());
}
