//! What became of the money.

use std::path::PathBuf;

use serde::Serialize;

use super::economy::{UNITS_PER_POINT, token_text};

/// One peer's money, in units of the token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// Points of all settled rounds, none below zero in any epoch.
    pub points: u64,
    /// What the chain has paid to the peer's owner.
    pub claimed: u128,
}

impl Account {
    /// What the points are worth.
    pub fn earned(&self) -> u128 {
        u128::from(self.points) * UNITS_PER_POINT
    }

    /// What is earned and not paid.
    pub fn pending(&self) -> u128 {
        self.earned().saturating_sub(self.claimed)
    }
}

/// Where rewards were settled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Place {
    /// `embedded`, or the address of the chain's RPC server without what may be a key.
    pub endpoint: String,
    /// Id of the chain.
    pub id: u64,
    /// The token's contract.
    pub token: String,
    /// `SwarmStake`.
    pub stake: String,
    /// `SwarmCoordinator`.
    pub coordinator: String,
    /// The accounts of the peers' owners.
    pub owners: Vec<String>,
}

/// What became of a demo's money.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MoneyReport {
    /// Where; `None` if the contracts did not get on a chain.
    pub place: Option<Place>,
    /// By peer.
    pub accounts: Vec<Account>,
    /// Epochs that the contract accepted, of all.
    pub epochs: [usize; 2],
    /// Why something is pending, for people.
    pub trouble: Option<String>,
    /// Where everything lies that `swarm-node settle` needs.
    pub folder: Option<PathBuf>,
    /// The folder lacks the chain's URL, which may carry a key: `swarm-node settle` must be given
    /// it.
    pub needs_url: bool,
}

impl MoneyReport {
    /// The command that settles the rest, if a run was kept: with a URL where the run has none, as
    /// it may carry a key.
    pub fn later(&self) -> Option<String> {
        let url = if self.needs_url { " --chain URL" } else { "" };
        self.folder
            .as_ref()
            .map(|folder| format!("swarm-node settle {}{url}", folder.display()))
    }

    /// True if every epoch was accepted and every peer has got exactly what it earned.
    pub fn is_settled(&self) -> bool {
        let paid = |account: &Account| account.claimed == account.earned();
        self.place.is_some() && self.epochs[0] == self.epochs[1] && self.accounts.iter().all(paid)
    }

    /// An amount of each peer, in tokens.
    pub fn texts(&self, amount: impl Fn(&Account) -> u128) -> Vec<String> {
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
    fn settled_means_paid_exactly() {
        let place = Place {
            endpoint: String::new(),
            id: 1,
            token: String::new(),
            stake: String::new(),
            coordinator: String::new(),
            owners: Vec::new(),
        };
        let paid = Account {
            points: 5,
            claimed: 5 * UNITS_PER_POINT,
        };
        let report = MoneyReport {
            place: Some(place),
            accounts: vec![paid; 2],
            epochs: [3, 3],
            ..MoneyReport::default()
        };
        assert!(report.is_settled());
        assert!(
            !MoneyReport {
                place: None,
                ..report.clone()
            }
            .is_settled()
        );
        assert!(
            !MoneyReport {
                epochs: [2, 3],
                ..report.clone()
            }
            .is_settled()
        );
        for claimed in [paid.claimed - 1, paid.claimed + 1] {
            assert!(
                !MoneyReport {
                    accounts: vec![Account { claimed, ..paid }],
                    ..report.clone()
                }
                .is_settled()
            );
        }
        assert_eq!(
            Account {
                points: 2,
                claimed: UNITS_PER_POINT
            }
            .pending(),
            UNITS_PER_POINT
        );
    }
}
