//! The forge double against recordings of the real thing, against the real git client, and
//! its faults.

#[cfg(test)]
#[path = "forge_double/deliveries.rs"]
mod deliveries;
#[cfg(test)]
#[path = "forge_double/described.rs"]
mod described;
#[cfg(test)]
#[path = "forge_double/faults.rs"]
mod faults;
#[cfg(test)]
#[path = "forge_double/git.rs"]
mod git;
#[cfg(test)]
#[path = "forge_double/permissions.rs"]
mod permissions;
#[cfg(test)]
#[path = "forge_double/program.rs"]
mod program;
#[cfg(test)]
#[path = "forge_double/recordings.rs"]
mod recordings;
#[cfg(test)]
#[path = "forge_double/replay.rs"]
mod replay;
#[cfg(test)]
#[path = "forge_double/settings.rs"]
mod settings;
#[cfg(test)]
#[path = "forge_double/support.rs"]
mod support;
#[cfg(test)]
#[path = "forge_double/webhooks.rs"]
mod webhooks;
