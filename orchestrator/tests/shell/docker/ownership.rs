//! Containers that look like ours and are not, and ours under another name.

use orchestrator::engine::{Engine as _, EngineError, Role};
use orchestrator_core::reconcile::Container;
use serde_json::{Value, json};

use super::{BOTTLE, Rig};

fn labels(rig: &Rig) -> Value {
    rig.world().containers[BOTTLE].labels.clone()
}

/// Every operation refuses it, and it stays as it is.
async fn is_left_alone(rig: &Rig, what: &str) {
    let before = rig.world().containers[BOTTLE].clone();
    let slug = &rig.bottle.slug;
    let refused = [
        rig.engine.ensure_running(&rig.bottle).await.unwrap_err(),
        rig.engine.ensure_paused(slug, Role::Bottle).await.unwrap_err(),
        rig.engine.ensure_stopped(slug, Role::Bottle).await.unwrap_err(),
        rig.engine.ensure_removed(slug, Role::Bottle).await.unwrap_err(),
        rig.engine.output(slug, Role::Bottle, 1000).await.unwrap_err(),
    ];
    for error in refused {
        assert!(matches!(error, EngineError::Foreign { .. }), "{what}: {error}");
    }
    let after = rig.world().containers[BOTTLE].clone();
    assert_eq!((after.id, after.status), (before.id, before.status), "{what}");
    let seen = rig.engine.observe().await.unwrap();
    assert!(!seen.contains_key(slug), "{what}: it is none of ours");
}

// CASES 165: `docker commit` copies labels into the image, and so into each container of it.
#[tokio::test]
async fn a_container_with_copied_labels_is_neither_adopted_nor_removed() {
    let rig = Rig::ready().await;
    rig.engine.ensure_running(&rig.bottle).await.unwrap();
    let labels = labels(&rig);
    rig.world().put(BOTTLE, "somebody/debugs:1", labels, "running");
    is_left_alone(&rig, "another image").await;
}

// CASES 165
#[tokio::test]
async fn a_container_of_our_name_with_other_labels_is_left_alone() {
    let rig = Rig::ready().await;
    rig.engine.ensure_running(&rig.bottle).await.unwrap();
    let ours = labels(&rig);
    for (key, value) in [
        ("bot-bottle.instance", "00bb"),
        ("bot-bottle.slug", "implementer-bbbbb"),
        ("bot-bottle.role", "sidecar"),
    ] {
        let mut labels = ours.clone();
        labels[key] = json!(value);
        if key == "bot-bottle.instance" {
            rig.world().put(BOTTLE, "mine:1", labels, "running");
            is_left_alone(&rig, key).await;
            continue;
        }
        rig.world().put(BOTTLE, "mine:1", labels, "running");
        let error = rig.engine.ensure_removed(&rig.bottle.slug, Role::Bottle).await.unwrap_err();
        assert!(matches!(error, EngineError::Foreign { .. }), "{key}: {error}");
    }
}

// CASES 164: it holds the bottle's files and sockets under any name.
#[tokio::test]
async fn a_renamed_container_gets_its_name_back() {
    let rig = Rig::ready().await;
    rig.engine.ensure_running(&rig.bottle).await.unwrap();
    let container = rig.world().containers.remove(BOTTLE).unwrap();
    let id = container.id.clone();
    rig.world().containers.insert("mine-now".to_owned(), container);
    let seen = rig.engine.observe().await.unwrap();
    assert_eq!(seen[&rig.bottle.slug].bottle, Container::Running);
    assert_eq!(rig.world().containers[BOTTLE].id, id);

    // Its name is another's: neither is mistaken for the other.
    let container = rig.world().containers.remove(BOTTLE).unwrap();
    rig.world().containers.insert("mine-now".to_owned(), container);
    rig.world().put(BOTTLE, "mine:1", json!({}), "running");
    rig.world().refuse.insert("rename".to_owned(), (409, "in use".to_owned()));
    let seen = rig.engine.observe().await.unwrap();
    assert!(!seen.contains_key(&rig.bottle.slug));
}

#[tokio::test]
async fn a_container_whose_image_name_stands_for_another_image_now_is_still_ours() {
    let rig = Rig::ready().await;
    rig.engine.ensure_running(&rig.bottle).await.unwrap();
    // As Docker lists it then; the inspection keeps the name.
    rig.world().listed_image = Some("sha256:0123".to_owned());
    let seen = rig.engine.observe().await.unwrap();
    assert_eq!(seen[&rig.bottle.slug].bottle, Container::Running);
}
