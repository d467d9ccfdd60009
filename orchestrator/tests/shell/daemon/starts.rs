//! How a daemon starts, refuses to, stops, and starts again.

use std::time::Duration;

use axum::http::StatusCode;
use orchestrator::daemon::{LockError, ServeError};
use tokio::time::Instant;

use super::{Rig, order, until_frozen, until_running};
use crate::support::{name, running as record};

#[tokio::test]
async fn a_forge_that_is_not_quite_there_is_waited_for() {
    let rig = Rig::new().await;
    rig.account.before.lock().unwrap().extend([
        (StatusCode::BAD_GATEWAY, "<h1>502</h1>"),
        (StatusCode::OK, "<h1>it works</h1>"),
        (StatusCode::NOT_FOUND, "<h1>404</h1>"),
    ]);
    let running = rig.start().await;
    assert!(rig.account.before.lock().unwrap().is_empty());
    running.stop().await;
}

// CASES 183, 198
#[tokio::test]
async fn a_token_that_the_forge_refuses_is_told_at_once() {
    let rig = Rig::new().await;
    rig.account.before.lock().unwrap().push_back((StatusCode::UNAUTHORIZED, "{}"));
    let error = rig.try_start(rig.config()).await.unwrap_err();
    assert!(
        matches!(error, ServeError::Forge { source: forge::ForgeError::BadToken { .. }, .. }),
        "{error:?}"
    );
    // Nothing is held: the next start takes the directory.
    rig.start().await.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_forge_that_stays_away_ends_the_start_within_a_bound() {
    let rig = Rig::new().await;
    let mut config = rig.config();
    config.forge.access.url = "http://127.0.0.1:1/".parse().unwrap();
    let away = (StatusCode::SERVICE_UNAVAILABLE, "");
    rig.account.before.lock().unwrap().extend([away; 200]);
    let begun = Instant::now();
    let error = rig.try_start(config).await.unwrap_err();
    assert!(matches!(error, ServeError::Forge { .. }), "{error:?}");
    let text = error.to_string();
    assert!(text.contains("http://127.0.0.1:1/") && !text.contains("accept"), "{text}");
    let took = begun.elapsed();
    assert!((Duration::from_secs(10)..Duration::from_secs(40)).contains(&took), "{took:?}");
}

#[tokio::test]
async fn an_engine_that_is_away_at_the_start_ends_it_and_holds_nothing() {
    let rig = Rig::new().await;
    rig.engine.away.store(true, std::sync::atomic::Ordering::SeqCst);
    let error = rig.try_start(rig.config()).await.unwrap_err();
    assert!(matches!(error, ServeError::Engine(_)), "{error:?}");
    rig.engine.away.store(false, std::sync::atomic::Ordering::SeqCst);
    rig.start().await.stop().await;
}

// CASES 202
#[tokio::test]
async fn records_of_another_forge_are_refused() {
    let rig = Rig::new().await;
    let running = rig.start().await;
    let mut bottle = record("implementer-aaaaa", 1, 7);
    bottle.home.forge = name("elsewhere");
    running.daemon().store.write(move |books| books.save(&bottle, None)).await.unwrap();
    running.stop().await;
    let error = rig.try_start(rig.config()).await.unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, ServeError::OtherForge { .. }), "{text}");
    for words in ["implementer-aaaaa", "elsewhere", "data_dir"] {
        assert!(text.contains(words), "{text} lacks {words}");
    }
}

// CASES 156
#[tokio::test]
async fn one_directory_has_one_daemon_until_it_is_given_back() {
    let rig = Rig::new().await;
    let first = rig.start().await;
    let error = rig.try_start(rig.config()).await.unwrap_err();
    assert!(matches!(error, ServeError::Lock(LockError::Held { .. })), "{error:?}");
    first.cut_off().await;
    let second = rig.start().await;
    assert_ne!(second.listen().port(), 0);
    second.stop().await;
}

// CASES 142, 145: wherever it broke off, the next one puts the bottle to sleep.
#[tokio::test]
async fn a_daemon_that_is_cut_off_is_followed_by_one_that_knows_all() {
    let rig = Rig::new().await;
    let first = rig.start().await;
    order(&first, "implementer-aaaaa", 1).await;
    until_running(&first, "implementer-aaaaa").await;
    first.cut_off().await;
    // While nobody looks, its container ends.
    rig.engine.end_all();
    let second = rig.start().await;
    until_frozen(&second, "implementer-aaaaa").await;
    assert_eq!(rig.sidecars.runs.lock().unwrap().len(), 1, "nothing was started twice");
    second.stop().await;
}
