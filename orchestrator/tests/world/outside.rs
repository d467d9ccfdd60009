//! What is outside the daemon, as plain data: the forge's issue, the containers, the sidecars and
//! what the agent did. Kept in a file as well, so that it outlives a process that is killed.

use std::{
    collections::{BTreeMap, VecDeque},
    fs,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard},
};

use jiff::Timestamp;
use orchestrator_core::reconcile;
use protocol::{
    ids::{Nonce, RunId},
    item::Comment,
};
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct State {
    /// The issue carries the agent's label and its account.
    pub(crate) asked: bool,
    /// The agent's branch, once there is a pull request from it.
    pub(crate) branch: Option<String>,
    pub(crate) merged: bool,
    /// On the pull request.
    pub(crate) comments: Vec<Comment>,
    /// By the containers' names.
    pub(crate) containers: BTreeMap<String, Container>,
    /// How often a container of that role was made.
    pub(crate) made: BTreeMap<String, u32>,
    /// By the bottles' slugs.
    pub(crate) sidecars: BTreeMap<String, Sidecar>,
    /// What was done that cannot be undone, in its order.
    pub(crate) deeds: Vec<String>,
    /// How far the people of the story are.
    pub(crate) chapter: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Container {
    Running,
    Paused,
    Exited,
}

impl From<Container> for reconcile::Container {
    fn from(container: Container) -> Self {
        match container {
            Container::Running => Self::Running,
            Container::Paused => Self::Paused,
            Container::Exited => Self::Exited { code: 0, out_of_memory: false },
        }
    }
}

/// A sidecar with the agent behind it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Sidecar {
    pub(crate) nonce: Option<Nonce>,
    /// How often it was configured, which makes its nonce.
    pub(crate) configured: u64,
    /// Events so far.
    pub(crate) events: u32,
    pub(crate) runs: Vec<RunId>,
    /// What the agent still has to do.
    pub(crate) agenda: VecDeque<Step>,
}

/// A step of the agent in a run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Step {
    pub(crate) run: RunId,
    pub(crate) act: Act,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Act {
    Start,
    OpenPr,
    Comment,
    SayDone,
    Exit,
}

/// The state, shared by the ports and the people.
#[derive(Debug, Clone)]
pub(crate) struct Outside {
    state: Arc<Mutex<State>>,
    file: PathBuf,
    pub(crate) changed: Arc<Notify>,
}

impl Outside {
    /// As it was left in the file, or from the beginning.
    pub(crate) fn open(file: PathBuf) -> Self {
        let state = fs::read(&file).map_or_else(
            |_| State::default(),
            |bytes| serde_json::from_slice(&bytes).expect("a whole file"),
        );
        Self { state: Arc::new(Mutex::new(state)), file, changed: Arc::default() }
    }

    pub(crate) fn look(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panicked")
    }

    /// Changes it, for good: whoever is killed afterwards has done it.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.look();
        let result = change(&mut state);
        let draft = self.file.with_extension("draft");
        fs::write(&draft, serde_json::to_vec(&*state).unwrap()).unwrap();
        fs::rename(draft, &self.file).unwrap();
        self.changed.notify_one();
        result
    }
}

/// When everything in this world was written.
pub(crate) fn written_at() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}
