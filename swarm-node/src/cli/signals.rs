//! SIGINT and SIGTERM: the first asks work to end with everything saved, the second ends the
//! process at once.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use super::failure::Failure;
use super::output;
use crate::job::{STOP_POLL, Stop};

/// Most work stops faster than this; slower work is announced.
const PATIENCE: Duration = Duration::from_millis(500);

/// A request that the first SIGINT or SIGTERM makes. Only commands that look at it ask for it: all
/// others keep the system's way, which ends them at the first signal.
pub(super) fn stop_on_signals() -> Result<Stop, Failure> {
    let stop = Stop::default();
    let asked = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        // Handlers run in the order of their registration: this one sees only what an earlier
        // signal has set.
        flag::register_conditional_shutdown(signal, 128 + signal, asked.clone())
            .map_err(Failure::work)?;
        flag::register(signal, asked.clone()).map_err(Failure::work)?;
        let number = usize::try_from(signal).map_err(Failure::work)?;
        flag::register_usize(signal, stop.cell().clone(), number).map_err(Failure::work)?;
    }
    let watched = stop.clone();
    std::thread::Builder::new()
        .name("signals".into())
        .spawn(move || announce(&watched))
        .map_err(Failure::work)?;
    Ok(stop)
}

/// Says that a request was heard, if the work goes on for a while.
fn announce(stop: &Stop) {
    while !stop.is_requested() {
        std::thread::sleep(STOP_POLL);
    }
    std::thread::sleep(PATIENCE);
    output::note("stopping as soon as nothing is lost; a second signal ends at once");
}
