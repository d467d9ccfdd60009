//! The bounds of one server.

use std::time::Duration;

use protocol::limits as bounds;

/// What a server puts up with. The values come from [`protocol::limits`]; tests make them smaller.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Largest request body in bytes; a larger one is answered with 413.
    pub body_max_bytes: usize,
    /// Largest answer in bytes; a larger one becomes a JSON-RPC error.
    pub answer_max_bytes: usize,
    /// Deepest nesting of a request.
    pub depth_max: usize,
    /// Methods running at a time; above it a call is answered with `LimitReached`.
    pub in_flight: usize,
    /// Connections at a time; above it they are hung up on.
    pub connections: usize,
    /// From a connection's start, or its last answer, to the next request's complete head.
    pub head_timeout: Duration,
    /// From the head to the end of the body; then 408.
    pub frame_timeout: Duration,
    /// How long a caller waits for a method. The method itself goes on (see [`super::serve`]).
    pub call_timeout: Duration,
    /// How long a peer may take nothing of its answer.
    pub stall_timeout: Duration,
    /// What is left to connections and methods when the server stops.
    pub grace: Duration,
}

impl Limits {
    /// For a socket that a bottle sees.
    pub fn agent() -> Self {
        Self {
            body_max_bytes: bounds::RPC_BODY_MAX_BYTES,
            answer_max_bytes: bounds::RPC_ANSWER_MAX_BYTES,
            depth_max: bounds::JSON_DEPTH_MAX,
            in_flight: usize::try_from(bounds::RPC_IN_FLIGHT_MAX).unwrap_or(1),
            connections: bounds::CONNECTIONS_MAX,
            head_timeout: bounds::FIRST_BYTE_TIMEOUT,
            frame_timeout: bounds::FRAME_TIMEOUT,
            call_timeout: bounds::RPC_TIMEOUT,
            stall_timeout: bounds::STALL_TIMEOUT,
            grace: bounds::HANG_UP_GRACE,
        }
    }

    /// For a socket that only trusted processes reach: prompts are larger than comments.
    pub fn trusted() -> Self {
        Self { body_max_bytes: bounds::CONTROL_BODY_MAX_BYTES, ..Self::agent() }
    }
}
