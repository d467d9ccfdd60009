//! The pure half of the orchestrator: everything that can be decided wrongly is decided here.
//!
//! ```text
//! hint ─► (shell reads the forge) ─► policy::decide ─► Event ─► step ─► Step { next, effects }
//! restart, slow timer: reconcile::plan (what should be, what is) ─► Event
//! ```
//!
//! A [`bottle::Bottle`] is changed by [`step::step`] alone. [`policy`] turns what was seen on the
//! forge into an event or a reason why there is none. [`slots`] says whose turn it is, [`host`] what
//! the host can bear. [`reconcile`] compares what should be with what is. [`prompt`] writes what an
//! agent is told. [`timing`] holds every wait as data, [`clock`] moves them when the clock jumps.
//!
//! The crate refuses to know the time, chance, files, sockets, Docker or HTTP: they come in as
//! values and leave as effects. Its Cargo.toml keeps it honest.

pub mod bottle;
pub mod clock;
pub mod event;
pub mod host;
pub mod policy;
pub mod prompt;
pub mod reconcile;
pub mod slots;
pub mod step;
pub mod timing;
