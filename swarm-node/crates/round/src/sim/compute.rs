//! How long simulated peers think.

use reproducible_ops::random::block;

use super::seed::seed_key;
use crate::clock::Round;
use crate::config::Windows;
use crate::payload::Stage;

/// The time from a wish to its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compute {
    /// The shortest, in milliseconds.
    pub ms: u64,
    /// What comes on top, uniform in `0..=jitter_ms`, another for every peer, round and stage.
    pub jitter_ms: u32,
}

impl Compute {
    /// Finishes in the last tenth of the shortest seal window: its seals reach some members in time
    /// and others late.
    pub fn laggard(windows: &Windows) -> Self {
        let seals = [
            windows.share_seal_ms,
            windows.critique_seal_ms,
            windows.decide_seal_ms,
        ];
        let window = seals.into_iter().fold(u32::MAX, u32::min);
        let jitter_ms = window / 10;
        Self {
            ms: u64::from(window - jitter_ms),
            jitter_ms,
        }
    }
}

/// The times of all peers, fixed by a seed.
pub(super) struct ComputeTimes {
    key: [u32; 2],
    peers: Vec<Compute>,
}

impl ComputeTimes {
    pub fn new(peers: Vec<Compute>, seed: u64) -> Self {
        Self {
            key: seed_key("round-simulation-compute", seed),
            peers,
        }
    }

    /// How long a peer works in a stage of a round, in milliseconds.
    pub fn of(&self, peer: usize, round: Round, stage: Stage) -> u64 {
        let Compute { ms, jitter_ms } = self.peers[peer];
        let place = [
            peer as u32,
            round as u32,
            (round >> 32) as u32,
            stage as u32,
        ];
        let [word, ..] = block(place, self.key);
        ms + ((u64::from(word) * (u64::from(jitter_ms) + 1)) >> 32)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_peer_takes_its_own_time_which_the_seed_fixes() {
        let times = |seed: u64, peer: usize| -> Vec<u64> {
            let steady = Compute {
                ms: 300,
                jitter_ms: 0,
            };
            let laggard = Compute::laggard(&Windows::uniform(1_000));
            let times = ComputeTimes::new(vec![steady, laggard], seed);
            (0..200)
                .map(|round| times.of(peer, round, Stage::Critique))
                .collect()
        };
        assert_eq!(times(5, 0), [300; 200]);
        let laggard = times(5, 1);
        assert!(laggard.iter().all(|ms| (900..=1_000).contains(ms)));
        assert!(laggard.iter().collect::<BTreeSet<_>>().len() > 50);
        assert_eq!(laggard, times(5, 1));
        assert_ne!(laggard, times(6, 1));
    }
}
