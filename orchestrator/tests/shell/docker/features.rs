//! What an engine and an image must be, or are refused.

use orchestrator::engine::{Engine as _, EngineError};
use serde_json::{Value, json};

use super::{Rig, world::good_info};

async fn prepare(info: Value) -> Result<(), EngineError> {
    let rig = Rig::new().await;
    rig.world().info = info;
    rig.engine.prepare().await
}

// CASES 177: it would take our wishes and silently do without.
#[tokio::test]
async fn an_engine_that_would_weaken_a_bottle_is_refused() {
    let faults = [
        ("OSType", json!("windows"), "Linux"),
        ("SecurityOptions", json!(["name=apparmor"]), "seccomp"),
        ("SecurityOptions", json!([]), "seccomp"),
        ("SecurityOptions", json!(["name=seccomp,profile=unconfined"]), "switched off"),
        ("MemoryLimit", json!(false), "memory"),
        ("PidsLimit", json!(false), "processes"),
    ];
    for (key, value, word) in faults {
        let mut info = good_info();
        info[key] = value.clone();
        let error = prepare(info).await.unwrap_err();
        assert!(matches!(error, EngineError::Lacks { .. }), "{key}: {error}");
        assert!(error.to_string().contains(word), "{key} {value}: {error}");
        assert!(!error.is_transient());
        let mut info = good_info();
        info.as_object_mut().unwrap().remove(key);
        // Not told is not there; only the system's name may be missing.
        assert_eq!(prepare(info).await.is_ok(), key == "OSType", "{key} is not told");
    }
}

// CASES 178: both are taken, as long as their limits are there.
#[tokio::test]
async fn both_versions_of_cgroups_are_taken() {
    for version in ["1", "2"] {
        let mut info = good_info();
        info["CgroupVersion"] = json!(version);
        info["SecurityOptions"] =
            json!(["name=apparmor", "name=seccomp,profile=builtin", "name=cgroupns"]);
        prepare(info).await.unwrap();
    }
}

// CASES 170: Docker makes a container of it, which cannot start.
#[tokio::test]
async fn an_image_for_another_machine_is_refused_by_name() {
    let rig = Rig::ready().await;
    rig.world().images.insert("mine:1".to_owned(), "arm64".to_owned());
    let error = rig.engine.ensure_running(&rig.bottle).await.unwrap_err();
    let text = error.to_string();
    assert!(!error.is_transient());
    for words in ["mine:1", "linux/arm64", "linux/amd64"] {
        assert!(text.contains(words), "{text} lacks {words}");
    }
    assert!(!rig.world().changes.iter().any(|call| call.contains("containers create")));
}

// CASES 170: pinned, so that what was built anew under the same name is not taken for it.
#[tokio::test]
async fn an_image_whose_digest_changed_is_not_replaced_by_another() {
    let mut rig = Rig::ready().await;
    let pinned = format!("mine:1@sha256:{}", "0".repeat(64));
    rig.bottle.image = pinned.clone();
    let error = rig.engine.ensure_running(&rig.bottle).await.unwrap_err();
    assert!(!error.is_transient());
    assert!(error.to_string().contains(&pinned), "{error}");
    assert!(error.to_string().contains("build or pull"), "{error}");
}
