//! What an operator does to containers by hand: noticed, put right, and never a crash.

use e2e::rig::{Fault, REPO, Rig, wait_until};

use crate::{WAIT, agent, go};

fn patient() -> e2e::rig::Setup {
    agent(&format!("{WAIT}bottle signal-done success 'still here'\n"))
}

// CASES 164
#[tokio::test(flavor = "multi_thread")]
async fn a_running_bottle_that_is_removed_paused_or_restarted_is_frozen_and_can_go_on()
-> Result<(), Fault> {
    let rig = Rig::start(&patient()).await?;
    let issue = rig.ask_for_work("Stay", "").await?;
    let slug = rig.wait_for("running").await?;
    let deeds: [(&[&str], &str); 3] = [
        (&["rm", "--force"], "the bottle is gone"),
        (&["pause"], "the bottle is paused"),
        // Seen dead, or alive again and waiting for a run.
        (&["restart", "--time", "0"], "incomplete"),
    ];
    for (deed, words) in deeds {
        let mut command = deed.to_vec();
        command.push(&slug);
        rig.docker.run(&command).await?;
        rig.wait_for_detail("frozen", words).await?;
        let said = format!("Go on after {}.", deed.join(" "));
        rig.forge.comment("bob", REPO, issue, &said).await.expect("said");
        rig.wait_for("running").await?;
    }
    go(&rig, &slug).await?;
    rig.wait_for_detail("frozen", "still here").await?;
    assert_eq!(rig.bottles().await?.len(), 1);
    rig.finish().await
}

// CASES 164: its home and sockets are held under any name.
#[tokio::test(flavor = "multi_thread")]
async fn a_renamed_bottle_goes_on_under_its_own_name() -> Result<(), Fault> {
    let rig = Rig::start(&patient()).await?;
    rig.ask_for_work("Stay", "").await?;
    let slug = rig.wait_for("running").await?;
    let id = rig.docker.run(&["inspect", "--format", "{{.Id}}", &slug]).await?;
    rig.docker.run(&["rename", &slug, &format!("{slug}-mine")]).await?;
    wait_until("it has its name back", async || {
        rig.docker.run(&["inspect", "--format", "{{.Id}}", &slug]).await.is_ok_and(|now| now == id)
    })
    .await?;
    go(&rig, &slug).await?;
    rig.wait_for_detail("frozen", "still here").await?;
    assert_eq!(rig.bottles().await?[0]["runs"], 1);
    rig.finish().await
}

// CASES 165: `docker commit` copies our labels into an image, and so into its containers.
#[tokio::test(flavor = "multi_thread")]
async fn a_container_made_from_a_bottle_by_commit_is_left_alone() -> Result<(), Fault> {
    let rig = Rig::start(&patient()).await?;
    rig.ask_for_work("Stay", "").await?;
    let slug = rig.wait_for("running").await?;
    let copy = Copy::of(&rig, &slug).await?;
    go(&rig, &slug).await?;
    rig.wait_for_detail("frozen", "still here").await?;
    rig.try_command(&["destroy", &slug]).await?;
    crate::story::is_gone(&rig, &slug).await?;
    assert_eq!(rig.docker.state(&copy.0).await.as_deref(), Some("created"), "{}", rig.log());
    drop(copy);
    rig.finish().await
}

/// A container of an image that was made from a bottle; both are removed with it.
struct Copy(String);

impl Copy {
    async fn of(rig: &Rig, slug: &str) -> Result<Self, Fault> {
        let copy = Self(format!("{slug}-copy"));
        // It would be paused otherwise, which is another deed.
        rig.docker.run(&["commit", "--pause=false", slug, &copy.image()]).await?;
        let image = copy.image();
        rig.docker.run(&["create", "--name", &copy.0, &image]).await?;
        Ok(copy)
    }

    fn image(&self) -> String {
        format!("bot-bottle/test:{}", self.0)
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        for words in [["rm", "--force", &self.0], ["rmi", "--force", &self.image()]] {
            let mut command = std::process::Command::new("timeout");
            drop(command.args(["--kill-after=1", "55", "docker"]).args(words).output());
        }
    }
}
