//! Golden files: one literal example of every message on every wire.
//!
//! Each method is called once through its generated client, whose request goes straight into its
//! generated server; what passed between them is the snapshot. A change of a name, a type or a
//! default on a wire shows as a changed file under `snapshots/`, to be accepted on purpose.

#![cfg(test)]

#[macro_use]
mod wire;
mod examples;

mod agent;
mod chance;
mod control;
mod error;
mod event;
mod operator;
mod words;
