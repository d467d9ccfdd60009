//! Answers that are lost, late, or not what they seem.

use std::time::Duration;

use orchestrator::engine::{Change, Engine as _, EngineError, Role};
use orchestrator_core::reconcile::Container;
use serde_json::json;

use super::{BOTTLE, Rig, SIDECAR};

// CASES 166
#[tokio::test]
async fn a_container_whose_creation_was_not_answered_is_found_by_its_name() {
    let rig = Rig::ready().await;
    rig.world().mute.insert("create");
    let error = rig.engine.ensure_running(&rig.bottle).await.unwrap_err();
    assert!(error.is_transient(), "{error}");
    let made = rig.world().containers[BOTTLE].id.clone();
    rig.engine.ensure_running(&rig.bottle).await.unwrap();
    assert_eq!(rig.world().containers[BOTTLE].id, made, "there is one, and it is that one");
    assert!(rig.runs(BOTTLE));
}

// CASES 167: Docker gives exit code 0 to what never ran.
#[tokio::test]
async fn a_container_that_never_ran_has_not_ended() {
    let rig = Rig::ready().await;
    rig.engine.ensure_running(&rig.bottle).await.unwrap();
    for (started, wanted) in
        [(false, Container::Created), (true, Container::Exited { code: 0, out_of_memory: false })]
    {
        let end = |container: &mut super::world::Container| {
            (container.status, container.exit_code, container.started) = ("exited", 0, started);
        };
        end(rig.world().containers.get_mut(BOTTLE).unwrap());
        let seen = rig.engine.observe().await.unwrap();
        assert_eq!(seen[&rig.bottle.slug].bottle, wanted);
        // Seen anew when it changes, and asked about only once while it does not.
        rig.engine.ensure_running(&rig.bottle).await.unwrap();
        let seen = rig.engine.observe().await.unwrap();
        assert_eq!(seen[&rig.bottle.slug].bottle, Container::Running);
    }
}

#[tokio::test]
async fn a_container_that_docker_cannot_show_hides_no_other() {
    let rig = Rig::ready().await;
    rig.engine.ensure_running(&rig.bottle).await.unwrap();
    rig.engine.ensure_running(&rig.sidecar).await.unwrap();
    rig.world().containers.get_mut(BOTTLE).unwrap().status = "dead";
    rig.world().refuse.insert(BOTTLE.to_owned(), (500, "layer does not exist".to_owned()));
    let seen = rig.engine.observe().await.unwrap();
    let seen = &seen[&rig.bottle.slug];
    assert_eq!((&seen.sidecar, &seen.bottle), (&Container::Running, &Container::Unclear));
    rig.world().refuse.clear();
    let seen = rig.engine.observe().await.unwrap();
    assert!(matches!(seen[&rig.bottle.slug].bottle, Container::Exited { .. }), "{seen:?}");
}

// CASES 172
#[tokio::test]
async fn pausing_what_does_not_run_says_what_it_is() {
    let rig = Rig::ready().await;
    let (slug, role) = (&rig.bottle.slug, Role::Bottle);
    assert_eq!(rig.engine.ensure_paused(slug, role).await.unwrap(), Container::Missing);
    rig.engine.ensure_running(&rig.bottle).await.unwrap();
    for _ in 0..2 {
        assert_eq!(rig.engine.ensure_paused(slug, role).await.unwrap(), Container::Paused);
    }
    rig.world().containers.get_mut(BOTTLE).unwrap().status = "exited";
    let ended = rig.engine.ensure_paused(slug, role).await.unwrap();
    assert!(matches!(ended, Container::Exited { .. }), "{ended:?}");
}

// CASES 172: it ended between the look and the pause.
#[tokio::test]
async fn a_pause_that_comes_too_late_is_a_failure_only_if_it_still_runs() {
    let rig = Rig::ready().await;
    rig.engine.ensure_running(&rig.bottle).await.unwrap();
    let refusal = (409, format!("Container {BOTTLE} is not running"));
    rig.world().refuse.insert("pause".to_owned(), refusal);
    let error = rig.engine.ensure_paused(&rig.bottle.slug, Role::Bottle).await.unwrap_err();
    assert!(error.to_string().contains("is not running"), "{error}");
}

// CASES 173: a paused program cannot obey SIGTERM, and would be killed after the whole grace time.
#[tokio::test]
async fn a_paused_container_is_woken_before_it_is_stopped() {
    let rig = Rig::ready().await;
    rig.engine.ensure_running(&rig.bottle).await.unwrap();
    rig.engine.ensure_paused(&rig.bottle.slug, Role::Bottle).await.unwrap();
    rig.engine.ensure_stopped(&rig.bottle.slug, Role::Bottle).await.unwrap();
    rig.engine.ensure_stopped(&rig.bottle.slug, Role::Bottle).await.unwrap();
    let world = rig.world();
    assert_eq!(world.containers[BOTTLE].exit_code, 143, "it was not killed");
    assert_eq!(world.changes.iter().filter(|call| call.ends_with(" stop")).count(), 1);
}

// CASES 174: it would wake what is paused, and make processes that nobody knows of.
#[tokio::test]
async fn nothing_is_ever_restarted_by_the_engine() {
    let rig = Rig::ready().await;
    for _ in 0..2 {
        rig.engine.ensure_running(&rig.bottle).await.unwrap();
        rig.engine.ensure_paused(&rig.bottle.slug, Role::Bottle).await.unwrap();
        rig.engine.ensure_running(&rig.bottle).await.unwrap();
        rig.engine.ensure_stopped(&rig.bottle.slug, Role::Bottle).await.unwrap();
    }
    let changes = rig.world().changes.clone();
    assert!(!changes.iter().any(|call| call.ends_with("restart")), "{changes:?}");
}

// CASES 175: somebody else's removal hangs.
#[tokio::test]
async fn a_removal_that_does_not_end_is_told_within_a_bound() {
    let rig = Rig::ready().await;
    rig.engine.ensure_running(&rig.bottle).await.unwrap();
    let id = rig.world().containers[BOTTLE].id.clone();
    let hangs = (409, "removal of container is already in progress".to_owned());
    rig.world().refuse.insert(id, hangs);
    let removal = rig.engine.ensure_removed(&rig.bottle.slug, Role::Bottle);
    let error = tokio::time::timeout(Duration::from_secs(30), removal).await.unwrap().unwrap_err();
    assert!(error.is_transient() && error.to_string().contains("does not end"), "{error}");
    rig.world().refuse.clear();
    rig.engine.ensure_removed(&rig.bottle.slug, Role::Bottle).await.unwrap();
    assert!(!rig.world().containers.contains_key(BOTTLE));
}

// CASES 163: what came after the last event that was heard is asked for again.
#[tokio::test]
async fn a_stream_that_breaks_off_goes_on_where_it_ended() {
    let rig = Rig::ready().await;
    rig.world().events = vec![json!({
        "Type": "container", "Action": "die", "time": 1_772_366_400_u64,
        "timeNano": 1_772_366_400_123_456_789_u64,
        "Actor": { "ID": "id9", "Attributes": {} },
    })];
    assert_eq!(rig.engine.changed().await.unwrap(), Change::Container);
    let error = rig.engine.changed().await.unwrap_err();
    assert!(error.is_transient(), "{error}");
    assert_eq!(rig.engine.changed().await.unwrap(), Change::Container, "told twice does no harm");
    let asked = rig.world().asked_events.clone();
    let since: Vec<bool> = asked.iter().map(|query| query.contains("since=1772366400")).collect();
    assert_eq!(since, [false, true], "{asked:?}");
}

// CASES 169
#[tokio::test]
async fn memory_that_ran_out_is_told_with_the_bottle_it_happened_to() {
    let rig = Rig::ready().await;
    rig.world().events = vec![json!({
        "Type": "container", "Action": "oom", "timeNano": 1_772_366_400_000_000_000_u64,
        "Actor": { "ID": "id9", "Attributes": {
            "bot-bottle.instance": "00aa", "bot-bottle.slug": BOTTLE, "bot-bottle.role": "bottle",
        } },
    })];
    let slug = rig.bottle.slug.clone();
    let told = rig.engine.changed().await.unwrap();
    assert_eq!(told, Change::OutOfMemory { slug, role: Role::Bottle });
}

// CASES 165: the answer "in use" names who has it.
#[tokio::test]
async fn a_name_that_somebody_took_meanwhile_is_adopted_or_refused() {
    let rig = Rig::ready().await;
    rig.engine.ensure_running(&rig.sidecar).await.unwrap();
    let made = rig.world().containers[SIDECAR].id.clone();
    rig.engine.ensure_running(&rig.sidecar).await.unwrap();
    assert_eq!(rig.world().containers[SIDECAR].id, made);

    rig.world().put(BOTTLE, "mine:1", json!({}), "running");
    let error = rig.engine.ensure_running(&rig.bottle).await.unwrap_err();
    let EngineError::Foreign { name, id } = &error else { panic!("{error}") };
    assert_eq!((name.as_str(), id), (BOTTLE, &rig.world().containers[BOTTLE].id));
    assert!(!error.is_transient());
}
