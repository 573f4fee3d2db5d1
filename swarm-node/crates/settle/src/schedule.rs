//! Rounds, epochs and the chain's clock. Times are seconds of block time.

/// How long an epoch is kept after the last moment in which any chain could still have paid for it,
/// in seconds: a day, far more than [`AHEAD_SECONDS`](crate::chain::AHEAD_SECONDS), by which a
/// server can make a node take a moment for past.
pub const GRACE_SECONDS: u64 = 86_400;

/// Number of an epoch, counted from the genesis of the settlement contract.
pub type EpochNumber = u64;

/// When epochs end: the numbers that the contract was deployed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochSchedule {
    /// Start of round 0.
    pub genesis: u64,
    /// Length of a round, at least 1.
    pub round_seconds: u64,
    /// Rounds of an epoch, at least 1.
    pub rounds_per_epoch: u64,
    /// Seconds from an epoch's start in which its scores are taken: the exit delay of the stake
    /// that votes on it.
    pub exit_delay: u64,
    /// Seconds from the acceptance of scores in which rewards are claimed.
    pub claim_window: u64,
}

impl EpochSchedule {
    /// The epoch of a round.
    pub fn epoch_of(&self, round: u64) -> EpochNumber {
        round / self.rounds_per_epoch.max(1)
    }

    /// The first round after an epoch.
    pub fn rounds_until(&self, epoch: EpochNumber) -> u64 {
        epoch
            .saturating_add(1)
            .saturating_mul(self.rounds_per_epoch)
    }

    /// When a round starts.
    pub fn round_start(&self, round: u64) -> u64 {
        round
            .saturating_mul(self.round_seconds)
            .saturating_add(self.genesis)
    }

    /// When an epoch starts: the moment whose stake counts.
    pub fn start(&self, epoch: EpochNumber) -> u64 {
        self.round_start(epoch.saturating_mul(self.rounds_per_epoch))
    }

    /// When an epoch ends: from then on the contract takes its scores.
    pub fn end(&self, epoch: EpochNumber) -> u64 {
        self.round_start(self.rounds_until(epoch))
    }

    /// The last second in which the contract takes an epoch's scores.
    pub fn last_submission(&self, epoch: EpochNumber) -> u64 {
        self.start(epoch).saturating_add(self.exit_delay)
    }

    /// The epoch that runs at a time; the first one before genesis.
    pub fn epoch_at(&self, time: u64) -> EpochNumber {
        time.saturating_sub(self.genesis) / self.epoch_seconds()
    }

    /// The first epoch that is still of use at a time. Those before it are over for good: even
    /// scores that were accepted in the very last second can no longer be claimed, and have not
    /// been claimable for [`GRACE_SECONDS`]. It depends on time alone, so no event that a server
    /// hides, invents or takes back makes a node forget what it could be paid for.
    pub fn first_of_use(&self, time: u64) -> EpochNumber {
        let useful = self
            .exit_delay
            .saturating_add(self.claim_window)
            .saturating_add(GRACE_SECONDS);
        let passed = time.saturating_sub(self.genesis).saturating_sub(useful);
        passed.div_ceil(self.epoch_seconds())
    }

    fn epoch_seconds(&self) -> u64 {
        self.round_seconds
            .saturating_mul(self.rounds_per_epoch)
            .max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCHEDULE: EpochSchedule = EpochSchedule {
        genesis: 100,
        round_seconds: 7,
        rounds_per_epoch: 3,
        exit_delay: 42,
        claim_window: 50,
    };

    #[test]
    fn an_epoch_is_of_use_until_its_last_claim_and_a_day_more() {
        for epoch in 0..5 {
            assert_eq!(SCHEDULE.last_submission(epoch), SCHEDULE.start(epoch) + 42);
            let last = SCHEDULE.last_submission(epoch) + SCHEDULE.claim_window + GRACE_SECONDS;
            assert_eq!(
                [last, last + 1].map(|time| SCHEDULE.first_of_use(time)),
                [epoch, epoch + 1]
            );
        }
        assert_eq!(
            [0, 100, 120, 121].map(|time| SCHEDULE.epoch_at(time)),
            [0, 0, 0, 1]
        );
        assert_eq!(SCHEDULE.first_of_use(0), 0);
    }

    #[test]
    fn epochs_follow_each_other() {
        let schedule = SCHEDULE;
        assert_eq!(
            [0, 2, 3, 8, 9].map(|round| schedule.epoch_of(round)),
            [0, 0, 1, 2, 3]
        );
        assert_eq!(
            (schedule.start(0), schedule.end(0), schedule.start(1)),
            (100, 121, 121)
        );
        assert_eq!(schedule.rounds_until(1), 6);
        assert_eq!(schedule.end(u64::MAX), u64::MAX);
    }
}
