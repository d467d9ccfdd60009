//! What a process takes.

use crate::Fault;

/// The proportional set size in MiB: its own pages, and its part of shared ones.
pub(crate) fn pss_mib(pid: u32) -> Result<f64, Fault> {
    field(&format!("/proc/{pid}/smaps_rollup"), "Pss:")
}

/// The resident set size in MiB.
pub(crate) fn rss_mib(pid: u32) -> Result<f64, Fault> {
    field(&format!("/proc/{pid}/status"), "VmRSS:")
}

fn field(path: &str, name: &str) -> Result<f64, Fault> {
    let text = std::fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))?;
    let value = text.lines().find_map(|line| line.strip_prefix(name));
    let kib = value.and_then(|value| value.trim().strip_suffix(" kB"));
    let kib = kib.ok_or_else(|| format!("{path} has no {name}"))?;
    Ok(kib.trim().parse::<f64>()? / 1024.0)
}
