//! The contracts of one swarm: what they are asked, what is sent to them, and what their events
//! say.
//!
//! Reads go through a [`Client`]; [`calls`] are call data for a [`Writer`](crate::writer);
//! [`Event`]s come from the logs that a [`cursor`](crate::cursor) yields. Amounts are in units of
//! the token, times in seconds of block time. What depends on time is asked of the next block: a
//! chain that mines on demand shows an old time in its newest one.

pub mod calls;
mod event;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use alloy::primitives::{Address, B256, U256};
use alloy::sol_types::SolCall;

pub use self::event::{Event, MAX_ANNOUNCEMENT};
use crate::bindings::{SwarmMembers, SwarmRewards, TestToken};
use crate::client::{Call, Client, RpcError};

/// Where the contracts of a swarm are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// The token of stakes, bonds and rewards.
    pub token: Address,
    /// `SwarmMembers`.
    pub members: Address,
    /// `SwarmRewards`.
    pub rewards: Address,
    /// `SwarmSlasher`.
    pub slasher: Address,
}

/// Who owned which node, and with how much stake, at a moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Owners of the nodes that were asked for; a node that is not here was bound to nobody.
    pub owners: BTreeMap<Address, Address>,
    /// Stakes of these owners.
    pub stakes: BTreeMap<Address, U256>,
    /// Stake of everybody.
    pub total: U256,
}

/// The pool of the rewards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pool {
    /// All that was ever paid in.
    pub funded: u128,
    /// What final outcomes have promised, fees included.
    pub committed: u128,
    /// What of that was paid out, fees included.
    pub taken: u128,
}

impl Pool {
    /// What no outcome has promised yet.
    pub fn free(&self) -> u128 {
        self.funded.saturating_sub(self.committed)
    }
}

/// What the points of epochs are worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// The first epoch that is not final.
    pub since: u64,
    /// Units for a point.
    pub worth: u128,
    /// Units for whoever brings the outcome.
    pub fee: u128,
}

/// Where the pending outcome stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// It may be objected to.
    Open,
    /// Nobody objected in time: anybody makes it final.
    Unopposed,
    /// Somebody objected: the court is to be drawn.
    Drawing,
    /// A court sits.
    Court,
    /// Two courts did not decide: anybody ends it.
    Undecided,
}

impl Phase {
    /// The phase of the contract's number; `None` where nothing is pending.
    fn of(number: u8) -> Result<Option<Self>, RpcError> {
        Ok(Some(match number {
            0 => return Ok(None),
            1 => Self::Open,
            2 => Self::Unopposed,
            3 => Self::Drawing,
            4 => Self::Court,
            5 => Self::Undecided,
            other => {
                return Err(RpcError::Malformed {
                    what: "phase()",
                    cause: format!("{other} is no phase"),
                });
            }
        }))
    }
}

/// An outcome that is proposed and not final.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pending {
    /// Its hash.
    pub hash: B256,
    /// Its last epoch.
    pub epoch: u64,
    /// Who proposed it.
    pub proposer: Address,
    /// What the proposer has at stake.
    pub bond: u128,
    /// Where it stands.
    pub phase: Phase,
    /// The last second of the phase, if time ends it.
    pub deadline: Option<u64>,
    /// The objection, if there is one.
    pub dispute: Option<Dispute>,
}

/// An objection, and the court that it led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dispute {
    /// Who objected.
    pub objector: Address,
    /// What the objector has at stake.
    pub bond: u128,
    /// Which of the two courts: 1 or 2.
    pub draw: u8,
    /// The block whose hash draws it.
    pub seed_block: u64,
    /// Its seed; zero until it is drawn.
    pub seed: B256,
    /// Its last second.
    pub deadline: u64,
    /// Most seats that somebody has brought for the proposal.
    pub seats_for: u64,
    /// Most seats that somebody has brought against it.
    pub seats_against: u64,
}

/// The contracts of one swarm.
#[derive(Clone, Debug)]
pub struct Swarm {
    client: Client,
    addresses: Addresses,
}

impl Swarm {
    /// The contracts at these addresses, through this client.
    pub fn new(client: Client, addresses: Addresses) -> Self {
        Self { client, addresses }
    }

    /// Where the contracts are.
    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// The connection.
    pub fn client(&self) -> &Client {
        &self.client
    }

    async fn token<C: SolCall>(&self, call: C) -> Result<C::Return, RpcError> {
        self.ask(self.addresses.token, call).await
    }

    async fn members<C: SolCall>(&self, call: C) -> Result<C::Return, RpcError> {
        self.ask(self.addresses.members, call).await
    }

    async fn rewards<C: SolCall>(&self, call: C) -> Result<C::Return, RpcError> {
        self.ask(self.addresses.rewards, call).await
    }

    async fn ask<C: SolCall>(&self, to: Address, call: C) -> Result<C::Return, RpcError> {
        decode::<C>(&self.client.call(&Call::to(to, call.abi_encode())).await?)
    }

    /// Asks what the answer is in the next block.
    async fn ask_next<C: SolCall>(&self, to: Address, call: C) -> Result<C::Return, RpcError> {
        let asked = Call::to(to, call.abi_encode());
        decode::<C>(&self.client.call_pending(&asked).await?)
    }
}

pub(crate) fn decode<C: SolCall>(answer: &[u8]) -> Result<C::Return, RpcError> {
    C::abi_decode_returns(answer).map_err(|error| RpcError::Malformed {
        what: C::SIGNATURE,
        cause: error.to_string(),
    })
}

// Members: stakes and bindings.
impl Swarm {
    /// The owners of these nodes and their stakes at a time that is past.
    ///
    /// # Errors
    /// [`RpcError`] if the chain does not answer or the time is not past.
    pub async fn snapshot(&self, nodes: &[Address], time: u64) -> Result<Snapshot, RpcError> {
        let timepoint = U256::from(time);
        let mut snapshot = Snapshot {
            total: self
                .past(SwarmMembers::getPastTotalSupplyCall { timepoint })
                .await?,
            ..Snapshot::default()
        };
        for &node in nodes {
            let asked = SwarmMembers::ownerAtCall { node, timepoint };
            let owner = self.past(asked).await?;
            if owner.is_zero() {
                continue;
            }
            snapshot.owners.insert(node, owner);
            if let Entry::Vacant(stake) = snapshot.stakes.entry(owner) {
                let asked = SwarmMembers::getPastVotesCall {
                    account: owner,
                    timepoint,
                };
                stake.insert(self.past(asked).await?);
            }
        }
        Ok(snapshot)
    }

    async fn past<C: SolCall>(&self, call: C) -> Result<C::Return, RpcError> {
        self.ask_next(self.addresses.members, call).await
    }

    /// The account that a node is bound to, zero if none.
    ///
    /// # Errors
    /// [`RpcError`].
    pub async fn owner_of(&self, node: Address) -> Result<Address, RpcError> {
        self.members(SwarmMembers::ownerOfCall { node }).await
    }

    /// How many nodes an owner has.
    ///
    /// # Errors
    /// [`RpcError`].
    pub async fn nodes_of(&self, owner: Address) -> Result<U256, RpcError> {
        self.members(SwarmMembers::nodesOfCall { owner }).await
    }

    /// The nonce that an owner's next binding must carry.
    ///
    /// # Errors
    /// [`RpcError`].
    pub async fn binding_nonce(&self, owner: Address) -> Result<U256, RpcError> {
        self.members(SwarmMembers::noncesCall { owner }).await
    }

    /// What an owner has deposited, what is exiting included.
    ///
    /// # Errors
    /// [`RpcError`].
    pub async fn deposit_of(&self, owner: Address) -> Result<U256, RpcError> {
        self.members(SwarmMembers::balanceOfCall { owner }).await
    }

    /// What an owner's vote weighs at this moment.
    ///
    /// # Errors
    /// [`RpcError`].
    pub async fn votes_of(&self, account: Address) -> Result<U256, RpcError> {
        self.members(SwarmMembers::getVotesCall { account }).await
    }

    /// Who may lock and slash deposits.
    ///
    /// # Errors
    /// [`RpcError`].
    pub async fn slashers(&self) -> Result<Vec<Address>, RpcError> {
        self.members(SwarmMembers::slashersCall {}).await
    }
}

// Rewards: the pool, outcomes and money.
impl Swarm {
    /// The pool.
    ///
    /// # Errors
    /// [`RpcError`].
    pub async fn pool(&self) -> Result<Pool, RpcError> {
        Ok(Pool {
            funded: self.rewards(SwarmRewards::fundedCall {}).await?,
            committed: self.rewards(SwarmRewards::committedCall {}).await?,
            taken: self.rewards(SwarmRewards::totalTakenCall {}).await?,
        })
    }

    /// What so many points of the epochs from the first that is not final to `epoch` are worth.
    ///
    /// # Errors
    /// [`RpcError`]; [`RpcError::Reverted`] if the epoch is final, or is not over.
    pub async fn terms(&self, epoch: u64, points: u128) -> Result<Terms, RpcError> {
        let SwarmRewards::termsReturn { since, worth, fee } =
            self.next(SwarmRewards::termsCall { epoch, points }).await?;
        Ok(Terms { since, worth, fee })
    }

    async fn next<C: SolCall>(&self, call: C) -> Result<C::Return, RpcError> {
        self.ask_next(self.addresses.rewards, call).await
    }

    /// The first epoch that is not final.
    ///
    /// # Errors
    /// [`RpcError`].
    pub async fn next_epoch(&self) -> Result<u64, RpcError> {
        self.rewards(SwarmRewards::nextEpochCall {}).await
    }

    /// Root of the newest final table.
    ///
    /// # Errors
    /// [`RpcError`].
    pub async fn root(&self) -> Result<B256, RpcError> {
        self.rewards(SwarmRewards::rootCall {}).await
    }

    /// What is pending.
    ///
    /// # Errors
    /// [`RpcError`].
    pub async fn pending(&self) -> Result<Option<Pending>, RpcError> {
        let Some(phase) = Phase::of(self.next(SwarmRewards::phaseCall {}).await?)? else {
            return Ok(None);
        };
        let SwarmRewards::pendingReturn {
            hash,
            epoch,
            proposer,
            bond,
            objectionDeadline,
        } = self.next(SwarmRewards::pendingCall {}).await?;
        let dispute = match phase {
            Phase::Open | Phase::Unopposed => None,
            Phase::Drawing | Phase::Court | Phase::Undecided => Some(self.dispute().await?),
        };
        let deadline = match phase {
            Phase::Open => Some(objectionDeadline),
            Phase::Unopposed | Phase::Undecided => None,
            Phase::Drawing | Phase::Court => dispute.map(|dispute| dispute.deadline),
        };
        Ok(Some(Pending {
            hash,
            epoch,
            proposer,
            bond,
            phase,
            deadline,
            dispute,
        }))
    }

    async fn dispute(&self) -> Result<Dispute, RpcError> {
        let SwarmRewards::disputeReturn {
            objector,
            bond,
            drawNumber,
            seedBlock,
            seed,
            deadline,
            seatsFor,
            seatsAgainst,
        } = self.next(SwarmRewards::disputeCall {}).await?;
        Ok(Dispute {
            objector,
            bond,
            draw: drawNumber,
            seed_block: seedBlock.saturating_to(),
            seed,
            deadline,
            seats_for: seatsFor.saturating_to(),
            seats_against: seatsAgainst.saturating_to(),
        })
    }

    /// An owner's seats in the court of a seed, as the contract counts them.
    ///
    /// # Errors
    /// [`RpcError`].
    pub async fn seats_of(&self, seed: B256, owner: Address, epoch: u64) -> Result<u64, RpcError> {
        let asked = SwarmRewards::seatsOfCall { seed, owner, epoch };
        Ok(self.rewards(asked).await?.saturating_to())
    }

    /// What an owner has taken of all that it earned.
    ///
    /// # Errors
    /// [`RpcError`].
    pub async fn taken_by(&self, owner: Address) -> Result<u128, RpcError> {
        self.rewards(SwarmRewards::takenCall { owner }).await
    }

    /// Fees and bonds that wait to be collected by an account.
    ///
    /// # Errors
    /// [`RpcError`].
    pub async fn owed_to(&self, receiver: Address) -> Result<u128, RpcError> {
        self.rewards(SwarmRewards::owedToCall { receiver }).await
    }
}

// The token.
impl Swarm {
    /// The tokens in an account.
    ///
    /// # Errors
    /// [`RpcError`].
    pub async fn tokens_of(&self, account: Address) -> Result<U256, RpcError> {
        self.token(TestToken::balanceOfCall { account }).await
    }

    /// What `spender` may move of an account's tokens.
    ///
    /// # Errors
    /// [`RpcError`].
    pub async fn allowance(&self, owner: Address, spender: Address) -> Result<U256, RpcError> {
        self.token(TestToken::allowanceCall { owner, spender })
            .await
    }

    /// What an owner's permit must carry: the token's domain separator and the owner's nonce;
    /// `None` for a token without permits (ERC-2612).
    ///
    /// # Errors
    /// [`RpcError`] if the chain does not answer.
    pub async fn permit_terms(&self, owner: Address) -> Result<Option<(B256, U256)>, RpcError> {
        let separator = self.token(TestToken::DOMAIN_SEPARATORCall {}).await;
        let nonce = self.token(TestToken::noncesCall { owner }).await;
        match (separator, nonce) {
            (Ok(separator), Ok(nonce)) => Ok(Some((separator, nonce))),
            (Err(error), _) | (_, Err(error)) if error.is_transient() => Err(error),
            _ => Ok(None),
        }
    }
}
