//! How news comes in, from a forge's webhook to a bottle's record: real deliveries of the forge
//! double, the real forge client, a whole daemon in this process. Containers are in memory, and what
//! a sidecar would tell is told by the test.

#![expect(clippy::tests_outside_test_module, reason = "all of this program is tests")]

mod claims;
mod ends;
mod engine;
mod installation;
mod poll;
mod repository;
mod starts;
mod words;
