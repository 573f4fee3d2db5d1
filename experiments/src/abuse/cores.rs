//! Who gets the cores: how long a thread waited for one, and how busy all of them are.

use std::fs;

use anyhow::{Context, Result};

/// Milliseconds that this thread was ready to run and had no core, since it began.
///
/// # Errors
/// The kernel does not say it.
pub fn waited_ms() -> Result<f64> {
    const FILE: &str = "/proc/thread-self/schedstat";
    let text = fs::read_to_string(FILE).context(FILE)?;
    wait_in(&text).with_context(|| format!("{FILE} does not say how long this thread waited"))
}

/// The second number, in nanoseconds.
fn wait_in(schedstat: &str) -> Option<f64> {
    let nanoseconds: f64 = schedstat.split_whitespace().nth(1)?.parse().ok()?;
    Some(nanoseconds / 1e6)
}

/// Time of all cores since the machine started.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Use {
    /// That in which they worked, or another machine had them.
    busy: f64,
    all: f64,
}

impl Use {
    /// Until now; none if the kernel does not say it.
    pub fn now() -> Option<Self> {
        Self::in_stat(&fs::read_to_string("/proc/stat").ok()?)
    }

    fn in_stat(stat: &str) -> Option<Self> {
        let line = stat.lines().find(|line| line.starts_with("cpu "))?;
        let ticks = line.split_whitespace().skip(1).take(8);
        let ticks: Vec<f64> = ticks.map(|it| it.parse().ok()).collect::<Option<_>>()?;
        let [_, _, _, idle, disk, ..] = ticks[..] else {
            return None;
        };
        let all = ticks.iter().sum();
        Some(Self {
            busy: all - idle - disk,
            all,
        })
    }

    /// Percent of all cores that were busy since an earlier moment.
    pub fn percent_since(self, earlier: Self) -> f64 {
        100.0 * (self.busy - earlier.busy) / (self.all - earlier.all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_in_milliseconds() {
        assert_eq!(wait_in("7000000 2500000 12\n"), Some(2.5));
        assert_eq!(wait_in("7000000"), None);
        assert!(waited_ms().unwrap() >= 0.0);
    }

    #[test]
    fn cores_that_wait_for_a_disk_are_not_busy() {
        let at = |cpu: &str| Use::in_stat(&format!("{cpu}\ncpu0 1 1 1 1 1 1 1 1 0 0\n"));
        let earlier = at("cpu  10 0 10 100 10 0 0 0 0 0").unwrap();
        let later = at("cpu  20 5 20 150 30 1 2 2 9 9").unwrap();
        assert_eq!(later.percent_since(earlier), 30.0);
        assert_eq!(at("cpu  10 0 10"), None);
        assert!(Use::now().is_some());
    }
}
