//! What the contracts say.

use alloy::primitives::{Address, B256, Bytes, Log};
use alloy::sol_types::SolEvent;

use crate::bindings::{SwarmMembers, SwarmRewards};
use crate::outcome::Outcome;

/// Longest announcement that the contract takes, in bytes.
pub const MAX_ANNOUNCEMENT: usize = 1024;

/// An event of `SwarmRewards` or `SwarmMembers`, as far as settlement and newcomers need it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A node belongs to an owner.
    Bound {
        /// The owner.
        owner: Address,
        /// The node.
        node: Address,
        /// The node's compressed public key.
        public_key: Bytes,
    },
    /// A node belongs to nobody any more.
    Unbound {
        /// The node.
        node: Address,
    },
    /// An owner says where its node is to be found.
    Announced {
        /// The node.
        node: Address,
        /// The node's compressed public key.
        public_key: Bytes,
        /// Whatever the owner wrote, of at most [`MAX_ANNOUNCEMENT`] bytes.
        addresses: Bytes,
    },
    /// An outcome is proposed.
    Proposed {
        /// The outcome.
        outcome: Outcome,
        /// By whom.
        proposer: Address,
        /// The last second for objections.
        deadline: u64,
    },
    /// Somebody objected to what is pending.
    Objected {
        /// Its last epoch.
        epoch: u64,
        /// By whom.
        objector: Address,
        /// The block whose hash draws the court.
        seed_block: u64,
    },
    /// The block whose hash draws the court is another one: the second court, or one whose hash
    /// nobody used in time.
    SeedBlockSet {
        /// The last epoch of what is pending.
        epoch: u64,
        /// 1 or 2.
        draw: u8,
        /// The block.
        seed_block: u64,
    },
    /// A court is drawn.
    Drawn {
        /// The last epoch of what is pending.
        epoch: u64,
        /// 1 or 2.
        draw: u8,
        /// What decides the lottery.
        seed: B256,
        /// The court's last second.
        deadline: u64,
    },
    /// Somebody brought votes to the court.
    Judged {
        /// The last epoch of what is pending.
        epoch: u64,
        /// Hash of the outcome that the votes are for.
        hash: B256,
        /// Who brought them.
        judge: Address,
        /// Seats that this judge has brought for it so far.
        total: u64,
    },
    /// What was pending is refused.
    Refused {
        /// Its last epoch.
        epoch: u64,
        /// Its hash.
        hash: B256,
    },
    /// An outcome is final.
    Finalised {
        /// The outcome.
        outcome: Outcome,
        /// Units for a point.
        worth: u128,
        /// Units for whoever brought it.
        fee: u128,
    },
    /// An owner was paid.
    Claimed {
        /// The owner.
        owner: Address,
        /// What it was paid.
        amount: u128,
        /// All that it has been paid.
        earned: u128,
    },
    /// A fee or a bond waits to be collected.
    Credited {
        /// By whom.
        receiver: Address,
        /// How much more than before.
        amount: u128,
    },
    /// Somebody has collected its fees and bonds.
    Collected {
        /// Who.
        receiver: Address,
        /// How much it was.
        amount: u128,
    },
}

impl Event {
    /// Reads a log of the contracts; `None` for events that nobody here needs, and for malformed
    /// ones.
    pub fn read(log: &Log) -> Option<Self> {
        match *log.topics().first()? {
            SwarmMembers::Bound::SIGNATURE_HASH => {
                let event = decode::<SwarmMembers::Bound>(log)?;
                Some(Self::Bound {
                    owner: event.owner,
                    node: event.node,
                    public_key: event.publicKey,
                })
            }
            SwarmMembers::Unbound::SIGNATURE_HASH => {
                let event = decode::<SwarmMembers::Unbound>(log)?;
                Some(Self::Unbound { node: event.node })
            }
            SwarmMembers::Announced::SIGNATURE_HASH => {
                let event = decode::<SwarmMembers::Announced>(log)?;
                Some(Self::Announced {
                    node: event.node,
                    public_key: event.publicKey,
                    addresses: event.addresses,
                })
            }
            SwarmRewards::Proposed::SIGNATURE_HASH => {
                let event = decode::<SwarmRewards::Proposed>(log)?;
                Some(Self::Proposed {
                    outcome: event.outcome.into(),
                    proposer: event.proposer,
                    deadline: event.objectionDeadline,
                })
            }
            SwarmRewards::Refused::SIGNATURE_HASH => {
                let event = decode::<SwarmRewards::Refused>(log)?;
                Some(Self::Refused {
                    epoch: event.epoch,
                    hash: event.hash,
                })
            }
            SwarmRewards::Finalised::SIGNATURE_HASH => {
                let event = decode::<SwarmRewards::Finalised>(log)?;
                Some(Self::Finalised {
                    outcome: event.outcome.into(),
                    worth: event.worth,
                    fee: event.fee,
                })
            }
            SwarmRewards::Claimed::SIGNATURE_HASH => {
                let event = decode::<SwarmRewards::Claimed>(log)?;
                Some(Self::Claimed {
                    owner: event.owner,
                    amount: event.amount,
                    earned: event.earned,
                })
            }
            SwarmRewards::Credited::SIGNATURE_HASH => {
                let event = decode::<SwarmRewards::Credited>(log)?;
                Some(Self::Credited {
                    receiver: event.receiver,
                    amount: event.amount,
                })
            }
            SwarmRewards::Collected::SIGNATURE_HASH => {
                let event = decode::<SwarmRewards::Collected>(log)?;
                Some(Self::Collected {
                    receiver: event.receiver,
                    amount: event.amount,
                })
            }
            _ => Self::of_dispute(log),
        }
    }

    fn of_dispute(log: &Log) -> Option<Self> {
        match *log.topics().first()? {
            SwarmRewards::Objected::SIGNATURE_HASH => {
                let event = decode::<SwarmRewards::Objected>(log)?;
                Some(Self::Objected {
                    epoch: event.epoch,
                    objector: event.objector,
                    seed_block: event.seedBlock.saturating_to(),
                })
            }
            SwarmRewards::SeedBlockSet::SIGNATURE_HASH => {
                let event = decode::<SwarmRewards::SeedBlockSet>(log)?;
                Some(Self::SeedBlockSet {
                    epoch: event.epoch,
                    draw: event.draw,
                    seed_block: event.seedBlock.saturating_to(),
                })
            }
            SwarmRewards::Drawn::SIGNATURE_HASH => {
                let event = decode::<SwarmRewards::Drawn>(log)?;
                Some(Self::Drawn {
                    epoch: event.epoch,
                    draw: event.draw,
                    seed: event.seed,
                    deadline: event.deadline,
                })
            }
            SwarmRewards::Judged::SIGNATURE_HASH => {
                let event = decode::<SwarmRewards::Judged>(log)?;
                Some(Self::Judged {
                    epoch: event.epoch,
                    hash: event.outcome,
                    judge: event.judge,
                    total: event.total.saturating_to(),
                })
            }
            _ => None,
        }
    }
}

fn decode<E: SolEvent>(log: &Log) -> Option<E> {
    Some(E::decode_log(log).ok()?.data)
}
