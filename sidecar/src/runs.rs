//! The runs of one bottle, as its sidecar sees them. Pure.

use std::collections::VecDeque;

use protocol::{agent::DoneReceipt, grant::RunSpec, ids::RunId};

/// Runs that are remembered, so that late or repeated words about them change nothing.
const REMEMBERED: usize = 16;

/// Which run is going on, and what was said of it.
#[derive(Debug, Default)]
pub struct Runs {
    /// Handed over by the orchestrator and not started yet.
    offered: Option<RunSpec>,
    /// Newest last; the last one is the current run.
    known: VecDeque<Known>,
}

#[derive(Debug)]
struct Known {
    run: RunId,
    started: bool,
    exited: bool,
    done: Option<DoneReceipt>,
}

/// Whether a word about a run tells something new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum News {
    /// To be recorded.
    New,
    /// It stands already.
    Known,
}

/// A run that was never handed over.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0} is no run of this bottle")]
pub struct NoSuchRun(RunId);

impl Runs {
    /// Takes a run for the bottle; a repeated one changes nothing.
    pub fn offer(&mut self, spec: RunSpec) -> News {
        if self.known.iter().any(|known| known.run == spec.run) {
            return News::Known;
        }
        if self.known.len() == REMEMBERED {
            self.known.pop_front();
        }
        let run = spec.run.clone();
        self.known.push_back(Known { run, started: false, exited: false, done: None });
        self.offered = Some(spec);
        News::New
    }

    /// The run to hand to PID 1: the same one until it says that it has started it.
    pub fn to_give(&self) -> Option<&RunSpec> {
        self.offered.as_ref()
    }

    /// The run that was handed over last.
    pub fn current(&self) -> Option<&RunId> {
        self.known.back().map(|known| &known.run)
    }

    /// Whether `started` would be news.
    ///
    /// # Errors
    /// For a run that was never handed over.
    pub fn hears_start(&self, run: &RunId) -> Result<News, NoSuchRun> {
        self.find(run).map(|known| if known.started { News::Known } else { News::New })
    }

    /// PID 1 has started it; recorded.
    pub fn started(&mut self, run: &RunId) {
        self.offered.take_if(|offered| offered.run == *run);
        self.change(run, |known| known.started = true);
    }

    /// Whether `exited` would be news.
    ///
    /// # Errors
    /// For a run that was never handed over.
    pub fn hears_exit(&self, run: &RunId) -> Result<News, NoSuchRun> {
        self.find(run).map(|known| if known.exited { News::Known } else { News::New })
    }

    /// It has ended; recorded. A run that ended need not be given out any more.
    pub fn exited(&mut self, run: &RunId) {
        self.offered.take_if(|offered| offered.run == *run);
        self.change(run, |known| known.exited = true);
    }

    /// What was said at the end of the current run.
    pub fn done(&self) -> Option<&DoneReceipt> {
        self.known.back().and_then(|known| known.done.as_ref())
    }

    /// The word that counts, recorded; a second one for the same run is ignored.
    pub fn set_done(&mut self, receipt: DoneReceipt) {
        let run = receipt.run.clone();
        self.change(&run, |known| {
            known.done.get_or_insert(receipt);
        });
    }

    fn find(&self, run: &RunId) -> Result<&Known, NoSuchRun> {
        self.known.iter().find(|known| known.run == *run).ok_or_else(|| NoSuchRun(run.clone()))
    }

    fn change(&mut self, run: &RunId, change: impl FnOnce(&mut Known)) {
        if let Some(known) = self.known.iter_mut().find(|known| known.run == *run) {
            change(known);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use protocol::{agent::DoneStatus, grant::PromptVia};

    use super::*;

    fn spec(number: u32) -> RunSpec {
        RunSpec {
            run: format!("implementer-k3v9q.{number}").parse().unwrap(),
            command: vec!["true".to_owned()],
            prompt_via: PromptVia::Stdin,
            prompt: "do it".to_owned(),
            env: BTreeMap::new(),
        }
    }

    fn receipt(run: &RunId, status: DoneStatus) -> DoneReceipt {
        DoneReceipt { run: run.clone(), status, summary: String::new(), counted: true }
    }

    #[test]
    fn a_run_is_given_until_it_is_started() {
        let mut runs = Runs::default();
        assert_eq!(runs.offer(spec(1)), News::New);
        assert_eq!(runs.to_give(), Some(&spec(1)));
        assert_eq!(runs.to_give(), Some(&spec(1)));
        runs.started(&spec(1).run);
        assert_eq!(runs.to_give(), None);
        assert_eq!(runs.offer(spec(1)), News::Known);
        assert_eq!(runs.to_give(), None);
    }

    // CASES 59, TH10
    #[test]
    fn the_first_word_of_a_run_counts_and_a_new_run_has_its_own() {
        let mut runs = Runs::default();
        runs.offer(spec(1));
        runs.set_done(receipt(&spec(1).run, DoneStatus::Success));
        runs.set_done(receipt(&spec(1).run, DoneStatus::Failed));
        assert_eq!(runs.done().map(|done| done.status), Some(DoneStatus::Success));
        runs.offer(spec(2));
        assert_eq!(runs.done(), None);
    }

    #[test]
    fn only_known_runs_start_and_end_and_only_once() {
        let mut runs = Runs::default();
        assert!(runs.hears_exit(&spec(1).run).is_err());
        runs.offer(spec(1));
        runs.offer(spec(2));
        assert_eq!(runs.hears_exit(&spec(1).run), Ok(News::New));
        runs.exited(&spec(1).run);
        assert_eq!(runs.hears_exit(&spec(1).run), Ok(News::Known));
        assert_eq!(runs.to_give(), Some(&spec(2)));
        assert_eq!(runs.current(), Some(&spec(2).run));
        for number in 3..40 {
            runs.offer(spec(number));
        }
        assert_eq!(runs.known.len(), REMEMBERED);
    }
}
