//! The clocks of this machine, which everything else gets as arguments.

use std::time::{SystemTime, UNIX_EPOCH};

use swarm_round::clock::Millis;

/// Milliseconds since 1970 by this machine's clock; before 1970 it is 1970.
pub fn wall_clock() -> Millis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_millis() as Millis)
}

/// The minute of the day on this machine's clock on the wall.
pub fn local_minute() -> u16 {
    let now = jiff::Zoned::now();
    // Below 24 · 60.
    (now.hour() as u16) * 60 + now.minute() as u16
}
