//! What an engine must be able to do: one that lacks it takes our wishes silently and does without.

use bollard::models::SystemInfo;

use super::EngineError;

/// Refuses an engine that cannot lock a bottle in as its specification says.
pub(super) fn check(info: &SystemInfo, host_has_swap: bool) -> Result<(), EngineError> {
    let lacks = |what, advice| Err(EngineError::Lacks { what, advice });
    if info.os_type.as_deref().is_some_and(|os| os != "linux") {
        return lacks("Linux containers", "switch the engine to Linux containers");
    }
    let options = info.security_options.as_deref().unwrap_or_default();
    let is_seccomp =
        |option: &str| option.split(',').any(|part| part == "name=seccomp" || part == "seccomp");
    if !options.iter().any(|option| is_seccomp(option)) {
        return lacks(
            "seccomp filters",
            "use a kernel with CONFIG_SECCOMP_FILTER and an engine that is built with seccomp",
        );
    }
    let is_open = |option: &str| option.contains("profile=unconfined");
    if options.iter().any(|option| is_seccomp(option) && is_open(option)) {
        return lacks(
            "its default seccomp filter, which is switched off",
            "remove seccomp-profile \"unconfined\" from the engine's configuration",
        );
    }
    if info.memory_limit != Some(true) {
        return lacks("limits of memory", "boot the host with cgroup_enable=memory");
    }
    if info.pids_limit != Some(true) {
        return lacks("limits of processes", "use a kernel with the pids cgroup");
    }
    // Without swap there is nothing to bound, and no disk that a secret could get to.
    if host_has_swap && info.swap_limit != Some(true) {
        return lacks("limits of swap", "boot the host with swapaccount=1, or switch its swap off");
    }
    Ok(())
}

/// Whether the host swaps at all.
pub(super) fn host_has_swap() -> bool {
    std::fs::read_to_string("/proc/swaps").is_ok_and(|text| text.lines().count() > 1)
}
