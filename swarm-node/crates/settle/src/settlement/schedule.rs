//! Rounds, epochs and the contract's windows. Times are seconds of block time.

use contracts::deploy::Parameters;

/// How long drafts, votes and signatures of an epoch are kept after its outcome can be final, in
/// seconds: a day, so that neither a reorganisation nor a server that is ahead makes a node forget
/// what is still in dispute.
pub const GRACE_SECONDS: u64 = 86_400;

/// Number of an epoch, counted from the genesis of the settlement contract.
pub type EpochNumber = u64;

/// When epochs end and how long each step of their settlement may take: the numbers that the
/// contract was deployed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// Start of round 0.
    pub genesis: u64,
    /// Length of a round, at least 1.
    pub round_seconds: u64,
    /// Rounds of an epoch, at least 1.
    pub rounds_per_epoch: u64,
    /// Seconds from an epoch's end in which its outcome is proposed.
    pub proposal_window: u64,
    /// Seconds from a proposal in which somebody may object.
    pub objection_window: u64,
    /// Seconds from a draw in which the court judges.
    pub court_window: u64,
}

impl From<&Parameters> for Schedule {
    fn from(parameters: &Parameters) -> Self {
        Self {
            genesis: parameters.genesis,
            round_seconds: parameters.round_length,
            rounds_per_epoch: parameters.rounds_per_epoch,
            proposal_window: parameters.proposal_window,
            objection_window: parameters.objection_window,
            court_window: parameters.court_window,
        }
    }
}

impl Schedule {
    /// The epoch of a round.
    pub fn epoch_of(&self, round: u64) -> EpochNumber {
        round / self.rounds_per_epoch.max(1)
    }

    /// The first round of an epoch.
    pub fn first_round(&self, epoch: EpochNumber) -> u64 {
        epoch.saturating_mul(self.rounds_per_epoch)
    }

    /// The rounds of an epoch.
    pub fn rounds(&self, epoch: EpochNumber) -> std::ops::Range<u64> {
        self.first_round(epoch)..self.first_round(epoch.saturating_add(1))
    }

    /// When an epoch starts: the moment whose stake and bindings count.
    pub fn start(&self, epoch: EpochNumber) -> u64 {
        self.first_round(epoch)
            .saturating_mul(self.round_seconds)
            .saturating_add(self.genesis)
    }

    /// When an epoch ends: from then on the contract takes its outcome.
    pub fn end(&self, epoch: EpochNumber) -> u64 {
        self.start(epoch.saturating_add(1))
    }

    /// The last second in which an epoch's outcome is proposed.
    pub fn last_proposal(&self, epoch: EpochNumber) -> u64 {
        self.end(epoch).saturating_add(self.proposal_window)
    }

    /// The first second after which nothing about an epoch can still be decided, with a day to
    /// spare.
    pub fn end_of_use(&self, epoch: EpochNumber) -> u64 {
        let windows = self.court_window.saturating_mul(2);
        self.last_proposal(epoch)
            .saturating_add(self.objection_window)
            .saturating_add(windows)
            .saturating_add(GRACE_SECONDS)
    }

    /// The epoch that runs at a time; the first one before genesis.
    pub fn epoch_at(&self, time: u64) -> EpochNumber {
        time.saturating_sub(self.genesis) / self.epoch_seconds()
    }

    /// Length of an epoch, at least 1.
    pub fn epoch_seconds(&self) -> u64 {
        self.round_seconds
            .saturating_mul(self.rounds_per_epoch)
            .max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCHEDULE: Schedule = Schedule {
        genesis: 100,
        round_seconds: 7,
        rounds_per_epoch: 3,
        proposal_window: 42,
        objection_window: 50,
        court_window: 60,
    };

    #[test]
    fn epochs_follow_each_other() {
        assert_eq!(
            [0, 2, 3, 8, 9].map(|round| SCHEDULE.epoch_of(round)),
            [0, 0, 1, 2, 3]
        );
        assert_eq!(SCHEDULE.rounds(2), 6..9);
        assert_eq!(
            [0, 100, 120, 121].map(|time| SCHEDULE.epoch_at(time)),
            [0, 0, 0, 1]
        );
        assert_eq!(
            (SCHEDULE.start(0), SCHEDULE.end(0), SCHEDULE.start(1)),
            (100, 121, 121)
        );
        assert_eq!(SCHEDULE.last_proposal(0), 163);
        assert_eq!(SCHEDULE.end_of_use(0), 163 + 50 + 120 + GRACE_SECONDS);
        assert_eq!(SCHEDULE.end(u64::MAX), u64::MAX);
    }
}
