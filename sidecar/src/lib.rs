//! The two programs beside a forge and an agent: `sidecar`, which owns a bottle's credentials and
//! answers its socket, and `bottle`, which is PID 1 and client inside it.
//!
//! The way of an agent's call in the sidecar: the `rpc` crate bounds it; [`agent`] checks its
//! values; [`phase`] says whether there is a grant; [`budget`] and [`queue`] say whether it may be
//! done and recorded; a scoped forge does it or refuses; [`oplog`] writes down which, as a file
//! that is durable before the agent hears of it. Git goes the same way through [`git`].
//!
//! The sidecar refuses to start with a secret: grant and token come over [`control`], and go when
//! it is drained. It never hands a bottle anything but answers: no token, no address of the
//! operator's, no text of another repository.

pub mod agent;
pub mod budget;
pub mod config;
pub mod control;
pub mod failure;
pub mod git;
pub mod hardening;
pub mod marker;
pub mod oplog;
pub mod phase;
pub mod process;
pub mod progress;
pub mod queue;
pub mod router;
pub mod runs;
pub mod session;

pub mod bottle;
