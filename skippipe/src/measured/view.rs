//! What is known of a link or of a peer's times, and what that rests on.

use std::collections::BTreeSet;

use super::report::{LinkMeasure, Report, StageTimes};
use super::{ASSUMED, ASSUMED_TIMES, Measurements};
use crate::path::{Hop, Peer};
use crate::topology::Micros;

/// What a value rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Basis {
    /// It was measured.
    Measured,
    /// Others like it were.
    Estimated,
    /// Nothing was.
    Assumed,
}

/// A value, and what it rests on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known<T> {
    /// The value.
    pub value: T,
    /// What it rests on.
    pub basis: Basis,
}

impl Measurements {
    /// The way from one peer to another.
    pub fn link(&self, from: Peer, to: Peer) -> Known<LinkMeasure> {
        let basis = Basis::Measured;
        match self.measured(from, to) {
            Some(value) => Known { value, basis },
            None => self.estimated(from, to),
        }
    }

    /// What a hop's work takes.
    pub fn times(&self, hop: Hop) -> Known<StageTimes> {
        let own = self.report(hop.peer).and_then(|report| report.times);
        if let Some(value) = own.filter(|times| times.stage == hop.stage) {
            let basis = Basis::Measured;
            return Known { value, basis };
        }
        let all = || self.reports.values().filter_map(|report| report.times);
        let same: Vec<StageTimes> = all().filter(|one| one.stage == hop.stage).collect();
        let like = if same.is_empty() {
            all().collect()
        } else {
            same
        };
        let stage = hop.stage;
        match typical(&like) {
            Some(times) => Known {
                value: StageTimes { stage, ..times },
                basis: Basis::Estimated,
            },
            None => Known {
                value: StageTimes {
                    stage,
                    ..ASSUMED_TIMES
                },
                basis: Basis::Assumed,
            },
        }
    }

    /// What the two ends say, the slower of both.
    fn measured(&self, from: Peer, to: Peer) -> Option<LinkMeasure> {
        let sender = self.report(from).and_then(|report| report.pair(to)?.to);
        let receiver = self.report(to).and_then(|report| report.pair(from)?.from);
        match (sender, receiver) {
            (Some(sender), Some(receiver)) => Some(sender.slower(receiver)),
            (one, other) => one.or(other),
        }
    }

    /// The slower of the medians of the ways out of the sender and into the receiver; if neither
    /// has any, the median of all.
    fn estimated(&self, from: Peer, to: Peer) -> Known<LinkMeasure> {
        let ends = [from, to].into_iter().filter_map(|end| self.report(end));
        let named = ends.flat_map(|report| report.pairs.iter().map(|pair| pair.peer));
        let peers: BTreeSet<Peer> = self.peers().chain(named).collect();
        let out = peers.iter().filter_map(|other| self.measured(from, *other));
        let into = peers.iter().filter_map(|other| self.measured(*other, to));
        let ends = [median(out.collect()), median(into.collect())];
        let basis = Basis::Estimated;
        if let Some(value) = ends.into_iter().flatten().reduce(LinkMeasure::slower) {
            return Known { value, basis };
        }
        let all = self.reports.values().flat_map(Report::links);
        match median(all.collect()) {
            Some(value) => Known { value, basis },
            None => Known {
                value: ASSUMED,
                basis: Basis::Assumed,
            },
        }
    }
}

impl Report {
    fn links(&self) -> impl Iterator<Item = LinkMeasure> + '_ {
        let pairs = self.pairs.iter();
        pairs.flat_map(|pair| pair.to.into_iter().chain(pair.from))
    }
}

/// The median of each number by itself.
fn median(links: Vec<LinkMeasure>) -> Option<LinkMeasure> {
    Some(LinkMeasure {
        latency: middle(links.iter().map(|link| link.latency))?,
        bytes_per_second: middle(links.iter().map(|link| link.bytes_per_second))?,
    })
}

fn typical(times: &[StageTimes]) -> Option<StageTimes> {
    let of = |part: fn(&StageTimes) -> Micros| middle(times.iter().map(part));
    Some(StageTimes {
        stage: times.first()?.stage,
        forward: of(|one| one.forward)?,
        backward: of(|one| one.backward)?,
        loss: of(|one| one.loss)?,
        sum: of(|one| one.sum)?,
        add: of(|one| one.add)?,
        squares: of(|one| one.squares)?,
        update: of(|one| one.update)?,
    })
}

/// The middle one; of an even number the lower of the two.
pub(super) fn middle<T: Ord>(values: impl Iterator<Item = T>) -> Option<T> {
    let mut sorted: Vec<T> = values.collect();
    sorted.sort_unstable();
    let place = sorted.len().checked_sub(1)? / 2;
    sorted.into_iter().nth(place)
}
