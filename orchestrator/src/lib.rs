//! The daemon: keeps every bottle as it should be, and tells operators how it stands.
//!
//! ```text
//! webhook | poll | queue dir | engine | operator | timer
//!     └─► Event ─► store (one transaction: seen + state + effects) ─► lanes ─► engine | sidecar | forge
//! ```
//!
//! What is decided is decided in `orchestrator/core`; here is what it is decided on and what is done
//! about it. Nothing is done outside before it stands in the [`store`]. Every effect may be repeated.

pub mod cli;
pub mod clock;
pub mod config;
pub mod daemon;
pub mod effects;
pub mod engine;
pub mod intake;
pub mod life;
pub mod operator;
pub mod store;
