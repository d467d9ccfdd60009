//! The JSON documents of Gitea's API, as recorded from 1.15.11.
//!
//! Written by hand from the recordings and the API description, so that a mistake in our
//! client's types cannot repeat itself here.

pub(crate) mod account;
pub(crate) mod commit;
pub(crate) mod issue;
pub(crate) mod pull;
pub(crate) mod repo;
pub(crate) mod review;

/// How Go prints a time that was never set.
pub(crate) const ZERO_TIME: &str = "0001-01-01T00:00:00Z";
