//! Whole-system tests and the doubles they need.
//!
//! Nothing here uses our own forge client: a double that shared code with what it
//! tests would share its mistakes.

// A repository has more fields than `json!` expands by default.
#![recursion_limit = "256"]

pub mod api_description;
pub mod cases;
pub mod contract;
pub mod forge_double;
pub mod interruption;
pub mod rig;
pub mod soak;
