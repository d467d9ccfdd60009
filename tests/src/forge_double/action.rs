//! What can be done on the forge. The API and the person methods both end here, so that
//! permissions and webhooks are the same whoever acts.

pub(crate) mod account;
pub(crate) mod admin;
pub(crate) mod comment;
pub(crate) mod issue;
pub(crate) mod label;
pub(crate) mod merge;
pub(crate) mod pull;
pub(crate) mod push;
pub(crate) mod repo;
pub(crate) mod review;
pub(crate) mod settings;
pub(crate) mod status;
