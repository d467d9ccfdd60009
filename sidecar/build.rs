//! How the static programs are linked.

#![expect(clippy::disallowed_methods, reason = "how cargo tells build scripts what they are for")]

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // A static program moves itself when it starts. A list of what is to be moved in the packed form
    // is a hundredth as long, and all of it is read: without it, it is part of what each idle bottle
    // costs. A linker that does not know the form says so and goes on.
    if std::env::var("CARGO_CFG_TARGET_ENV").is_ok_and(|env| env == "musl") {
        println!("cargo::rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}
