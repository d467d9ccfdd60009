//! Records that are older than the world.

use std::fs;

use orchestrator::store::backup;

use crate::installation::{Installation, furnish};

// CASES 158
#[tokio::test(flavor = "multi_thread")]
async fn a_restored_backup_repeats_nothing_until_a_person_has_looked() {
    let dir = tempfile::tempdir().unwrap();
    furnish(dir.path());
    let installation = Installation::start(dir.path(), vec![]).await;
    let data_dir = installation.data_dir.clone();
    let (database, copy) = (data_dir.join("bot-bottle.db"), dir.path().join("copy.db"));
    // Asleep after its first run, with a remark that it has not heard.
    installation.until("spoken to", async |this| this.world.outside.look().chapter == 2).await;
    backup(&database, &copy).unwrap();
    let done = "said: I have done so.";
    let has_done =
        async |this: &Installation| this.world.outside.look().deeds.iter().any(|deed| deed == done);
    installation.until("done", has_done).await;
    installation.running.cut_off().await;

    for ending in ["-wal", "-shm"] {
        drop(fs::remove_file(data_dir.join(format!("bot-bottle.db{ending}"))));
    }
    fs::rename(&copy, &database).unwrap();
    let installation = Installation::start(dir.path(), vec![]).await;
    let before = installation.world.outside.look().clone();
    let looked = async |this: &Installation| {
        let calls = this.world.gate.calls();
        let often = |call: &str| calls.get(call).is_some_and(|times| *times > 3);
        often("read_comments") && often("list_issues")
    };
    installation.until("looked at", looked).await;
    let switch = data_dir.join("kill-switch");
    assert!(fs::read_to_string(&switch).unwrap().contains("restored from a backup"));
    let runs = |deeds: &[String]| deeds.iter().filter(|deed| deed.starts_with("run")).count();
    let after = installation.world.outside.look().deeds.clone();
    assert_eq!(runs(&after), runs(&before.deeds), "{after:?}");
    installation.running.stop().await;

    // Told once: whoever has removed the switch is not asked again.
    fs::remove_file(&switch).unwrap();
    let installation = Installation::start(dir.path(), vec![]).await;
    assert!(!switch.exists());
    installation.running.stop().await;
}
