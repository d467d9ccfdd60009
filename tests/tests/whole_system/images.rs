//! Images that are not there, and then are.

use e2e::rig::{Fault, REPO, Rig, Setup};

use crate::agent;

// CASES 170
#[tokio::test(flavor = "multi_thread")]
async fn a_missing_image_that_is_built_later_is_used_at_the_next_word() -> Result<(), Fault> {
    let image = Image(format!("bot-bottle/test:{:08x}", rand::random::<u32>()));
    let script = "bottle signal-done success 'it was there'\n";
    let rig = Rig::start(&Setup { image: image.0.clone(), ..agent(script) }).await?;
    let issue = rig.ask_for_work("Start", "").await?;
    let slug = rig.wait_for_detail("failed", &image.0).await?;
    let log = rig.op_log(&slug).await?;
    assert!(log.contains("build or pull the image"), "{log}");

    rig.docker.run(&["tag", &Setup::default().image, &image.0]).await?;
    rig.forge.comment("bob", REPO, issue, "It is there now.").await.expect("said");
    assert_eq!(rig.wait_for_detail("frozen", "it was there").await?, slug);
    rig.finish().await?;
    drop(image);
    Ok(())
}

/// An image's name, gone with it.
struct Image(String);

impl Drop for Image {
    fn drop(&mut self) {
        let mut command = std::process::Command::new("timeout");
        command.args(["--kill-after=1", "55", "docker", "rmi", "--force", &self.0]);
        drop(command.output());
    }
}
