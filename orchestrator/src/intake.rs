//! How news comes in: webhooks, the bottles' queues, and looking at the forge.

pub mod pulse;
pub mod queue;
pub mod sight;
pub mod webhook;
