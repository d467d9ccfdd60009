//! Where every call to the outside goes through, and where it may fail.

use std::{
    collections::BTreeMap,
    str::FromStr,
    sync::{Mutex, PoisonError},
};

use nix::sys::signal::{Signal, raise};

/// What becomes of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum How {
    /// It is not done, and told so.
    Fails,
    /// It is done, and said to have failed.
    AnswerLost,
    /// The daemon is killed before it is done.
    KilledBefore,
    /// The daemon is killed when it is done.
    KilledAfter,
}

/// Which call it befalls: the `nth` of that name; of all calls when the name is `any`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    pub(crate) call: String,
    pub(crate) nth: u32,
    pub(crate) how: How,
}

impl Fault {
    pub(crate) fn new(call: &str, nth: u32, how: How) -> Self {
        Self { call: call.to_owned(), nth, how }
    }

    /// As a word that [`FromStr`] reads.
    pub(crate) fn word(&self) -> String {
        format!("{},{},{:?}", self.call, self.nth, self.how)
    }
}

impl FromStr for Fault {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        let [call, nth, how] = word.split(',').collect::<Vec<_>>()[..] else {
            return Err(format!("{word} is no fault"));
        };
        let hows = [How::Fails, How::AnswerLost, How::KilledBefore, How::KilledAfter];
        let how = hows.into_iter().find(|known| format!("{known:?}") == how);
        Ok(Self::new(
            call,
            nth.parse().map_err(|_| format!("{nth} is no number"))?,
            how.ok_or_else(|| format!("{word} has no end"))?,
        ))
    }
}

/// A call that was cut.
#[derive(Debug)]
pub(crate) struct Cut;

#[derive(Debug, Default)]
pub(crate) struct Gate {
    faults: Vec<Fault>,
    calls: Mutex<BTreeMap<String, u32>>,
}

impl Gate {
    pub(crate) fn new(faults: Vec<Fault>) -> Self {
        Self { faults, calls: Mutex::default() }
    }

    /// Does a call, or what is to become of it instead.
    pub(crate) fn pass<T>(&self, call: &str, act: impl FnOnce() -> T) -> Result<T, Cut> {
        match self.next(call) {
            None => Ok(act()),
            Some(How::Fails) => Err(Cut),
            Some(How::AnswerLost) => {
                act();
                Err(Cut)
            }
            Some(How::KilledBefore) => die(),
            Some(How::KilledAfter) => {
                act();
                die()
            }
        }
    }

    fn next(&self, call: &str) -> Option<How> {
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        let mut count = |name: &str| {
            let count = calls.entry(name.to_owned()).or_default();
            *count += 1;
            *count
        };
        let (nth, nth_of_all) = (count(call), count("any"));
        let befalls = |fault: &&Fault| {
            fault.call == call && fault.nth == nth || fault.call == "any" && fault.nth == nth_of_all
        };
        self.faults.iter().find(befalls).map(|fault| fault.how)
    }

    /// How often each call was made.
    pub(crate) fn calls(&self) -> BTreeMap<String, u32> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn die() -> ! {
    raise(Signal::SIGKILL).unwrap();
    unreachable!("nobody outlives that signal")
}
