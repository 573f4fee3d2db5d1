//! Metrics in Prometheus' text format. The help of a metric is its documentation here.

use std::fmt::{Display, Write as _};

use crate::node::status::{SourceLine, Status};

/// Writes metrics down: each with its help, its type, and its value in a status.
macro_rules! metrics {
    ($($(#[doc = $help:literal])+ $kind:ident $name:ident: $value:expr;)+) => {
        /// Every metric of this status that has one value.
        fn plain(status: &Status, out: &mut String) {
            $(
                let value: Option<f64> = $value(status);
                if let Some(value) = value {
                    let name = concat!("swarm_", stringify!($name));
                    header(out, name, stringify!($kind), concat!($($help),+).trim());
                    sample(out, name, value);
                }
            )+
        }
    };
}

metrics! {
    /// Seconds since the node started.
    gauge uptime_seconds: |it: &Status| Some(it.now_ms.saturating_sub(it.started_ms) as f64 / 1e3);
    /// Peers that are connected.
    gauge peers: |it: &Status| Some(it.peers.len() as f64);
    /// Peers that are connected through a relay.
    gauge peers_relayed: |it: &Status| {
        Some(it.peers.iter().filter(|peer| peer.is_relayed).count() as f64)
    };
    /// The round in which the node takes part.
    gauge round: |it: &Status| it.round.map(|round| round as f64);
    /// The first round that is not decided here.
    gauge round_floor: |it: &Status| Some(it.floor as f64);
    /// Rounds whose windows are over and that are not decided here.
    gauge rounds_undecided: |it: &Status| Some(it.undecided as f64);
    /// Rounds that were decided here since the start.
    counter rounds_decided_total: |it: &Status| Some(it.decided as f64);
    /// Seconds from the end of a round's windows to its decision, of the last one.
    gauge decision_seconds: |it: &Status| it.last.as_ref().map(|it| it.after_ms as f64 / 1e3);
    /// Points that this node earned since the start.
    gauge points: |it: &Status| Some(it.points as f64 / 1e6);
    /// Stages that the node sat out because its own work came too late, since the start.
    counter stages_missed_total: |it: &Status| Some(it.missed as f64);
    /// Rounds that the model learned from, in all.
    gauge learned_rounds: |it: &Status| it.learning.as_ref().map(|it| it.steps as f64);
    /// Decided rounds that wait to be learned from.
    gauge learning_backlog: |it: &Status| it.learning.as_ref().map(|it| it.waiting as f64);
    /// Mean reward of the model's own answers in the last round learned from.
    gauge reward: |it: &Status| it.learning.as_ref().and_then(|it| it.reward).map(f64::from);
    /// Times that training was rolled back since the start.
    counter rollbacks_total: |it: &Status| it.learning.as_ref().map(|it| it.rollbacks as f64);
    /// Messages of others that counted, since the start.
    counter messages_accepted_total: |it: &Status| Some(it.accepted as f64);
    /// Seconds that the peers' clocks are ahead of this node's.
    gauge clock_offset_seconds: |it: &Status| {
        it.clock.as_ref().map(|it| it.offset_ms as f64 / 1e3)
    };
}

/// A metric of a source of peers: its name, its help and its value.
type SourceMetric = (&'static str, &'static str, fn(&SourceLine) -> usize);

/// Metrics of each source of peers that is in use.
const SOURCES: [SourceMetric; 2] = [
    (
        "swarm_source_known",
        "Peers that a source gave and that are called or connected.",
        |it| it.known,
    ),
    (
        "swarm_source_reached",
        "Peers that a source gave and that were reached since the start.",
        |it| it.reached,
    ),
];

/// All metrics of a status.
pub(super) fn render(status: &Status) -> String {
    let mut out = String::new();
    plain(status, &mut out);
    for (name, help, value) in SOURCES {
        header(&mut out, name, "gauge", help);
        for source in &status.sources {
            let name = format!("{name}{{source=\"{}\"}}", source.source);
            sample(&mut out, &name, value(source));
        }
    }
    header(
        &mut out,
        "swarm_messages_rejected_total",
        "counter",
        "Messages of others that were rejected, by reason, since the start.",
    );
    for (reason, count) in &status.rejected {
        let name = format!("swarm_messages_rejected_total{{reason=\"{reason}\"}}");
        sample(&mut out, &name, count);
    }
    out
}

// Writing to a string does not fail.
fn header(out: &mut String, name: &str, kind: &str, help: &str) {
    let _ = write!(out, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
}

fn sample(out: &mut String, name: &str, value: impl Display) {
    let _ = writeln!(out, "{name} {value}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_has_its_help_its_type_and_one_value() {
        let text = render(&Status::sample());
        for line in [
            "# HELP swarm_peers Peers that are connected.",
            "# TYPE swarm_rounds_decided_total counter",
            "swarm_rounds_decided_total 3",
            "swarm_points 2.5",
            "swarm_decision_seconds 0.4",
            "swarm_messages_rejected_total{reason=\"late\"} 2",
            "swarm_source_reached{source=\"dns\"} 2",
        ] {
            assert!(
                text.lines().any(|found| found == line),
                "no {line:?} in {text}"
            );
        }
        // What is not known is left out.
        assert!(!text.contains("clock_offset"));
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let name = line.split([' ', '{']).next().unwrap();
            assert!(text.contains(&format!("# TYPE {name} ")), "{line}");
        }
    }

    #[test]
    fn the_shipped_dashboard_shows_metrics_that_there_are() {
        let board = include_str!("../../../configs/grafana.json");
        let source = include_str!("metrics.rs");
        let board: serde_json::Value = serde_json::from_str(board).unwrap();
        let text = board["panels"].to_string();
        let names = text.split("swarm_").skip(1).map(|rest| {
            let end = rest.find(|it: char| !it.is_ascii_lowercase() && it != '_');
            &rest[..end.unwrap_or(rest.len())]
        });
        let names: Vec<&str> = names.collect();
        assert!(names.len() > 8);
        for name in names {
            assert!(source.contains(name), "{name}");
        }
    }
}
