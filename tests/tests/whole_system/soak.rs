//! Some seconds of the soak.

use e2e::{
    rig::Fault,
    soak::{Ended, Plan, play},
};

// The forge fails, webhooks are lost, the daemon and containers are killed: each issue comes to its
// right end all the same, and nothing is left. `make soak` does the same for longer.
#[tokio::test(flavor = "multi_thread")]
async fn issues_come_to_their_right_end_whatever_goes_wrong() -> Result<(), Fault> {
    let seed = rand::random();
    println!("seed {seed}");
    let ended = play(Plan::short(seed), &mut |line| println!("{line}")).await?;
    let Ended::Played(summary) = ended else { return Err("it was interrupted".into()) };
    assert!(summary.wrong.is_empty() && summary.ended == summary.issues, "seed {seed}\n{summary}");
    Ok(())
}
