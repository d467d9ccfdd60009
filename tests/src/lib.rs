//! Whole-system tests and the doubles they need.
//!
//! Nothing here uses our own forge client: a double that shared code with what it
//! tests would share its mistakes.

pub mod forge_double;
