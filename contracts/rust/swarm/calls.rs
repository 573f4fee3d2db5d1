//! Call data.

use alloy::primitives::{Address, B256, Bytes, U256};
use alloy::sol_types::SolCall;

use crate::bindings::{SwarmMembers, SwarmRewards, SwarmSlasher, TestToken};
use crate::outcome::{Outcome, Vote, pack};

/// A signature by which a token lets somebody move units (ERC-2612).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Permit {
    /// The last second in which it counts.
    pub deadline: U256,
    /// `r ‖ s ‖ v`.
    pub signature: [u8; 65],
}

impl Permit {
    fn parts(&self) -> (u8, B256, B256) {
        let [bytes @ .., v] = self.signature;
        let (r, s) = bytes.split_at(32);
        (v, B256::from_slice(r), B256::from_slice(s))
    }
}

/// All that an owner ever earned, with the proof of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The owner.
    pub owner: Address,
    /// Units that it ever earned.
    pub earned: u128,
    /// Siblings from its leaf to the root.
    pub proof: Vec<B256>,
}

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

/// `SwarmMembers.deposit`.
pub fn deposit(owner: Address, amount: U256) -> Bytes {
    encode(SwarmMembers::depositCall { owner, amount })
}

/// `SwarmMembers.depositWithPermit`: no approval is needed before.
pub fn deposit_with_permit(owner: Address, amount: U256, permit: &Permit) -> Bytes {
    let (v, r, s) = permit.parts();
    encode(SwarmMembers::depositWithPermitCall {
        owner,
        amount,
        deadline: permit.deadline,
        v,
        r,
        s,
    })
}

/// `SwarmMembers.bind`, with the node's uncompressed public key (x ‖ y).
pub fn bind(
    owner: Address,
    key: &[u8; 64],
    expiry: U256,
    by_owner: &[u8; 65],
    by_node: &[u8; 65],
) -> Bytes {
    let (x, y) = key.split_at(32);
    encode(SwarmMembers::bindCall {
        owner,
        x: B256::from_slice(x),
        y: B256::from_slice(y),
        expiry,
        ownerSignature: Bytes::copy_from_slice(by_owner),
        nodeSignature: Bytes::copy_from_slice(by_node),
    })
}

/// `SwarmMembers.unbind`.
pub fn unbind(node: Address) -> Bytes {
    encode(SwarmMembers::unbindCall { node })
}

/// `SwarmMembers.announce`, with the node's uncompressed public key (x ‖ y).
pub fn announce(key: &[u8; 64], addresses: &[u8]) -> Bytes {
    let (x, y) = key.split_at(32);
    encode(SwarmMembers::announceCall {
        x: B256::from_slice(x),
        y: B256::from_slice(y),
        addresses: Bytes::copy_from_slice(addresses),
    })
}

/// `SwarmRewards.fund`.
pub fn fund(amount: U256) -> Bytes {
    encode(SwarmRewards::fundCall { amount })
}

/// `SwarmRewards.fundWithPermit`: no approval is needed before.
pub fn fund_with_permit(amount: U256, permit: &Permit) -> Bytes {
    let (v, r, s) = permit.parts();
    encode(SwarmRewards::fundWithPermitCall {
        amount,
        deadline: permit.deadline,
        v,
        r,
        s,
    })
}

/// `SwarmRewards.propose`; the bond must be approved.
pub fn propose(outcome: &Outcome) -> Bytes {
    let outcome = outcome.into();
    encode(SwarmRewards::proposeCall { outcome })
}

/// `SwarmRewards.object` to the pending outcome with this hash; the bond must be approved.
pub fn object(hash: B256) -> Bytes {
    encode(SwarmRewards::objectCall { hash })
}

/// `SwarmRewards.draw`.
pub fn draw() -> Bytes {
    encode(SwarmRewards::drawCall {})
}

/// `SwarmRewards.judge`.
pub fn judge(outcome: &Outcome, votes: impl IntoIterator<Item = Vote>) -> Bytes {
    encode(SwarmRewards::judgeCall {
        outcome: outcome.into(),
        votes: pack(votes),
    })
}

/// `SwarmRewards.finalise`: nobody has objected in time.
pub fn finalise(outcome: &Outcome) -> Bytes {
    let outcome = outcome.into();
    encode(SwarmRewards::finaliseCall { outcome })
}

/// `SwarmRewards.refuse`: two courts have not decided.
pub fn refuse() -> Bytes {
    encode(SwarmRewards::refuseCall {})
}

/// `SwarmRewards.finaliseFast`, with votes of more than two thirds of the stake.
pub fn finalise_fast(outcome: &Outcome, votes: impl IntoIterator<Item = Vote>) -> Bytes {
    encode(SwarmRewards::finaliseFastCall {
        outcome: outcome.into(),
        votes: pack(votes),
    })
}

/// `SwarmRewards.claim`.
pub fn claim(claims: impl IntoIterator<Item = Claim>) -> Bytes {
    let claims = claims
        .into_iter()
        .map(
            |Claim {
                 owner,
                 earned,
                 proof,
             }| SwarmRewards::Claim {
                owner,
                earned,
                proof,
            },
        )
        .collect();
    encode(SwarmRewards::claimCall { claims })
}

/// `SwarmRewards.collect`: fees and bonds of the sender.
pub fn collect() -> Bytes {
    encode(SwarmRewards::collectCall {})
}

/// `SwarmSlasher.slashContradiction`: one owner's votes for two outcomes of the same epochs.
pub fn slash_contradiction(first: (&Outcome, Vote), second: (&Outcome, Vote)) -> Bytes {
    encode(SwarmSlasher::slashContradictionCall {
        first: first.0.into(),
        firstVote: pack([first.1]),
        second: second.0.into(),
        secondVote: pack([second.1]),
    })
}

/// `SwarmSlasher.slashLosers`: owners whose votes in a court were for this outcome, and another
/// became final.
pub fn slash_losers(outcome: &Outcome, votes: impl IntoIterator<Item = Vote>) -> Bytes {
    encode(SwarmSlasher::slashLosersCall {
        outcome: outcome.into(),
        votes: pack(votes),
    })
}

/// Each contract's bindings have a type of their own with the fields of [`Outcome`].
macro_rules! from_outcome {
    ($($contract:ident),*) => {$(
        impl From<&Outcome> for $contract::Outcome {
            fn from(outcome: &Outcome) -> Self {
                let Outcome {
                    since,
                    epoch,
                    root,
                    points,
                    certificates,
                } = *outcome;
                Self {
                    since,
                    epoch,
                    root,
                    points,
                    certificates,
                }
            }
        }
    )*};
}

from_outcome!(SwarmRewards, SwarmSlasher);

impl From<SwarmRewards::Outcome> for Outcome {
    fn from(outcome: SwarmRewards::Outcome) -> Self {
        let SwarmRewards::Outcome {
            since,
            epoch,
            root,
            points,
            certificates,
        } = outcome;
        Self {
            since,
            epoch,
            root,
            points,
            certificates,
        }
    }
}

fn encode(call: impl SolCall) -> Bytes {
    call.abi_encode().into()
}
