//! The log of a running node, on standard error.

use std::io;

use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::FormatTime;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::cli::failure::Failure;
use crate::node::config::NodeConfig;
use crate::node::time::wall_clock;

/// The time of day in UTC, to the second; a log that is kept is kept with its date elsewhere.
struct TimeOfDay;

impl FormatTime for TimeOfDay {
    fn format_time(&self, out: &mut Writer<'_>) -> std::fmt::Result {
        let seconds = wall_clock() / 1000 % 86_400;
        let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
        write!(out, "{hours:02}:{minutes:02}:{:02}", seconds % 60)
    }
}

/// Begins the log as the settings say.
pub(super) fn begin(config: &NodeConfig) -> Result<(), Failure> {
    let level: LevelFilter = config.log_level.parse().map_err(Failure::work)?;
    // Of the libraries below, what their authors call warnings is the usual course of a network.
    let ours = Targets::new()
        .with_default(LevelFilter::ERROR)
        .with_target("swarm_node", level)
        .with_target("swarm_net", level);
    let registry = tracing_subscriber::registry().with(ours);
    let begun = match config.log.as_str() {
        "json" => registry
            .with(
                fmt::layer()
                    .json()
                    .flatten_event(true)
                    .with_writer(io::stderr),
            )
            .try_init(),
        _ => registry
            .with(
                fmt::layer()
                    .with_timer(TimeOfDay)
                    .with_target(false)
                    .with_ansi(false)
                    .with_writer(io::stderr),
            )
            .try_init(),
    };
    begun.map_err(Failure::work)
}
