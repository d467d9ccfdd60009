//! The whole system on a real Docker engine: forge double, daemon, sidecars, bottles, scripted
//! agents. One installation per test, each with a network of its own.

#![expect(clippy::tests_outside_test_module, reason = "all of this program is tests")]

mod boundary;
mod commands;
mod crashes;
mod deaths;
mod disk;
mod docker;
mod drift;
mod endings;
mod images;
mod intake;
mod meddling;
mod restarts;
mod secrets;
mod slots;
mod soak;
mod story;
mod trouble;

use e2e::rig::{Fault, Rig, Setup, wait_until};

/// An agent that runs this script.
fn agent(script: &str) -> Setup {
    Setup { agent: format!("set -eu\n{script}"), ..Setup::default() }
}

/// The file through which a test speaks to an agent that waits with [`WAIT`].
async fn go(rig: &Rig, slug: &str) -> Result<(), Fault> {
    let work = rig.data_dir().join("bottles").join(slug).join("home/work");
    wait_until("the agent's work tree is there", async || work.is_dir()).await?;
    Ok(std::fs::write(work.join("go"), "")?)
}

/// Makes an agent wait for [`go`].
const WAIT: &str = "while [ ! -e go ]; do sleep 0.05; done; rm -f go\n";
