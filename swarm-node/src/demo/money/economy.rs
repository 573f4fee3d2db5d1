//! What a demo's swarm pays: amounts, epochs and times.

use contracts::deploy::Parameters;
use swarm_round::reward;
use swarm_settle::Schedule;

/// Units of the token in one token: 18 decimals.
pub const TOKEN: u128 = 1_000_000_000_000_000_000;
/// Units that a point is worth: a million points, one full reward for right answers, are one token.
pub const UNITS_PER_POINT: u128 = 1_000_000_000_000;
/// Stake of each peer, in units of the token.
pub const STAKE: u128 = 100 * TOKEN;
/// Where the time of an embedded chain begins: the first second of 2026.
pub const EMBEDDED_TIME: u64 = 1_767_225_600;
/// Seconds of a round on an embedded chain: its seven windows.
const EMBEDDED_ROUND: u64 = 7;
/// Seconds of a round on a chain that has a time of its own: about what a round takes to compute.
const REAL_ROUND: u64 = 1;
/// Seconds in which votes stay at stake and rewards can be claimed.
const WEEK: u64 = 7 * 86_400;

/// The numbers of one demo.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Economy {
    /// Peers.
    pub peers: u64,
    /// Rounds that will be played.
    pub rounds: u64,
    /// Rounds of an epoch.
    pub rounds_per_epoch: u64,
    /// Seconds of a round.
    pub round_seconds: u64,
}

impl Economy {
    /// The economy of a demo on an embedded chain, or on another one.
    pub fn new(peers: usize, rounds: u64, rounds_per_epoch: u64, embedded: bool) -> Self {
        let round_seconds = if embedded { EMBEDDED_ROUND } else { REAL_ROUND };
        Self {
            peers: peers as u64,
            rounds,
            rounds_per_epoch,
            round_seconds,
        }
    }

    /// When epochs end.
    pub fn schedule(&self, genesis: u64) -> Schedule {
        let Parameters {
            round_length,
            rounds_per_epoch,
            exit_delay,
            claim_window,
            ..
        } = self.parameters(genesis);
        Schedule {
            genesis,
            round_seconds: round_length,
            rounds_per_epoch,
            exit_delay,
            claim_window,
        }
    }

    /// Epochs that will be played, the last one perhaps shorter.
    pub fn epochs(&self) -> u64 {
        self.rounds.div_ceil(self.rounds_per_epoch.max(1))
    }

    /// The most that an epoch can pay, in units: everybody does everything right.
    pub fn epoch_cap(&self) -> u128 {
        u128::from(self.peers * self.rounds_per_epoch)
            * reward::MAXIMUM.unsigned_abs() as u128
            * UNITS_PER_POINT
    }

    /// What the pool must hold for all epochs, in units.
    pub fn pool(&self) -> u128 {
        self.epoch_cap() * u128::from(self.epochs())
    }

    /// What the contracts are deployed with.
    pub fn parameters(&self, genesis: u64) -> Parameters {
        let epoch = self.round_seconds * self.rounds_per_epoch;
        Parameters {
            genesis,
            round_length: self.round_seconds,
            rounds_per_epoch: self.rounds_per_epoch,
            exit_delay: WEEK.max(2 * epoch),
            claim_window: WEEK,
            units_per_point: UNITS_PER_POINT,
            epoch_cap: self.epoch_cap(),
            slasher: Default::default(),
        }
    }
}

/// An amount of units in tokens, exactly.
pub fn token_text(units: u128) -> String {
    let (whole, rest) = (units / TOKEN, units % TOKEN);
    let text = format!("{whole}.{rest:018}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_pass_the_rules_of_the_contracts() {
        for (peers, rounds, epoch) in [(2, 0, 1), (4, 60, 20), (64, 10_000, 10_000)] {
            for embedded in [true, false] {
                let economy = Economy::new(peers, rounds, epoch, embedded);
                economy
                    .parameters(EMBEDDED_TIME)
                    .check(EMBEDDED_TIME)
                    .unwrap();
                assert!(economy.pool() >= economy.epoch_cap() * u128::from(rounds / epoch));
            }
        }
    }

    #[test]
    fn amounts_are_exact() {
        assert_eq!(token_text(0), "0");
        assert_eq!(token_text(TOKEN), "1");
        assert_eq!(token_text(41_250_000 * UNITS_PER_POINT), "41.25");
        assert_eq!(token_text(1), "0.000000000000000001");
        assert_eq!(token_text(100 * TOKEN), "100");
    }
}
