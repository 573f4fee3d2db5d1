//! The outcome of epochs: what owners sign, in the form that travels and that the contract takes.
//!
//! An [`Outcome`] says what the epochs `since..=epoch` came to. One owner's [`Vote`] is the
//! signature of one of its node keys over the outcome *and the owner* (EIP-712): 84 bytes,
//! `owner ‖ r ‖ vs` (EIP-2098). Calls carry votes packed, in ascending order of their owners, one
//! for each; the contract passes over what is not a vote.
//!
//! ```
//! use contracts::outcome::{Outcome, Vote, pack, unpack};
//! use contracts::typed::Domain;
//! use contracts::{Address, B256, PrivateKeySigner};
//! use alloy::signers::SignerSync;
//!
//! let domain = Domain { chain_id: 31_337, contract: Address::repeat_byte(7) };
//! let outcome = Outcome { since: 0, epoch: 2, points: 90, ..Outcome::default() };
//! let node = PrivateKeySigner::from_bytes(&B256::repeat_byte(1))?;
//! let owner = Address::repeat_byte(9);
//! let signature = node.sign_hash_sync(&domain.outcome(owner, &outcome))?.as_bytes();
//!
//! let vote = Vote::new(owner, &signature).ok_or("a low s and a v of 27 or 28")?;
//! assert_eq!(vote.signer(&domain, &outcome), Some(node.address()));
//! assert_eq!(unpack(&pack([vote])), [vote]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use alloy::primitives::{Address, B256, Bytes, keccak256};
use alloy::sol_types::{SolStruct, SolValue};
use serde::{Deserialize, Serialize};

use crate::typed::{self, Domain};

/// What is signed, under the name that it has in EIP-712.
mod signed {
    alloy::sol! {
        /// What epochs came to, as one owner says it.
        struct Outcome {
            address owner;
            uint64 since;
            uint64 epoch;
            bytes32 root;
            uint128 points;
            bytes32 certificates;
        }
    }
}

/// Bytes of a vote.
pub const VOTE_BYTES: usize = 84;

/// What epochs came to.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Outcome {
    /// The first epoch: the one after the last that was final.
    pub since: u64,
    /// The last epoch.
    pub epoch: u64,
    /// Root of the table of all that owners ever earned.
    pub root: B256,
    /// Points of these epochs together.
    pub points: u128,
    /// Digest over the certificates of all decided rounds of these epochs.
    pub certificates: B256,
}

impl Outcome {
    /// What the contract knows the outcome by.
    pub fn hash(&self) -> B256 {
        keccak256(
            (
                self.since,
                self.epoch,
                self.root,
                self.points,
                self.certificates,
            )
                .abi_encode(),
        )
    }

    /// What a judge signs who holds this proposal false without holding anything else right: an
    /// outcome without root and points that names the proposal.
    pub fn refusal(&self) -> Self {
        Self {
            root: B256::ZERO,
            points: 0,
            certificates: self.hash(),
            ..*self
        }
    }

    /// True for the refusal of a proposal.
    pub fn is_refusal(&self) -> bool {
        self.root.is_zero() && self.points == 0
    }
}

impl Domain {
    /// What the nodes of `owner` sign under the outcome of epochs.
    pub fn outcome(&self, owner: Address, outcome: &Outcome) -> B256 {
        let Outcome {
            since,
            epoch,
            root,
            points,
            certificates,
        } = *outcome;
        signed::Outcome {
            owner,
            since,
            epoch,
            root,
            points,
            certificates,
        }
        .eip712_signing_hash(&self.separator())
    }
}

/// One owner's signature under an outcome, by one of its node keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Vote {
    /// In whose name.
    pub owner: Address,
    /// `r ‖ vs`: the highest bit of `vs` is the parity (EIP-2098).
    pub signature: [u8; 64],
}

impl Vote {
    /// The vote with a signature `r ‖ s ‖ v`; `None` for a `v` other than 27 and 28, or an `s`
    /// whose highest bit is set.
    pub fn new(owner: Address, signature: &[u8; 65]) -> Option<Self> {
        let [bytes @ .., v] = signature;
        if !matches!(v, 27 | 28) || bytes[32] & 0x80 != 0 {
            return None;
        }
        let mut packed = *bytes;
        packed[32] |= (v - 27) << 7;
        Some(Self {
            owner,
            signature: packed,
        })
    }

    /// Reads a vote.
    pub fn from_bytes(bytes: &[u8; VOTE_BYTES]) -> Self {
        let (owner, rest) = bytes.split_at(20);
        let mut signature = [0; 64];
        signature.copy_from_slice(rest);
        Self {
            owner: Address::from_slice(owner),
            signature,
        }
    }

    /// The vote as calls carry it.
    pub fn to_bytes(&self) -> [u8; VOTE_BYTES] {
        let mut bytes = [0; VOTE_BYTES];
        bytes[..20].copy_from_slice(self.owner.as_slice());
        bytes[20..].copy_from_slice(&self.signature);
        bytes
    }

    /// The signature as `r ‖ s ‖ v`.
    pub fn recoverable(&self) -> [u8; 65] {
        let mut whole = [0; 65];
        whole[..64].copy_from_slice(&self.signature);
        whole[64] = 27 + (whole[32] >> 7);
        whole[32] &= 0x7f;
        whole
    }

    /// The address of the node key that signed this outcome for the vote's owner; `None` for what
    /// the contract takes for no signature. A vote for another outcome has another signer, whom
    /// nobody knows.
    pub fn signer(&self, domain: &Domain, outcome: &Outcome) -> Option<Address> {
        typed::signer(&domain.outcome(self.owner, outcome), &self.recoverable())
    }
}

/// Votes as calls carry them: in ascending order of their owners, the first of each owner.
pub fn pack(votes: impl IntoIterator<Item = Vote>) -> Bytes {
    let mut votes: Vec<Vote> = votes.into_iter().collect();
    votes.sort_by_key(|vote| vote.owner);
    votes.dedup_by_key(|vote| vote.owner);
    let bytes: Vec<u8> = votes.iter().flat_map(Vote::to_bytes).collect();
    bytes.into()
}

/// The votes of a call; bytes that make no whole vote are left out.
pub fn unpack(bytes: &[u8]) -> Vec<Vote> {
    let (votes, _) = bytes.as_chunks::<VOTE_BYTES>();
    votes.iter().map(Vote::from_bytes).collect()
}

#[cfg(test)]
mod tests {
    use alloy::signers::SignerSync;
    use alloy::signers::local::PrivateKeySigner;
    use proptest::prelude::*;

    use super::*;

    const DOMAIN: Domain = Domain {
        chain_id: 31_337,
        contract: Address::repeat_byte(7),
    };

    fn outcome(points: u128) -> Outcome {
        Outcome {
            since: 2,
            epoch: 3,
            root: B256::repeat_byte(1),
            points,
            certificates: B256::repeat_byte(2),
        }
    }

    fn vote(owner: u8, key: u8, points: u128) -> Vote {
        let key = PrivateKeySigner::from_bytes(&B256::repeat_byte(key)).unwrap();
        let owner = Address::repeat_byte(owner);
        let digest = DOMAIN.outcome(owner, &outcome(points));
        let signature = key.sign_hash_sync(&digest).unwrap().as_bytes();
        let vote = Vote::new(owner, &signature).unwrap();
        assert_eq!(vote.recoverable(), signature);
        assert_eq!(vote.signer(&DOMAIN, &outcome(points)), Some(key.address()));
        vote
    }

    #[test]
    fn a_vote_names_its_signer_for_its_owner_and_outcome_alone() {
        for points in 0..20 {
            let vote = vote(5, 9, points);
            let signer = vote.signer(&DOMAIN, &outcome(points));
            let stolen = Vote {
                owner: Address::repeat_byte(6),
                ..vote
            };
            assert_ne!(stolen.signer(&DOMAIN, &outcome(points)), signer);
            assert_ne!(vote.signer(&DOMAIN, &outcome(points + 1)), signer);
        }
    }

    #[test]
    fn votes_are_packed_by_owner_one_for_each() {
        let [a, b, c] = [vote(3, 1, 1), vote(1, 2, 1), vote(3, 3, 1)];
        let packed = pack([a, b, c]);
        assert_eq!(packed.len(), 2 * VOTE_BYTES);
        assert_eq!(unpack(&packed), [b, a]);
        assert_eq!(unpack(&packed[..VOTE_BYTES + 5]), [b]);
    }

    #[test]
    fn only_signatures_that_contracts_take_become_votes() {
        for v in [0, 1, 26, 29, 255] {
            assert_eq!(Vote::new(Address::ZERO, &[v; 65]), None);
        }
        let mut high = [0x80; 65];
        high[64] = 27;
        assert_eq!(Vote::new(Address::ZERO, &high), None);
    }

    proptest! {
        #[test]
        fn bytes_of_strangers_never_panic(bytes: Vec<u8>) {
            for vote in unpack(&bytes) {
                let _ = vote.signer(&DOMAIN, &outcome(1));
                prop_assert_eq!(Vote::from_bytes(&vote.to_bytes()), vote);
            }
        }
    }
}
