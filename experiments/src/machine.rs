//! How busy the machine is, because timings mean little beside other work.

/// The number of processes that wanted a core in the last minute, where the system tells.
pub fn load() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/loadavg").ok()?;
    text.split_whitespace().next()?.parse().ok()
}
