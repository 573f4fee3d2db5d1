//! What peers measured of their links and of their engines, and what a planner takes from it.
//!
//! ```text
//! each peer ─▶ Report (its own pairs, both ways; its own times) ─▶ all others
//!                    Measurements: a report of each peer ─▶ link(i, j), times(hop) ─▶ Topology
//! ```
//! *Whom to believe.* A peer reports what it saw itself, and nothing of others. Both ends of a link
//! see it, and of what they say the slower counts: whoever lies can make its own links look slow,
//! but none fast, and those of others not at all. Its own times only it knows; who says that it is
//! faster than it is gets more work than it can do, and whoever waits for it goes around it.
//!
//! *What is not known* is estimated: a link by the slower of the medians of what is known of its
//! two ends, times by the median of those who hold the same stage, then of all; where nothing is
//! known, by [`ASSUMED`].
//!
//! Bounded: reports have at most one entry for each peer, numbers are within the limits here, and
//! what is beyond is refused with the peer's name.

mod observed;
mod report;
mod view;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::path::{Hop, Peer, Stage};
use crate::topology::{Costs, Links, MAX_TIME, Micros, Node, Topology, TopologyError};

pub use observed::{Observed, Part};
pub use report::{
    LinkMeasure, MAX_LATENCY, MAX_RATE, MIN_RATE, PairMeasure, Report, ReportError, StageTimes,
};
pub use view::{Basis, Known};

/// A link of which nothing at all is known: 20 ms, 100 Mbit/s.
pub const ASSUMED: LinkMeasure = LinkMeasure {
    latency: Micros(20_000),
    bytes_per_second: 12_500_000,
};

/// Times of a peer of which nothing at all is known.
pub const ASSUMED_TIMES: StageTimes = StageTimes {
    stage: Stage(0),
    forward: Micros(100_000),
    backward: Micros(150_000),
    loss: Micros(25_000),
    sum: Micros(10_000),
    add: Micros(10_000),
    squares: Micros(10_000),
    update: Micros(10_000),
};

/// The reports of all peers, as far as they are known.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Measurements {
    reports: BTreeMap<Peer, Report>,
}

impl Measurements {
    /// Nothing is known.
    pub fn new() -> Self {
        Self::default()
    }

    /// A peer's report, in the place of its earlier one. `peers` is how many there are.
    ///
    /// # Errors
    /// Absurd numbers; what was known before stays.
    pub fn insert(&mut self, from: Peer, report: Report, peers: u32) -> Result<(), ReportError> {
        report.check(from, peers)?;
        self.reports.insert(from, report);
        Ok(())
    }

    /// What a peer reported.
    pub fn report(&self, peer: Peer) -> Option<&Report> {
        self.reports.get(&peer)
    }

    /// Everybody who reported.
    pub fn peers(&self) -> impl Iterator<Item = Peer> + '_ {
        self.reports.keys().copied()
    }

    /// The same, with every report checked, as after reading it from a file.
    ///
    /// # Errors
    /// Absurd numbers.
    pub fn checked(self, peers: u32) -> Result<Self, ReportError> {
        for (from, report) in &self.reports {
            report.check(*from, peers)?;
        }
        Ok(self)
    }

    /// The network of these peers, each of which holds `slots` microbatches, for messages of up to
    /// `bytes`. Links are as slow as a message of an hour at most, so that no report makes a
    /// topology that is none.
    ///
    /// # Errors
    /// No peers, or more than a topology has; no slots.
    pub fn topology(
        &self,
        hops: &[Hop],
        slots: u16,
        bytes: u64,
    ) -> Result<Topology, TopologyError> {
        let nodes = hops.iter().map(|hop| {
            let times = self.times(*hop).value;
            Node {
                forward: times.forward,
                backward: Some(times.backward),
                loss: Some(times.loss),
                slots,
                stage: Some(hop.stage),
            }
        });
        let slowest = (bytes / (MAX_TIME.0 / 2_000_000)).max(1);
        let links = hops.iter().map(|from| {
            let link = |to: &Hop| match from.peer == to.peer {
                true => ASSUMED,
                false => self.link(from.peer, to.peer).value,
            };
            hops.iter().map(link).collect()
        });
        let links: Vec<Vec<LinkMeasure>> = links.collect();
        let matrix = |rate: &dyn Fn(&LinkMeasure) -> u64| -> Vec<Vec<u64>> {
            let rows = links.iter();
            rows.map(|row| row.iter().map(rate).collect()).collect()
        };
        let latency = matrix(&|link| link.latency.0).into_iter();
        let links = Links::Shared {
            latency: latency
                .map(|row| row.into_iter().map(Micros).collect())
                .collect(),
            bytes_per_second: matrix(&|link| link.bytes_per_second.max(slowest)),
        };
        Topology::new(nodes.collect(), links, Costs::default())
    }
}

#[cfg(test)]
mod tests;
