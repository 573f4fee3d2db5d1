//! The machine of one node.

use std::sync::Arc;

use contracts::earnings::EarningsTable;
use contracts::typed::Domain;
use contracts::{Address, B256};

use super::event::{Input, Now, Output};
use super::facts::Facts;
use super::phase::EpochStatus;
use super::schedule::Schedule;

/// What a node's people decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Units below which a reward waits for more, as the claim would cost more gas than it is
    /// worth; 0 counts as 1.
    pub claim_from: u128,
    /// The node proposes and objects with a bond. Without it, it votes, makes final and claims.
    pub bonds: bool,
}

/// What the node's account has, in units of the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Account {
    /// All that it ever earned by the newest final table that the node has.
    pub earned: u128,
    /// What it was paid.
    pub taken: u128,
}

/// Settlement at one node.
#[derive(Debug)]
pub struct Settler {
    me: Address,
    account: Address,
    schedule: Schedule,
    domain: Domain,
    policy: Policy,
    facts: Facts,
}

impl Settler {
    /// A node with this node key's address that settles on a contract, from its first epoch on, and
    /// claims what this account earns.
    pub fn new(
        me: Address,
        account: Address,
        schedule: Schedule,
        domain: Domain,
        policy: Policy,
    ) -> Self {
        Self {
            me,
            account,
            schedule,
            domain,
            policy,
            facts: Facts::default(),
        }
    }

    /// Takes an input and says what is to be done.
    pub fn handle(&mut self, _input: Input, _now: Now) -> Vec<Output> {
        Vec::new()
    }

    /// What the chain says, as far as it was read.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// Where the node's signatures count.
    pub fn domain(&self) -> &Domain {
        &self.domain
    }

    /// Every epoch that the node knows something of.
    pub fn epochs(&self, _now: Now) -> Vec<EpochStatus> {
        Vec::new()
    }

    /// What the node's account has.
    pub fn account(&self) -> Account {
        let _ = (self.me, self.account, self.schedule, self.policy);
        Account {
            earned: 0,
            taken: 0,
        }
    }

    /// The table with this root, for whoever lacks it.
    pub fn table(&self, _root: B256) -> Option<&Arc<EarningsTable>> {
        None
    }
}
