//! How far a node's clock is from its peers', measured from exchanges of pings.
//!
//! ```text
//! own clock     sent ────────────────────────── returned
//!                   ╲                         ╱
//! peer's clock       ╲─────► received ───────╱
//!
//! offset = received − (sent + returned) / 2      round trip = returned − sent
//! ```
//! If both ways take the same time, that is exactly how far the peer's clock is ahead; if not, it
//! is wrong by at most half of the round trip. Of each peer the exchange with the shortest round
//! trip among the latest [`EXCHANGES`] counts, and of the peers the median, so that peers who lie
//! move the estimate no further than honest ones are apart while fewer than half lie.
//!
//! Nobody's clock is set. The estimate tells a node how long before the end of a window
//! ([`Estimate::lead_ms`]) it must publish to be in time, and its owner when the clock is too far
//! off ([`Estimate::is_off`]).

use std::collections::{BTreeMap, VecDeque};

use swarm_identity::key::PeerId;
use thiserror::Error;

use crate::clock::Millis;
use crate::config::Windows;

/// Latest exchanges that are kept of a peer.
pub const EXCHANGES: usize = 8;
/// Most peers of which exchanges are kept; more add nothing to a median.
pub const MAX_PEERS: usize = 256;
/// Longest round trip of which anything is learned.
pub const MAX_ROUND_TRIP_MS: Millis = 60_000;
/// Fewest peers that make an estimate: the median of two is one of them.
pub const MIN_PEERS: usize = 3;
/// A clock is off if it is by more than this part of the shortest window.
const TOLERANCE: i64 = 10;

/// One ping and its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// When the ping was sent, by the own clock.
    pub sent: Millis,
    /// When it was received, by the peer's clock and word.
    pub received: Millis,
    /// When the answer came, by the own clock.
    pub returned: Millis,
}

/// Why an exchange teaches nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ExchangeError {
    /// The own clock was set back meanwhile.
    #[error("the answer came {0} ms before its ping was sent; the clock was set back meanwhile")]
    Backwards(Millis),
    /// It took too long.
    #[error("the answer took {0} ms; only those within {MAX_ROUND_TRIP_MS} ms are used")]
    TooLong(Millis),
    /// The table of peers is full.
    #[error("{MAX_PEERS} peers are measured already")]
    Full,
}

/// What was measured of a peer's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Sample {
    // First, for the order.
    round_trip: Millis,
    offset: i64,
}

impl Exchange {
    fn sample(self) -> Result<Sample, ExchangeError> {
        let Some(round_trip) = self.returned.checked_sub(self.sent) else {
            return Err(ExchangeError::Backwards(self.sent - self.returned));
        };
        if round_trip > MAX_ROUND_TRIP_MS {
            return Err(ExchangeError::TooLong(round_trip));
        }
        let middle = self.sent + round_trip / 2;
        // A peer may name any time at all.
        let offset = i128::from(self.received) - i128::from(middle);
        let offset = offset.clamp(i64::MIN.into(), i64::MAX.into()) as i64;
        Ok(Sample { round_trip, offset })
    }
}

/// The exchanges of a node with its peers.
///
/// ```
/// use swarm_identity::key::PeerId;
/// use swarm_round::Windows;
/// use swarm_round::clock_offset::{ClockOffset, Exchange};
///
/// let mut offset = ClockOffset::default();
/// for peer in 0..3 {
///     // The peers' clocks are 650 ms ahead, and a message takes 40 ms.
///     let exchange = Exchange { sent: 10_000, received: 10_690, returned: 10_080 };
///     offset.note(PeerId([peer; 33]), exchange)?;
/// }
/// let estimate = offset.estimate().expect("three peers are enough");
/// assert_eq!((estimate.offset_ms, estimate.delay_ms, estimate.lead_ms()), (650, 40, 690));
/// assert!(estimate.is_off(&Windows::uniform(5_000)));
/// # Ok::<(), swarm_round::clock_offset::ExchangeError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct ClockOffset {
    peers: BTreeMap<PeerId, VecDeque<Sample>>,
}

/// How a node's clock and links stand to those of its peers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Estimate {
    /// How far the peers' clocks are ahead of the own one, in milliseconds; negative if behind.
    pub offset_ms: i64,
    /// How long a message takes to three quarters of the peers, in milliseconds.
    pub delay_ms: Millis,
    /// Peers that were measured.
    pub peers: usize,
}

impl ClockOffset {
    /// Takes an exchange with a peer.
    ///
    /// # Errors
    /// An exchange of which nothing can be learned; what was learned before stays.
    pub fn note(&mut self, peer: PeerId, exchange: Exchange) -> Result<(), ExchangeError> {
        let sample = exchange.sample()?;
        if self.peers.len() >= MAX_PEERS && !self.peers.contains_key(&peer) {
            return Err(ExchangeError::Full);
        }
        let samples = self.peers.entry(peer).or_default();
        if samples.len() == EXCHANGES {
            samples.pop_front();
        }
        samples.push_back(sample);
        Ok(())
    }

    /// Forgets a peer that left.
    pub fn forget(&mut self, peer: &PeerId) {
        self.peers.remove(peer);
    }

    /// Forgets all exchanges: those before the own clock was set say nothing about it now.
    pub fn clear(&mut self) {
        self.peers.clear();
    }

    /// What follows from the exchanges, with [`MIN_PEERS`] peers or more.
    pub fn estimate(&self) -> Option<Estimate> {
        let best = self
            .peers
            .values()
            .filter_map(|samples| samples.iter().min());
        let (mut offsets, mut trips): (Vec<i64>, Vec<Millis>) = best
            .map(|sample| (sample.offset, sample.round_trip))
            .unzip();
        let peers = offsets.len();
        if peers < MIN_PEERS {
            return None;
        }
        offsets.sort_unstable();
        trips.sort_unstable();
        Some(Estimate {
            offset_ms: offsets[peers / 2],
            delay_ms: trips[peers * 3 / 4].div_ceil(2),
            peers,
        })
    }
}

impl Estimate {
    /// How long before a window's end, by the own clock, a message must go out to reach most peers
    /// before the window ends by theirs, in milliseconds.
    pub fn lead_ms(&self) -> Millis {
        self.delay_ms.saturating_add_signed(self.offset_ms)
    }

    /// True if the clock is off by more than a tenth of the shortest window: its owner should set
    /// it.
    pub fn is_off(&self, windows: &Windows) -> bool {
        let shortest = windows.lengths().into_iter().min();
        shortest.is_some_and(|ms| self.offset_ms.saturating_abs() > i64::from(ms) / TOLERANCE)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn peer(i: usize) -> PeerId {
        let mut bytes = [0; 33];
        bytes[..8].copy_from_slice(&(i as u64).to_le_bytes());
        PeerId(bytes)
    }

    /// A ping at `sent` to a peer whose clock is `ahead`, with these delays there and back.
    fn ping(sent: Millis, ahead: i64, there: Millis, back: Millis) -> Exchange {
        Exchange {
            sent,
            received: (sent + there).saturating_add_signed(ahead),
            returned: sent + there + back,
        }
    }

    #[test]
    fn the_shortest_round_trip_of_the_latest_exchanges_counts() {
        let mut offset = ClockOffset::default();
        for i in 0..MIN_PEERS {
            offset.note(peer(i), ping(1_000, 7, 500, 100)).unwrap();
            offset.note(peer(i), ping(9_000, 7, 20, 20)).unwrap();
        }
        let estimate = offset.estimate().unwrap();
        assert_eq!((estimate.offset_ms, estimate.delay_ms), (7, 20));
        for i in 0..MIN_PEERS {
            (0..EXCHANGES).for_each(|_| offset.note(peer(i), ping(9_000, 90, 40, 40)).unwrap());
        }
        let estimate = offset.estimate().unwrap();
        assert_eq!((estimate.offset_ms, estimate.delay_ms), (90, 40));
    }

    #[test]
    fn two_peers_are_too_few() {
        let mut offset = ClockOffset::default();
        for i in 0..2 {
            offset.note(peer(i), ping(0, 0, 1, 1)).unwrap();
        }
        assert_eq!(offset.estimate(), None);
        offset.note(peer(2), ping(0, 0, 1, 1)).unwrap();
        assert_eq!(offset.estimate().unwrap().peers, 3);
        offset.forget(&peer(0));
        assert_eq!(offset.estimate(), None);
    }

    #[test]
    fn what_teaches_nothing_is_refused_and_peers_are_bounded() {
        let mut offset = ClockOffset::default();
        let backwards = Exchange {
            sent: 9,
            received: 9,
            returned: 4,
        };
        assert_eq!(
            offset.note(peer(0), backwards),
            Err(ExchangeError::Backwards(5))
        );
        let long = ping(0, 0, MAX_ROUND_TRIP_MS, 1);
        let error = ExchangeError::TooLong(MAX_ROUND_TRIP_MS + 1);
        assert_eq!(offset.note(peer(0), long), Err(error));
        (0..MAX_PEERS).for_each(|i| offset.note(peer(i), ping(0, 0, 1, 1)).unwrap());
        let more = offset.note(peer(MAX_PEERS), ping(0, 0, 1, 1));
        assert_eq!(more, Err(ExchangeError::Full));
        assert_eq!(offset.note(peer(0), ping(0, 0, 1, 1)), Ok(()));
    }

    #[test]
    fn times_of_any_size_are_taken() {
        let mut offset = ClockOffset::default();
        for (i, received) in [0, u64::MAX, u64::MAX].into_iter().enumerate() {
            let exchange = Exchange {
                sent: u64::MAX - 4,
                received,
                returned: u64::MAX,
            };
            offset.note(peer(i), exchange).unwrap();
        }
        assert_eq!(offset.estimate().unwrap().lead_ms(), 2 + 2);
        let behind = Estimate {
            offset_ms: i64::MIN,
            delay_ms: 5,
            peers: 3,
        };
        assert_eq!(behind.lead_ms(), 0);
        assert!(behind.is_off(&Windows::uniform(u32::MAX)));
    }

    #[test]
    fn a_tenth_of_the_shortest_window_is_tolerated() {
        let windows = Windows {
            decide_seal_ms: 1_000,
            ..Windows::uniform(5_000)
        };
        let off = |offset_ms| {
            Estimate {
                offset_ms,
                delay_ms: 0,
                peers: 3,
            }
            .is_off(&windows)
        };
        assert_eq!(
            [-101, -100, 0, 100, 101].map(off),
            [true, false, false, false, true]
        );
    }

    proptest! {
        /// Whatever fewer than half of the peers say, the estimate lies between honest ones.
        #[test]
        fn liars_move_the_median_no_further_than_honest_peers_are_apart(
            honest in prop::collection::vec((-300_i64..300, 0_u64..200, 0_u64..200), 2..20),
            lies in prop::collection::vec(any::<u64>(), 0..20),
            sent in 1_000_u64..1_000_000_000,
        ) {
            let mut offset = ClockOffset::default();
            let mut range = (i64::MAX, i64::MIN);
            for (i, (ahead, there, back)) in honest.iter().enumerate() {
                let exchange = ping(sent, *ahead, *there, *back);
                offset.note(peer(i), exchange).unwrap();
                let seen = exchange.sample().unwrap().offset;
                prop_assert!(seen.abs_diff(*ahead) <= (there + back).div_ceil(2));
                range = (range.0.min(seen), range.1.max(seen));
            }
            for (i, received) in lies.into_iter().take(honest.len() - 1).enumerate() {
                let exchange = Exchange { sent, received, returned: sent };
                offset.note(peer(1_000 + i), exchange).unwrap();
            }
            if let Some(estimate) = offset.estimate() {
                prop_assert!((range.0..=range.1).contains(&estimate.offset_ms));
            }
        }
    }
}
