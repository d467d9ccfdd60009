//! Tests of the daemon's shell: real sockets, real SQLite, real directories, no container engine.

#[cfg(test)]
mod cli;
#[cfg(test)]
mod config;
#[cfg(test)]
mod daemon;
#[cfg(test)]
mod docker;
#[cfg(test)]
mod effects;
#[cfg(test)]
mod life;
#[cfg(test)]
mod queue;
#[cfg(test)]
mod spec;
#[cfg(test)]
mod store;
#[cfg(test)]
mod support;
#[cfg(test)]
mod webhook;
