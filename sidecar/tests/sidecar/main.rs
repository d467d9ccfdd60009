//! The sidecar as a whole, over its sockets: with a forge in memory, a real git server, and at last
//! the real program.
#![cfg(test)]

mod fake_forge;
mod git_server;
mod harness;

mod calls;
mod git;
mod lifecycle;
mod lost_answers;
mod program;
mod records;
mod secrets;
