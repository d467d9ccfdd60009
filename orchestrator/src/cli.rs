//! The commands: raw arguments, then what they mean, then one call and one way of printing.
//!
//! Data goes to standard output, everything else to standard error. What forges and agents wrote is
//! escaped before it is printed. Exit codes: 0 done, 1 failed, 2 wrong command line or
//! configuration, from 10 on those of [`protocol::error::ErrorCode`], 130 interrupted.

mod args;
mod ask;
mod config;
mod doctor;
mod failure;
mod follow;
mod init;
mod local;
mod run;
mod screen;
mod show;
mod text;

pub use args::Arguments;
pub use run::main;
