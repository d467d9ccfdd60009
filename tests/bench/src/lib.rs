//! `make bench`: how long what users wait for takes, and what it costs, each figure with its floor
//! beside it.
//!
//! ```text
//! group (rows that are taken together) ─► samples, floor and figure by turns ─► figures ─► table, JSON
//! ```
//!
//! A floor is the least that the same thing can take here: the engine's own call, the bare server,
//! the single commit. Both are taken by turns in one run, so that a busy moment strikes both; the
//! ratio of the medians is what can be compared between machines.

pub mod figure;
pub mod rows;

mod clock;
mod docker;
mod memory;
mod wire;
mod world;

pub use figure::{Figure, Row, Samples, table};
pub use rows::{Effort, GROUPS, Group};

/// What can keep a figure from being taken, in one sentence.
pub type Fault = Box<dyn std::error::Error + Send + Sync>;
