//! What the chain says, and how a reorganisation takes it back.
//!
//! Facts are a log of events with their blocks; what they come to, a [`ChainState`], is folded from
//! the log. So a rollback only cuts the log. At most [`MAX_FACTS`] are remembered one by one; older
//! ones are folded into the state that the log begins with. A rollback below that begins with
//! nothing, and the cursor delivers everything again.

use std::collections::VecDeque;

use contracts::outcome::Outcome;
use contracts::{Address, B256};
use serde::{Deserialize, Serialize};

use super::schedule::EpochNumber;
use super::span::Span;

/// Facts that are remembered one by one.
pub const MAX_FACTS: usize = 256;

/// What an event of the contract says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fact {
    /// Somebody proposed an outcome.
    Proposed {
        /// The outcome.
        outcome: Outcome,
        /// The last second for objections.
        deadline: u64,
    },
    /// Somebody objected to the pending outcome.
    Objected {
        /// Its epoch.
        epoch: EpochNumber,
        /// The block whose hash is the court's seed.
        seed_block: u64,
    },
    /// The court for the pending outcome was drawn.
    Drawn {
        /// Its epoch.
        epoch: EpochNumber,
        /// 1 or 2.
        draw: u8,
        /// What decides the lottery.
        seed: B256,
        /// The court's last second.
        deadline: u64,
    },
    /// Neither court reached a verdict: nothing is pending any more.
    Refused {
        /// The epoch of what was pending.
        epoch: EpochNumber,
    },
    /// An outcome is final.
    Finalised {
        /// The outcome.
        outcome: Outcome,
        /// Units for a point.
        worth: u128,
    },
    /// An owner was paid. Those of other owners than the node's account are left out by the shell.
    Claimed {
        /// The owner.
        owner: Address,
        /// All that it has been paid.
        earned: u128,
    },
    /// A fee or a bond waits to be collected; those of others are left out, too.
    Credited {
        /// By whom.
        receiver: Address,
        /// How much more than before.
        amount: u128,
    },
    /// Fees and bonds were collected; by others is left out, too.
    Collected {
        /// By whom.
        receiver: Address,
        /// How much it was.
        amount: u128,
    },
}

/// A final outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Final {
    /// The outcome.
    pub outcome: Outcome,
    /// Units for a point.
    pub worth: u128,
}

/// A court that was drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Court {
    /// 1 or 2.
    pub draw: u8,
    /// What decided the lottery.
    pub seed: B256,
    /// Its last second.
    pub deadline: u64,
}

/// A proposal that is neither final nor refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pending {
    /// The outcome.
    pub outcome: Outcome,
    /// The last second for objections.
    pub deadline: u64,
    /// The block that seeds the court, if somebody objected.
    pub objected: Option<u64>,
    /// The court, if it was drawn.
    pub court: Option<Court>,
}

/// What the facts come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChainState {
    /// The last final outcome.
    pub last: Option<Final>,
    /// What is pending.
    pub pending: Option<Pending>,
    /// The last court that judged, with the span that it judged.
    pub judged: Option<(Span, Court)>,
    /// Units that the node's account has been paid.
    pub taken: u128,
    /// Units of fees and bonds that the node's account was ever credited.
    pub credited: u128,
    /// Units of those that it has collected.
    pub collected: u128,
}

impl ChainState {
    /// The first epoch that is not final.
    pub fn since(&self) -> EpochNumber {
        self.last
            .map_or(0, |last| last.outcome.epoch.saturating_add(1))
    }

    fn apply(&mut self, fact: &Fact, account: Address) {
        match *fact {
            Fact::Proposed { outcome, deadline } => {
                self.pending = Some(Pending {
                    outcome,
                    deadline,
                    objected: None,
                    court: None,
                });
            }
            Fact::Objected { epoch, seed_block } => {
                if let Some(pending) = self.pending_of(epoch) {
                    pending.objected = Some(seed_block);
                }
            }
            Fact::Drawn {
                epoch,
                draw,
                seed,
                deadline,
            } => self.drawn(
                epoch,
                Court {
                    draw,
                    seed,
                    deadline,
                },
            ),
            Fact::Refused { epoch } => {
                self.pending = self
                    .pending
                    .filter(|pending| pending.outcome.epoch != epoch);
            }
            Fact::Finalised { outcome, worth } => {
                self.last = Some(Final { outcome, worth });
                self.pending = None;
            }
            Fact::Claimed { owner, earned } if owner == account => self.taken = earned,
            Fact::Credited { receiver, amount } if receiver == account => {
                self.credited = self.credited.saturating_add(amount);
            }
            Fact::Collected { receiver, amount } if receiver == account => {
                self.collected = self.collected.saturating_add(amount);
            }
            Fact::Claimed { .. } | Fact::Credited { .. } | Fact::Collected { .. } => {}
        }
    }

    fn drawn(&mut self, epoch: EpochNumber, court: Court) {
        if let Some(pending) = self.pending_of(epoch) {
            pending.court = Some(court);
            self.judged = Some((Span::of(&pending.outcome), court));
        }
    }

    fn pending_of(&mut self, epoch: EpochNumber) -> Option<&mut Pending> {
        self.pending
            .as_mut()
            .filter(|pending| pending.outcome.epoch == epoch)
    }
}

/// What the chain says, as far as it was read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// What the facts before the log come to, and the last block of theirs.
    before: (u64, ChainState),
    log: VecDeque<(u64, Fact)>,
    state: ChainState,
}

impl Facts {
    /// What the facts come to.
    pub fn state(&self) -> &ChainState {
        &self.state
    }

    /// Adds a fact of a block, as the node of this account sees it.
    pub(super) fn add(&mut self, block: u64, fact: Fact, account: Address) {
        self.state.apply(&fact, account);
        self.log.push_back((block, fact));
        while self.log.len() > MAX_FACTS {
            if let Some((block, fact)) = self.log.pop_front() {
                self.before.0 = self.before.0.max(block);
                self.before.1.apply(&fact, account);
            }
        }
    }

    /// What blocks above this one said is void.
    pub(super) fn rollback(&mut self, block: u64, account: Address) {
        self.log.retain(|(at, _)| *at <= block);
        if self.before.0 > block {
            // Deeper than what is remembered: everything comes again.
            *self = Self::default();
        }
        self.state = self.before.1;
        self.log
            .iter()
            .for_each(|(_, fact)| self.state.apply(fact, account));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACCOUNT: Address = Address::repeat_byte(1);

    fn outcome(since: u64, epoch: u64) -> Outcome {
        Outcome {
            since,
            epoch,
            ..Outcome::default()
        }
    }

    fn life(epoch: u64) -> [Fact; 4] {
        let outcome = outcome(epoch, epoch);
        [
            Fact::Proposed {
                outcome,
                deadline: 5,
            },
            Fact::Objected {
                epoch,
                seed_block: 7,
            },
            Fact::Drawn {
                epoch,
                draw: 1,
                seed: B256::repeat_byte(3),
                deadline: 9,
            },
            Fact::Finalised { outcome, worth: 2 },
        ]
    }

    #[test]
    fn a_rollback_leaves_what_stood_before_it() {
        let mut facts = Facts::default();
        let mut stood = vec![facts.clone()];
        for (block, fact) in (1..).zip(life(0).into_iter().chain(life(1))) {
            facts.add(block, fact, ACCOUNT);
            stood.push(facts.clone());
        }
        assert_eq!(facts.state().since(), 2);
        for block in (0..8).rev() {
            facts.rollback(block, ACCOUNT);
            assert_eq!(facts, stood[block as usize], "block {block}");
        }
    }

    #[test]
    fn what_is_not_pending_is_neither_objected_to_nor_judged() {
        let mut facts = Facts::default();
        let [proposed, objected, drawn, finalised] = life(3);
        facts.add(1, objected, ACCOUNT);
        facts.add(1, drawn, ACCOUNT);
        assert_eq!(*facts.state(), ChainState::default());
        facts.add(2, proposed, ACCOUNT);
        facts.add(2, Fact::Refused { epoch: 4 }, ACCOUNT);
        assert!(facts.state().pending.is_some());
        facts.add(3, Fact::Refused { epoch: 3 }, ACCOUNT);
        assert_eq!(facts.state().pending, None);
        facts.add(4, proposed, ACCOUNT);
        facts.add(5, finalised, ACCOUNT);
        assert_eq!((facts.state().pending, facts.state().since()), (None, 4));
    }

    #[test]
    fn facts_are_bounded_and_old_ones_still_count() {
        let mut facts = Facts::default();
        let paid = Fact::Claimed {
            owner: ACCOUNT,
            earned: 5,
        };
        let other = Fact::Claimed {
            owner: Address::ZERO,
            earned: 9,
        };
        facts.add(1, paid, ACCOUNT);
        facts.add(1, other, ACCOUNT);
        for epoch in 0..1_000 {
            for fact in life(epoch) {
                facts.add(10 + epoch, fact, ACCOUNT);
            }
        }
        assert_eq!(facts.log.len(), MAX_FACTS);
        assert_eq!((facts.state().since(), facts.state().taken), (1_000, 5));
        facts.rollback(1_000, ACCOUNT);
        assert_eq!((facts.state().since(), facts.state().taken), (991, 5));
        facts.rollback(10, ACCOUNT);
        assert_eq!(facts, Facts::default(), "too deep: everything comes again");
    }
}
