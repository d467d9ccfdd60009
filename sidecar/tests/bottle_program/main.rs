//! The real `bottle` binary against a sidecar that follows a script.

#![cfg(test)]

mod client;
mod fake;
mod forward;
mod process;

mod runs;
mod signals;
mod sleep;
