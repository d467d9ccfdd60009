//! `bottle`: the program inside a bottle. See [`sidecar::bottle`].

use std::process::ExitCode;

fn main() -> ExitCode {
    sidecar::bottle::main()
}
