//! A disk that fills up, on an engine of the test's own.

use e2e::rig::{Fault, PrivateEngine, Rig, Setup};

use crate::agent;

// CASES 171
#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_starts_nothing_says_why_and_is_noticed_when_it_has_room() -> Result<(), Fault>
{
    let engine = PrivateEngine::start(Some(2560)).await?;
    let volume = engine.volume().ok_or("it has a volume")?;
    let setup = Setup {
        engine: Some(engine.place()),
        ..agent("bottle signal-done success 'there was room'\n")
    };
    engine.load(&setup.image)?;
    let rig = Rig::start(&setup).await?;
    volume.fill(64 << 20)?;
    e2e::rig::wait_until("it is noticed", async || {
        rig.log().contains("nothing is woken until there is room")
    })
    .await?;
    rig.ask_for_work("Wait", "").await?;
    rig.wait_for("queued").await?;
    let store = engine.place().socket.with_file_name("store");
    let status = rig.try_command(&["status", "--json"]).await?;
    let why = format!("{} has 67108864 bytes free", store.display());
    assert!(status.contains(&why), "{status}");
    assert!(rig.docker.containers().await?.is_empty(), "nothing was made");
    volume.empty()?;
    rig.wait_for_detail("frozen", "there was room").await?;
    rig.finish().await
}
