//! What a bottle's life is told, and what it asks to be done.

use std::num::NonZeroU32;

use jiff::SignedDuration;
use protocol::{
    agent::DoneStatus,
    ids::{IssueNumber, Nonce},
};
use serde::{Deserialize, Serialize};

use crate::bottle::{Heard, Prompt, Reason, Tier};

/// One thing that happened to a bottle. Every trigger of the system ends as one of these.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case", deny_unknown_fields)]
pub enum Event {
    /// A slot is free and it is this bottle's turn.
    SlotGranted {},
    /// The containers are up and the run was handed over.
    Awoken {
        /// Which run.
        run: NonZeroU32,
        /// What the sidecar answered to `configure`.
        nonce: Nonce,
    },
    /// The containers could not be brought up.
    AwakenFailed {
        /// Which run.
        run: NonZeroU32,
        /// Why, for people.
        error: String,
        /// Whether trying again may help.
        transient: bool,
    },
    /// Something from the sidecar's queue.
    News {
        /// Which run it is about.
        run: NonZeroU32,
        /// What.
        news: News,
    },
    /// People said something that the agent should hear.
    Wake {
        /// What.
        prompts: Vec<Prompt>,
        /// Their ids, so that they are told once.
        heard: Vec<Heard>,
    },
    /// An operator or the kill switch wants it asleep.
    Freeze {
        /// How deep.
        tier: Tier,
    },
    /// It sleeps as it should.
    Asleep {
        /// How deep.
        tier: Tier,
    },
    /// It could not be put to sleep.
    SleepFailed {
        /// Why, for people.
        error: String,
    },
    /// A container is not what it should be, and cannot come back by itself.
    Died {
        /// Which, and what is known of it.
        detail: String,
    },
    /// A sleeping or destroyed bottle's containers do something; put it right.
    Drifted {
        /// What was seen.
        detail: String,
    },
    /// A program of the bottle was killed for lack of memory. Its first process may live on.
    Starved {},
    /// The host needs its memory back: a hot bottle is to become cold.
    Cool {},
    /// Its turn has come, but the forge is to be asked first whether it may still be woken.
    LookAsked {},
    /// The forge was asked just now, and it may be woken.
    Seen {},
    /// The forge was asked just now: who made these remarks may not write any more.
    RightsLost {
        /// Those of them that wait to be told.
        remarks: Vec<Heard>,
    },
    /// The forge was asked whose pull requests these are.
    Pulls {
        /// Of this bottle's branch in its repository.
        ours: Vec<IssueNumber>,
        /// Of another branch, or none at all.
        foreign: Vec<IssueNumber>,
    },
    /// The wall clock has jumped, and every remembered time with it.
    ClockJumped {
        /// By how much it is ahead of what it was.
        by: SignedDuration,
    },
    /// End it.
    Cancel {
        /// Why.
        reason: Reason,
    },
    /// Its issue asks for no bottle now.
    Released {},
    /// Nothing is left of it outside.
    Cleaned {},
    /// Something is left of it outside.
    CleanFailed {
        /// Why, for people.
        error: String,
    },
    /// Time has passed; a deadline may be over.
    Tick {},
}

/// News of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "news", rename_all = "snake_case", deny_unknown_fields)]
pub enum News {
    /// The program started, or the agent did something.
    Alive {},
    /// A pull request was opened or found, by the sidecar's word.
    PrOpened {
        /// Its number.
        number: IssueNumber,
    },
    /// The agent said that its work has ended.
    Done {
        /// How.
        status: DoneStatus,
        /// In its words.
        summary: String,
    },
    /// The agent program ended.
    Exited {
        /// Exit code, or 128 + signal.
        code: i32,
    },
}

/// What is to be done outside. Each may be repeated: it names the end, not the way there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "effect", rename_all = "snake_case", deny_unknown_fields)]
pub enum Effect {
    /// Both containers run, the sidecar has its grant, the run was handed over.
    /// Ends in [`Event::Awoken`] or [`Event::AwakenFailed`].
    Awaken {
        /// The run.
        run: NonZeroU32,
        /// What it is told.
        prompts: Vec<Prompt>,
    },
    /// The bottle sleeps in this tier and the sidecar holds no secret.
    /// Ends in [`Event::Asleep`] or [`Event::SleepFailed`].
    Sleep {
        /// How deep.
        tier: Tier,
    },
    /// Containers, sockets, queue and files of the bottle are gone.
    /// Ends in [`Event::Cleaned`] or [`Event::CleanFailed`].
    Remove {},
}
