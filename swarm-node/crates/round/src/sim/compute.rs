//! How long simulated peers think.

use reproducible_ops::random::{block, key_from};

use super::spec::Spec;
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
    pub fn new(spec: &Spec) -> Self {
        let mut job = [0; 32];
        job[..8].copy_from_slice(&spec.seed.to_le_bytes());
        let common = Compute {
            ms: spec.compute_ms,
            jitter_ms: 0,
        };
        let own = spec.peers.iter().map(|peer| peer.compute.unwrap_or(common));
        Self {
            key: key_from("round-simulation-compute", &job, &[0; 32]),
            peers: own.collect(),
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
    use super::*;
    use crate::sim::toy;

    #[test]
    fn a_peer_takes_its_own_time_which_the_seed_fixes() {
        let mut spec = toy::spec(3, 1, 5);
        let windows = Windows::uniform(1_000);
        spec.peers[1].compute = Some(Compute::laggard(&windows));
        let times = |spec: &Spec, peer: usize| -> Vec<u64> {
            let times = ComputeTimes::new(spec);
            let rounds = 0..200;
            rounds
                .map(|round| times.of(peer, round, Stage::Critique))
                .collect()
        };
        assert_eq!(times(&spec, 0), [300; 200]);
        let laggard = times(&spec, 1);
        assert_eq!(laggard, times(&spec, 1));
        assert!(laggard.iter().all(|ms| (900..=1_000).contains(ms)));
        let distinct: std::collections::BTreeSet<_> = laggard.iter().collect();
        assert!(distinct.len() > 50, "{distinct:?}");
        spec.seed = 6;
        assert_ne!(laggard, times(&spec, 1));
    }
}
