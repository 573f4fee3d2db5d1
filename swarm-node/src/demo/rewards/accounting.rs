//! What a demo's swarm pays, and what became of it: amounts, epochs, times and balances.

use std::path::PathBuf;

use contracts::deploy::Parameters;
use serde::Serialize;
use swarm_round::reward;
use swarm_settle::settlement::schedule::Schedule;
use swarm_settle::tokens::{TOKEN, token_text};

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
/// Seconds in which objections are heard, and in which each court sits.
const DAY: u64 = 86_400;
/// Seconds in which an epoch's outcome can be brought.
const WEEK: u64 = 7 * DAY;
/// Blocks from an objection to the block that draws the court.
const SEED_DELAY: u64 = 2;
/// Part of its stake that a liar loses, in basis points.
const SLASH_FRACTION: u16 = 1_000;

/// The terms on which a demo's rounds are paid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RewardTerms {
    /// Peers.
    pub peers: usize,
    /// Rounds that will be played.
    pub rounds: u64,
    /// Rounds of an epoch.
    pub rounds_per_epoch: u64,
    /// Seconds of a round.
    pub round_seconds: u64,
    /// Seconds at least from the end of the preparations to round 0, on a chain with a time of its
    /// own: the pool must be paid in before the first epoch ends.
    pub lead_seconds: u64,
}

/// Seconds to pay the pool in.
pub const FUNDING_SECONDS: u64 = 3;

impl RewardTerms {
    /// The economy of a simulated demo on an embedded chain, or on another one.
    pub fn new(peers: usize, rounds: u64, rounds_per_epoch: u64, embedded: bool) -> Self {
        let round_seconds = if embedded { EMBEDDED_ROUND } else { REAL_ROUND };
        Self {
            peers,
            rounds,
            rounds_per_epoch,
            round_seconds,
            lead_seconds: FUNDING_SECONDS,
        }
    }

    /// When epochs end.
    pub fn schedule(&self, genesis: u64) -> Schedule {
        Schedule::from(&self.parameters(genesis))
    }

    /// Epochs that will be played, the last one perhaps shorter.
    pub fn epochs(&self) -> u64 {
        self.rounds.div_ceil(self.rounds_per_epoch.max(1))
    }

    /// The most that an epoch can pay, in units: everybody does everything right.
    pub fn epoch_cap(&self) -> u128 {
        (self.peers as u128 * u128::from(self.rounds_per_epoch))
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
        let bond = Parameters::least_bond(self.epoch_cap());
        let parameters = Parameters {
            genesis,
            round_length: self.round_seconds,
            rounds_per_epoch: self.rounds_per_epoch,
            exit_delay: 0,
            units_per_point: UNITS_PER_POINT,
            epoch_cap: self.epoch_cap(),
            minimum_stake: STAKE,
            submitter_fee: 0,
            proposal_bond: bond,
            objection_bond: bond,
            proposal_window: WEEK.max(epoch),
            objection_window: DAY,
            court_window: DAY,
            seed_delay: SEED_DELAY,
            slash_fraction: SLASH_FRACTION,
            slashers: Vec::new(),
        };
        Parameters {
            exit_delay: parameters.least_exit_delay(),
            ..parameters
        }
    }
}

/// What one peer has earned and been paid, in units of the token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PeerBalance {
    /// Points of all decided rounds, none below zero in any epoch.
    pub points: u64,
    /// What the chain has paid to the peer's owner.
    pub claimed: u128,
}

impl PeerBalance {
    /// What the points are worth.
    pub fn earned(&self) -> u128 {
        u128::from(self.points) * UNITS_PER_POINT
    }

    /// What is earned and not paid.
    pub fn pending(&self) -> u128 {
        self.earned().saturating_sub(self.claimed)
    }
}

/// The chain and the contracts on which rewards were settled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SettledOn {
    /// `embedded`, or the address of the chain's RPC server without what may be a key.
    pub endpoint: String,
    /// Id of the chain.
    pub id: u64,
    /// The token's contract.
    pub token: String,
    /// `SwarmMembers`.
    pub members: String,
    /// `SwarmRewards`.
    pub rewards: String,
    /// `SwarmSlasher`.
    pub slasher: String,
    /// The accounts of the peers' owners.
    pub owners: Vec<String>,
}

/// What became of a demo's rewards.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RewardReport {
    /// Where; `None` if the contracts did not get on a chain.
    pub place: Option<SettledOn>,
    /// By peer.
    pub accounts: Vec<PeerBalance>,
    /// Epochs that are final on the chain, of all.
    pub epochs: [usize; 2],
    /// Why something is pending, for people.
    pub trouble: Option<String>,
    /// Where everything lies that `swarm-node settle` needs.
    pub folder: Option<PathBuf>,
    /// The folder lacks the chain's URL, which may carry a key: `swarm-node settle` must be given
    /// it.
    pub needs_url: bool,
}

impl RewardReport {
    /// Nothing is settled, for this reason.
    pub(in crate::demo) fn nothing(reason: String) -> Self {
        Self {
            trouble: Some(reason),
            ..Self::default()
        }
    }

    /// The command that settles the rest, if a run was kept: with a URL where the run has none, as
    /// it may carry a key.
    pub fn later(&self) -> Option<String> {
        let url = if self.needs_url { " --chain URL" } else { "" };
        self.folder
            .as_ref()
            .map(|folder| format!("swarm-node settle {}{url}", folder.display()))
    }

    /// True if every epoch is final and every peer has got exactly what it earned.
    pub fn is_settled(&self) -> bool {
        let paid = |account: &PeerBalance| account.claimed == account.earned();
        self.place.is_some() && self.epochs[0] == self.epochs[1] && self.accounts.iter().all(paid)
    }

    /// An amount of each peer, in tokens.
    pub fn texts(&self, amount: impl Fn(&PeerBalance) -> u128) -> Vec<String> {
        self.accounts
            .iter()
            .map(|account| token_text(amount(account)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_pass_the_rules_of_the_contracts() {
        for (peers, rounds, epoch) in [(2, 0, 1), (4, 60, 20), (64, 10_000, 10_000)] {
            for embedded in [true, false] {
                let terms = RewardTerms::new(peers, rounds, epoch, embedded);
                terms
                    .parameters(EMBEDDED_TIME)
                    .check(EMBEDDED_TIME)
                    .unwrap();
                assert!(terms.pool() >= terms.epoch_cap() * u128::from(rounds / epoch));
            }
        }
    }

    #[test]
    fn settled_means_paid_exactly() {
        let place = SettledOn {
            endpoint: String::new(),
            id: 1,
            token: String::new(),
            members: String::new(),
            rewards: String::new(),
            slasher: String::new(),
            owners: Vec::new(),
        };
        let paid = PeerBalance {
            points: 5,
            claimed: 5 * UNITS_PER_POINT,
        };
        let report = RewardReport {
            place: Some(place),
            accounts: vec![paid; 2],
            epochs: [3, 3],
            ..RewardReport::default()
        };
        assert!(report.is_settled());
        assert!(
            !RewardReport {
                place: None,
                ..report.clone()
            }
            .is_settled()
        );
        assert!(
            !RewardReport {
                epochs: [2, 3],
                ..report.clone()
            }
            .is_settled()
        );
        for claimed in [paid.claimed - 1, paid.claimed + 1] {
            assert!(
                !RewardReport {
                    accounts: vec![PeerBalance { claimed, ..paid }],
                    ..report.clone()
                }
                .is_settled()
            );
        }
        assert_eq!(
            PeerBalance {
                points: 2,
                claimed: UNITS_PER_POINT
            }
            .pending(),
            UNITS_PER_POINT
        );
    }
}
