//! Rounds, epochs and the chain's clock. Times are seconds of block time.

/// Number of an epoch, counted from the genesis of the settlement contract.
pub type EpochNumber = u64;

/// When epochs end: the numbers that the contract was deployed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// Start of round 0.
    pub genesis: u64,
    /// Length of a round, at least 1.
    pub round_seconds: u64,
    /// Rounds of an epoch, at least 1.
    pub rounds_per_epoch: u64,
}

impl Schedule {
    /// The epoch of a round.
    pub fn epoch_of(&self, round: u64) -> EpochNumber {
        round / self.rounds_per_epoch.max(1)
    }

    /// The first round after an epoch.
    pub fn rounds_until(&self, epoch: EpochNumber) -> u64 {
        epoch.saturating_add(1).saturating_mul(self.rounds_per_epoch)
    }

    /// When a round starts.
    pub fn round_start(&self, round: u64) -> u64 {
        round.saturating_mul(self.round_seconds).saturating_add(self.genesis)
    }

    /// When an epoch starts: the moment whose stake counts.
    pub fn start(&self, epoch: EpochNumber) -> u64 {
        self.round_start(epoch.saturating_mul(self.rounds_per_epoch))
    }

    /// When an epoch ends: from then on the contract takes its scores.
    pub fn end(&self, epoch: EpochNumber) -> u64 {
        self.round_start(self.rounds_until(epoch))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn epochs_follow_each_other() {
        let schedule = Schedule { genesis: 100, round_seconds: 7, rounds_per_epoch: 3 };
        assert_eq!([0, 2, 3, 8, 9].map(|round| schedule.epoch_of(round)), [0, 0, 1, 2, 3]);
        assert_eq!((schedule.start(0), schedule.end(0), schedule.start(1)), (100, 121, 121));
        assert_eq!(schedule.rounds_until(1), 6);
        assert_eq!(schedule.end(u64::MAX), u64::MAX);
    }
}
