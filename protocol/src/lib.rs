//! What the processes of bot-bottle say to each other, and nothing else.
//!
//! Every value that crosses a boundary (agent socket, control socket, operator socket, queue
//! directory) has its type here, is checked while it is made, and can then be trusted by whoever
//! holds it. The way of a message: bytes, limits ([`limits`]), JSON, one of these types.
//!
//! The crate refuses to do I/O: no sockets, no files, no clock. Sockets are in `protocol/rpc`,
//! forges in `protocol/forge`.
//!
//! Our own messages refuse unknown fields, so that a misspelt one is an error and not a silence.

pub mod agent;
pub mod control;
pub mod error;
pub mod event;
pub mod grant;
pub mod ids;
pub mod item;
pub mod limits;
pub mod operator;
pub mod secret;
