//! How a bottle is ended.

use nix::sys::signal::Signal;

use crate::{fake::Fake, process::Bottle};

const DEAF: &str = "trap 'echo heard' TERM; echo ready; while :; do sleep 0.02; done";

#[tokio::test]
async fn an_idle_bottle_ends_at_once() {
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        let fake = Fake::start();
        let mut bottle = Bottle::start(&fake);
        fake.heard(|script| !script.calls.is_empty()).await;
        bottle.signal(signal);
        assert!(bottle.ended().await.success(), "{signal}");
    }
}

#[tokio::test]
async fn a_bottle_whose_sidecar_is_gone_ends_too() {
    let fake = Fake::absent();
    let mut bottle = Bottle::start(&fake);
    bottle.forwarder().await;
    assert!(bottle.stop().await.success());
}

#[tokio::test]
async fn the_agent_is_told_first_and_its_end_is_reported() {
    let signals = [(Signal::SIGTERM, "TERM"), (Signal::SIGINT, "INT"), (Signal::SIGHUP, "HUP")];
    for (signal, name) in signals {
        let fake = Fake::start();
        let mut bottle = Bottle::start(&fake);
        fake.offer(
            1,
            &format!("trap 'echo told; exit 7' {name}; echo ready; while :; do sleep 0.02; done"),
        );
        bottle.says("ready").await;
        bottle.signal(signal);
        assert_eq!(fake.exit_of(1).await.code, 7, "{name}");
        assert!(bottle.ended().await.success());
        assert_eq!(bottle.said().last().unwrap(), "told");
    }
}

#[tokio::test]
async fn a_second_signal_kills() {
    let fake = Fake::start();
    let mut bottle = Bottle::start(&fake);
    fake.offer(1, DEAF);
    bottle.says("ready").await;
    bottle.signal(Signal::SIGTERM);
    bottle.says("heard").await;
    bottle.signal(Signal::SIGTERM);
    assert_eq!(fake.exit_of(1).await.code, 137);
    assert!(bottle.ended().await.success());
}

/// Takes ten seconds: the grace is the claim.
#[tokio::test]
async fn an_agent_that_does_not_listen_is_killed_after_its_grace() {
    let fake = Fake::start();
    let mut bottle = Bottle::start(&fake);
    fake.offer(1, DEAF);
    bottle.says("ready").await;
    let told = tokio::time::Instant::now();
    bottle.signal(Signal::SIGTERM);
    assert_eq!(fake.exit_of(1).await.code, 137);
    assert!(bottle.ended().await.success());
    assert!((10..30).contains(&told.elapsed().as_secs()), "{:?}", told.elapsed());
}
