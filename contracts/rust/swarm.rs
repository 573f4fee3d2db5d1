//! The contracts of one swarm: what they are asked, what is sent to them, and what their events
//! say.
//!
//! Reads go through a [`Client`]; [`calls`] are call data for a [`Writer`](crate::writer);
//! [`Event`]s come from the logs that a [`cursor`](crate::cursor) yields. Amounts are in units of
//! the token, times in seconds of block time.

use alloy::primitives::{Address, B256, Bytes, Log, U256};
use alloy::sol_types::{SolCall, SolEvent};

use crate::bindings::{SwarmCoordinator, SwarmStake, TestToken};
use crate::client::{Call, Client, RpcError};

/// The outcome of an epoch, which the members sign.
pub use crate::bindings::SwarmCoordinator::Scores;

/// Where the contracts of a swarm are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Addresses {
    /// The token of stakes and rewards.
    pub token: Address,
    /// `SwarmStake`.
    pub stake: Address,
    /// `SwarmCoordinator`.
    pub coordinator: Address,
}

/// A node's seat in a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seat {
    /// The account that the node is bound to.
    pub owner: Address,
    /// The owner's stake.
    pub stake: U256,
}

/// Who was bound, and with how much stake, at a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Seats in the order of the nodes that were asked for; `None` for a node that is bound to
    /// nobody.
    pub seats: Vec<Option<Seat>>,
    /// Stake of everybody.
    pub total: U256,
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

    /// The owners of these nodes and their stake at a time that is past.
    ///
    /// # Errors
    /// [`RpcError`] if the chain does not answer or the time is not past.
    pub async fn snapshot(&self, nodes: &[Address], time: u64) -> Result<Snapshot, RpcError> {
        let total = self.ask_past(SwarmStake::totalStakeAtCall { time }).await?;
        let mut seats = Vec::with_capacity(nodes.len());
        for node in nodes {
            seats.push(self.seat(*node, time).await?);
        }
        Ok(Snapshot { seats, total })
    }

    async fn seat(&self, node: Address, time: u64) -> Result<Option<Seat>, RpcError> {
        let owner = self.owner_of(node).await?;
        if owner.is_zero() {
            return Ok(None);
        }
        let stake = self
            .ask_past(SwarmStake::stakeAtCall { owner, time })
            .await?;
        Ok(Some(Seat { owner, stake }))
    }

    /// The account that a node is bound to, zero if none.
    ///
    /// # Errors
    /// [`RpcError`].
    pub async fn owner_of(&self, node: Address) -> Result<Address, RpcError> {
        self.ask(
            self.addresses.coordinator,
            SwarmCoordinator::ownerOfCall { node },
        )
        .await
    }

    /// The nonce that an owner's next binding must carry.
    ///
    /// # Errors
    /// [`RpcError`].
    pub async fn binding_nonce(&self, owner: Address) -> Result<U256, RpcError> {
        self.ask(
            self.addresses.coordinator,
            SwarmCoordinator::noncesCall { owner },
        )
        .await
    }

    /// The money that is not reserved for any epoch.
    ///
    /// # Errors
    /// [`RpcError`].
    pub async fn pool(&self) -> Result<U256, RpcError> {
        self.ask(self.addresses.coordinator, SwarmCoordinator::poolCall {})
            .await
    }

    /// The stake of an owner that votes.
    ///
    /// # Errors
    /// [`RpcError`].
    pub async fn stake_of(&self, owner: Address) -> Result<U256, RpcError> {
        self.ask(self.addresses.stake, SwarmStake::stakeOfCall { owner })
            .await
    }

    /// The tokens in an account.
    ///
    /// # Errors
    /// [`RpcError`].
    pub async fn tokens_of(&self, account: Address) -> Result<U256, RpcError> {
        self.ask(self.addresses.token, TestToken::balanceOfCall { account })
            .await
    }

    /// Asks the stake contract about the past. A chain that mines on demand may show a newest block
    /// from before that time, so the question is put to the next one.
    async fn ask_past<C: SolCall>(&self, call: C) -> Result<C::Return, RpcError> {
        decode::<C>(
            &self
                .client
                .call_pending(&Call::to(self.addresses.stake, call.abi_encode()))
                .await?,
        )
    }

    async fn ask<C: SolCall>(&self, to: Address, call: C) -> Result<C::Return, RpcError> {
        decode::<C>(&self.client.call(&Call::to(to, call.abi_encode())).await?)
    }
}

fn decode<C: SolCall>(answer: &[u8]) -> Result<C::Return, RpcError> {
    C::abi_decode_returns(answer).map_err(|error| RpcError::Malformed {
        what: C::SIGNATURE,
        cause: error.to_string(),
    })
}

/// Call data.
pub mod calls {
    use super::*;

    /// `TestToken.mint`: creates tokens of a dev chain.
    pub fn mint(to: Address, amount: U256) -> Bytes {
        encode(TestToken::mintCall { to, amount })
    }

    /// `IERC20.approve`: lets `spender` take up to `amount`.
    pub fn approve(spender: Address, amount: U256) -> Bytes {
        encode(TestToken::approveCall {
            spender,
            value: amount,
        })
    }

    /// `SwarmStake.deposit`.
    pub fn deposit(owner: Address, amount: U256) -> Bytes {
        encode(SwarmStake::depositCall { owner, amount })
    }

    /// `SwarmCoordinator.fund`.
    pub fn fund(amount: U256) -> Bytes {
        encode(SwarmCoordinator::fundCall { amount })
    }

    /// `SwarmCoordinator.bind`, with the node's uncompressed public key (x ‖ y).
    pub fn bind(
        owner: Address,
        key: &[u8; 64],
        expiry: U256,
        by_owner: &[u8; 65],
        by_node: &[u8; 65],
    ) -> Bytes {
        let (x, y) = key.split_at(32);
        let (owner_signature, node_signature) = (
            Bytes::copy_from_slice(by_owner),
            Bytes::copy_from_slice(by_node),
        );
        encode(SwarmCoordinator::bindCall {
            owner,
            x: B256::from_slice(x),
            y: B256::from_slice(y),
            expiry,
            ownerSignature: owner_signature,
            nodeSignature: node_signature,
        })
    }

    /// `SwarmCoordinator.submitScores`; the signatures in the order of their owners.
    pub fn submit(scores: Scores, signatures: &[[u8; 65]]) -> Bytes {
        let signatures = signatures
            .iter()
            .map(|signature| Bytes::copy_from_slice(signature))
            .collect();
        encode(SwarmCoordinator::submitScoresCall { scores, signatures })
    }

    /// `SwarmCoordinator.claim` of one reward.
    pub fn claim(epoch: u64, index: u32, node: Address, points: u128, proof: Vec<B256>) -> Bytes {
        let claim = SwarmCoordinator::Claim {
            epoch,
            index,
            node,
            points,
            proof,
        };
        encode(SwarmCoordinator::claimCall {
            claims: vec![claim],
        })
    }

    fn encode(call: impl SolCall) -> Bytes {
        call.abi_encode().into()
    }
}

/// What the coordinator says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A node belongs to an owner.
    Bound {
        /// The owner.
        owner: Address,
        /// The node's compressed public key.
        public_key: Bytes,
    },
    /// The scores of an epoch are final.
    Accepted {
        /// The epoch.
        epoch: u64,
        /// Root of the claims.
        root: B256,
        /// Last second for claims.
        deadline: u64,
    },
    /// A node's reward was paid.
    Claimed {
        /// The epoch.
        epoch: u64,
        /// The node.
        node: Address,
        /// To whom.
        owner: Address,
        /// How much.
        amount: U256,
    },
}

impl Event {
    /// Reads a log of the coordinator; `None` for events that settlement does not need, and for
    /// malformed ones.
    pub fn read(log: &Log) -> Option<Self> {
        match *log.topics().first()? {
            SwarmCoordinator::Bound::SIGNATURE_HASH => {
                let event = SwarmCoordinator::Bound::decode_log(log).ok()?.data;
                Some(Self::Bound {
                    owner: event.owner,
                    public_key: event.publicKey,
                })
            }
            SwarmCoordinator::ScoresAccepted::SIGNATURE_HASH => {
                let event = SwarmCoordinator::ScoresAccepted::decode_log(log).ok()?.data;
                Some(Self::Accepted {
                    epoch: event.epoch,
                    root: event.root,
                    deadline: event.deadline,
                })
            }
            SwarmCoordinator::Claimed::SIGNATURE_HASH => {
                let SwarmCoordinator::Claimed {
                    epoch,
                    node,
                    owner,
                    amount,
                    ..
                } = SwarmCoordinator::Claimed::decode_log(log).ok()?.data;
                Some(Self::Claimed {
                    epoch,
                    node,
                    owner,
                    amount,
                })
            }
            _ => None,
        }
    }
}
