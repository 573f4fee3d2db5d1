//! What one peer says, and what is absurd.

use serde::{Deserialize, Serialize};

use crate::path::{Peer, Stage};
use crate::topology::{MAX_TIME, Micros};

/// The longest latency: ten seconds.
pub const MAX_LATENCY: Micros = Micros(10_000_000);
/// The slowest link, in bytes a second: 8 kbit/s.
pub const MIN_RATE: u64 = 1_000;
/// The fastest link, in bytes a second: 8 Tbit/s.
pub const MAX_RATE: u64 = 1_000_000_000_000;

/// One way of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinkMeasure {
    /// From handing over a short message to its arrival.
    pub latency: Micros,
    /// How fast long ones arrive.
    pub bytes_per_second: u64,
}

impl LinkMeasure {
    /// As slow as either.
    pub fn slower(self, other: Self) -> Self {
        Self {
            latency: self.latency.max(other.latency),
            bytes_per_second: self.bytes_per_second.min(other.bytes_per_second),
        }
    }

    /// How long a message of so many bytes takes alone.
    pub fn time(&self, bytes: u64) -> Micros {
        let rate = u128::from(self.bytes_per_second.max(1));
        let micros = (u128::from(bytes) * 1_000_000).div_ceil(rate);
        // Below 2⁶⁴ · 10⁶ / 10³; what is longer than an hour is all the same.
        self.latency + Micros((micros as u64).min(MAX_TIME.0))
    }
}

/// A pair of peers, as one of the two saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PairMeasure {
    /// The other.
    pub peer: Peer,
    /// The way to it.
    pub to: Option<LinkMeasure>,
    /// The way from it.
    pub from: Option<LinkMeasure>,
}

/// What the work of a stage takes on a peer's engine, for one microbatch or one sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StageTimes {
    /// The stage.
    pub stage: Stage,
    /// The forward pass; at stage 0, the embedding.
    pub forward: Micros,
    /// The backward pass; at stage 0, into the embedding.
    pub backward: Micros,
    /// Head and loss; zero at other stages than 0.
    pub loss: Micros,
    /// Summing the gradients of visits.
    pub sum: Micros,
    /// Adding a replica's sum.
    pub add: Micros,
    /// Squares of a sum.
    pub squares: Micros,
    /// Moving the stage by a sum, and its digest.
    pub update: Micros,
}

/// What a peer measured itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Report {
    /// Its links, at most one entry for each other peer, ascending.
    pub pairs: Vec<PairMeasure>,
    /// Its engine; none for a peer without a stage.
    pub times: Option<StageTimes>,
}

/// Why a report is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReportError {
    /// Itself, nobody, twice the same, or not ascending.
    #[error(
        "{from} reports a link with {peer}, which is itself, nobody, or not after the one before"
    )]
    Pair {
        /// Whose report.
        from: Peer,
        /// With whom.
        peer: Peer,
    },
    /// Beyond [`MAX_LATENCY`].
    #[error("{from} reports a latency of {latency} with {peer}; the longest is {MAX_LATENCY}")]
    Latency {
        /// Whose report.
        from: Peer,
        /// With whom.
        peer: Peer,
        /// The value.
        latency: Micros,
    },
    /// Below [`MIN_RATE`] or above [`MAX_RATE`].
    #[error(
        "{from} reports {rate} bytes a second with {peer}; a link has {MIN_RATE} to {MAX_RATE}"
    )]
    Rate {
        /// Whose report.
        from: Peer,
        /// With whom.
        peer: Peer,
        /// The value.
        rate: u64,
    },
    /// Longer than an hour.
    #[error("{from} reports a {what} of {time}; the longest is an hour")]
    Time {
        /// Whose report.
        from: Peer,
        /// Of what.
        what: &'static str,
        /// The value.
        time: Micros,
    },
    /// No peer of the pipeline.
    #[error("{0} reports, and is none of the pipeline's peers")]
    Stranger(Peer),
}

impl Report {
    /// What it says of a pair.
    pub fn pair(&self, peer: Peer) -> Option<&PairMeasure> {
        let found = self.pairs.binary_search_by_key(&peer, |pair| pair.peer);
        found.ok().map(|place| &self.pairs[place])
    }

    /// Refuses what cannot be, of `peers` in all.
    ///
    /// # Errors
    /// It is absurd.
    pub fn check(&self, from: Peer, peers: u32) -> Result<(), ReportError> {
        if from.0 >= peers {
            return Err(ReportError::Stranger(from));
        }
        let mut last = None;
        for pair in &self.pairs {
            let peer = pair.peer;
            let after = last.replace(peer).is_none_or(|last| last < peer);
            if peer.0 >= peers || peer == from || !after {
                return Err(ReportError::Pair { from, peer });
            }
            for link in [pair.to, pair.from].into_iter().flatten() {
                let (latency, rate) = (link.latency, link.bytes_per_second);
                if latency > MAX_LATENCY {
                    return Err(ReportError::Latency {
                        from,
                        peer,
                        latency,
                    });
                }
                if !(MIN_RATE..=MAX_RATE).contains(&rate) {
                    return Err(ReportError::Rate { from, peer, rate });
                }
            }
        }
        let times = self.times.iter().flat_map(StageTimes::named);
        for (what, time) in times {
            if time > MAX_TIME {
                return Err(ReportError::Time { from, what, time });
            }
        }
        Ok(())
    }
}

impl StageTimes {
    fn named(&self) -> [(&'static str, Micros); 7] {
        [
            ("forward pass", self.forward),
            ("backward pass", self.backward),
            ("loss", self.loss),
            ("sum", self.sum),
            ("addition", self.add),
            ("sum of squares", self.squares),
            ("update", self.update),
        ]
    }
}
