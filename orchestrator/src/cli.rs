//! The commands: raw arguments, then what they mean, then one call and one way of printing.
//!
//! Data goes to standard output, everything else to standard error. Exit codes: 0 done, 1 failed,
//! 2 wrong command line or configuration, from 10 on those of [`protocol::error::ErrorCode`].

mod args;
mod init;
mod run;
mod show;

pub use args::Arguments;
pub use run::main;
