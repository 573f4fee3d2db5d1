//! When the owner lets the node's model work: at these hours, on mains, while the machine is idle.
//!
//! ```text
//! hours "22:00-06:30" ─┐
//! on_battery = false  ─┼─▶ Schedule::rest(Machine) ─▶ why it rests, or nothing
//! max_load = 2.0      ─┘
//! ```
//! What the machine says is an argument ([`Machine`]); [`Machine::look`] asks the system, and knows
//! nothing where the system does not tell.

use std::fs;
use std::path::Path;

use thiserror::Error;

/// Minutes of a day.
const DAY: u16 = 24 * 60;

/// Why a schedule is not one.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("node.hours is `{0}`; write hours like 22:00-06:30, several separated by commas")]
pub struct ScheduleError(String);

/// When the model may work.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Schedule {
    /// From and to, in minutes of the local day; the end may lie on the next one. None is always.
    hours: Vec<(u16, u16)>,
    /// The model rests while the machine runs on battery.
    mains_only: bool,
    /// Load of the machine, the node's own included, above which the model rests.
    max_load: Option<f64>,
}

/// What the machine says about itself; nothing where the system does not tell.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Machine {
    /// Minute of the local day.
    pub minute: u16,
    /// Whether it runs on battery.
    pub on_battery: Option<bool>,
    /// Processes that want to run, the mean of five minutes.
    pub load: Option<f64>,
}

impl Schedule {
    /// A schedule of settings; no hours are all, and a load of 0 is any.
    ///
    /// # Errors
    /// Hours that are none.
    pub fn new(hours: &str, on_battery: bool, max_load: f64) -> Result<Self, ScheduleError> {
        let wrong = || ScheduleError(hours.to_owned());
        let parts = hours
            .split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty());
        let hours: Option<Vec<_>> = parts.map(span).collect();
        Ok(Self {
            hours: hours.ok_or_else(wrong)?,
            mains_only: !on_battery,
            max_load: (max_load > 0.0).then_some(max_load),
        })
    }

    /// Why the model rests; nothing if it works.
    ///
    /// ```
    /// use swarm_node::node::schedule::{Machine, Schedule};
    ///
    /// let nights = Schedule::new("22:00-06:30", true, 0.0)?;
    /// let at = |minute| nights.rest(&Machine { minute, ..Machine::default() });
    /// assert_eq!(at(23 * 60), None);
    /// assert_eq!(at(12 * 60).as_deref(), Some("it works again at 22:00 (node.hours)"));
    /// # Ok::<(), swarm_node::node::schedule::ScheduleError>(())
    /// ```
    pub fn rest(&self, machine: &Machine) -> Option<String> {
        if self.mains_only && machine.on_battery == Some(true) {
            return Some("the machine runs on battery (node.on_battery)".into());
        }
        if let (Some(most), Some(load)) = (self.max_load, machine.load)
            && load > most
        {
            return Some(format!(
                "the machine is busy: its load is {load:.1} (node.max_load = {most})"
            ));
        }
        let open = self
            .hours
            .iter()
            .any(|span| is_within(*span, machine.minute));
        if self.hours.is_empty() || open {
            return None;
        }
        let wait = |from: &u16| (from + DAY - machine.minute) % DAY;
        let next = self.hours.iter().map(|(from, _)| *from).min_by_key(wait)?;
        let (hour, minute) = (next / 60, next % 60);
        Some(format!(
            "it works again at {hour:02}:{minute:02} (node.hours)"
        ))
    }
}

fn is_within((from, to): (u16, u16), minute: u16) -> bool {
    match from <= to {
        true => (from..to).contains(&minute),
        false => minute >= from || minute < to,
    }
}

fn span(text: &str) -> Option<(u16, u16)> {
    let (from, to) = text.split_once('-')?;
    Some((minute(from)?, minute(to)?))
}

fn minute(text: &str) -> Option<u16> {
    let (hour, minute) = text.trim().split_once(':').unwrap_or((text.trim(), "0"));
    let (hour, minute): (u16, u16) = (hour.parse().ok()?, minute.parse().ok()?);
    (hour < 24 && minute < 60 || (hour, minute) == (24, 0)).then_some(hour * 60 + minute)
}

impl Machine {
    /// What the system says at a local minute of the day.
    pub fn look(minute: u16) -> Self {
        Self {
            minute,
            on_battery: on_battery(Path::new("/sys/class/power_supply")),
            load: load(Path::new("/proc/loadavg")),
        }
    }
}

/// True if there is a battery and no mains that is plugged in; Linux tells.
fn on_battery(folder: &Path) -> Option<bool> {
    let mut has_battery = false;
    for entry in fs::read_dir(folder).ok()?.flatten() {
        let read = |name: &str| fs::read_to_string(entry.path().join(name)).ok();
        match read("type").as_deref().map(str::trim) {
            Some("Mains" | "USB") if read("online")?.trim() == "1" => return Some(false),
            Some("Battery") => has_battery |= read("status")?.trim() == "Discharging",
            _ => {}
        }
    }
    Some(has_battery)
}

/// The mean of five minutes; Linux tells.
fn load(file: &Path) -> Option<f64> {
    let text = fs::read_to_string(file).ok()?;
    text.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minute: u16) -> Machine {
        Machine {
            minute,
            ..Machine::default()
        }
    }

    #[test]
    fn hours_may_pass_midnight_and_be_several() {
        let schedule = Schedule::new("22:00-6, 12:30-13", true, 0.0).unwrap();
        for (minute, works) in [
            (0, true),
            (5 * 60 + 59, true),
            (6 * 60, false),
            (12 * 60 + 29, false),
            (12 * 60 + 30, true),
            (13 * 60, false),
            (22 * 60, true),
        ] {
            assert_eq!(schedule.rest(&at(minute)).is_none(), works, "{minute}");
        }
        let rest = schedule.rest(&at(14 * 60)).unwrap();
        assert!(rest.contains("22:00"), "{rest}");
        let rest = schedule.rest(&at(7 * 60)).unwrap();
        assert!(rest.contains("12:30"), "{rest}");
    }

    #[test]
    fn mistakes_are_named() {
        for wrong in ["22", "25:00-3", "1:60-2", "a-b", "-"] {
            let error = Schedule::new(wrong, true, 0.0).unwrap_err().to_string();
            assert!(
                error.contains(wrong) && error.contains("22:00-06:30"),
                "{error}"
            );
        }
        assert_eq!(Schedule::new("", true, 0.0), Ok(Schedule::default()));
    }

    #[test]
    fn battery_and_load_let_it_rest_only_where_they_are_known() {
        let schedule = Schedule::new("", false, 2.0).unwrap();
        assert_eq!(schedule.rest(&at(0)), None);
        let battery = Machine {
            on_battery: Some(true),
            ..at(0)
        };
        assert!(schedule.rest(&battery).unwrap().contains("battery"));
        let busy = Machine {
            load: Some(2.5),
            ..at(0)
        };
        assert!(schedule.rest(&busy).unwrap().contains("2.5"));
    }

    #[test]
    fn power_supplies_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let supply = |name: &str, files: &[(&str, &str)]| {
            let path = folder.path().join(name);
            fs::create_dir_all(&path).unwrap();
            for (file, text) in files {
                fs::write(path.join(file), text).unwrap();
            }
        };
        assert_eq!(on_battery(folder.path()), Some(false));
        supply(
            "BAT0",
            &[("type", "Battery\n"), ("status", "Discharging\n")],
        );
        supply("AC", &[("type", "Mains\n"), ("online", "0\n")]);
        assert_eq!(on_battery(folder.path()), Some(true));
        supply("AC", &[("online", "1\n")]);
        assert_eq!(on_battery(folder.path()), Some(false));
        assert_eq!(on_battery(Path::new("/nowhere")), None);
    }
}
