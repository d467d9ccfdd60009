//! JSON-RPC 2.0 over HTTP/1.1 over Unix sockets, with a bound on everything.
//!
//! [`client::connect`] gives a client on which the generated `AgentRpcClient`, `ControlRpcClient`
//! and `OperatorRpcClient` methods work. [`server::serve`] answers a socket until it is told to
//! stop: `POST /` is JSON-RPC, everything else goes to an [`server::Other`] handler.
//!
//! The way of a request in the server: a free connection, a head in time, a body in time and within
//! its size, nesting and shape, a known method with known parameters, a free place among the calls
//! in flight, then the method in a task of its own, then an answer that the client must take.
//!
//! The crate refuses batches, notifications, positional parameters, WebSockets and HTTP/2, and it
//! never logs a request or an answer: some of them carry secrets.

pub mod client;
pub mod server;
