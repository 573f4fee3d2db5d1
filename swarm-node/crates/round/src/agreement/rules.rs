//! The types with which the consensus library speaks of a round.
//!
//! A *height* is a round of the swarm, a *value* is the digest of minutes, a *validator* a voter of
//! the round. The library never sees a key or checks a signature: what it is given was checked.

use std::fmt;
use std::time::Duration;

use malachitebft_core_driver::ThresholdParams;
use malachitebft_core_types::{
    self as types, NilOrVal, Round as Ballot, SignedExtension, Timeout, VoteType, VotingPower,
};
use swarm_identity::digest::{Digest32, hex};
use swarm_identity::key::SignatureBytes;

use super::voters::{Seat, Voters};
use crate::membership::MemberIndex;

/// More than two thirds decide; more than one third are not all hostile.
pub fn thresholds() -> ThresholdParams {
    ThresholdParams::default()
}

/// The family of types.
#[derive(Clone, Debug)]
pub struct Rules;

/// A voter's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Voter(pub MemberIndex);

impl fmt::Display for Voter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "member {}", self.0)
    }
}

impl types::Address for Voter {}

/// A round of the swarm.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Height(pub u64);

impl fmt::Display for Height {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl types::Height for Height {
    const ZERO: Self = Self(0);
    const INITIAL: Self = Self(0);

    fn increment_by(&self, n: u64) -> Self {
        Self(self.0.saturating_add(n))
    }

    fn decrement_by(&self, n: u64) -> Option<Self> {
        self.0.checked_sub(n).map(Self)
    }

    fn as_u64(&self) -> u64 {
        self.0
    }
}

/// The digest of minutes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MinutesDigest(pub Digest32);

impl fmt::Display for MinutesDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl types::Value for MinutesDigest {
    type Id = Self;

    fn id(&self) -> Self {
        *self
    }
}

/// What a proposer says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proposed {
    pub height: Height,
    pub ballot: Ballot,
    pub value: MinutesDigest,
    /// The ballot in which more than two thirds already voted for the value.
    pub polka: Ballot,
    pub voter: Voter,
}

impl types::Proposal<Rules> for Proposed {
    fn height(&self) -> Height {
        self.height
    }

    fn round(&self) -> Ballot {
        self.ballot
    }

    fn value(&self) -> &MinutesDigest {
        &self.value
    }

    fn take_value(self) -> MinutesDigest {
        self.value
    }

    fn pol_round(&self) -> Ballot {
        self.polka
    }

    fn validator_address(&self) -> &Voter {
        &self.voter
    }
}

/// Proposals are never sent in parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoPart;

impl types::ProposalPart<Rules> for NoPart {
    fn is_first(&self) -> bool {
        true
    }

    fn is_last(&self) -> bool {
        true
    }
}

/// What a voter says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cast {
    pub kind: VoteType,
    pub height: Height,
    pub ballot: Ballot,
    pub value: NilOrVal<MinutesDigest>,
    pub voter: Voter,
}

impl types::Vote<Rules> for Cast {
    fn height(&self) -> Height {
        self.height
    }

    fn round(&self) -> Ballot {
        self.ballot
    }

    fn value(&self) -> &NilOrVal<MinutesDigest> {
        &self.value
    }

    fn take_value(self) -> NilOrVal<MinutesDigest> {
        self.value
    }

    fn vote_type(&self) -> VoteType {
        self.kind
    }

    fn validator_address(&self) -> &Voter {
        &self.voter
    }

    fn extension(&self) -> Option<&SignedExtension<Rules>> {
        None
    }

    fn take_extension(&mut self) -> Option<SignedExtension<Rules>> {
        None
    }

    fn extend(self, _: SignedExtension<Rules>) -> Self {
        self
    }
}

/// A voter with its weight.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Weighed {
    voter: Voter,
    weight: VotingPower,
}

impl types::Validator<Rules> for Weighed {
    fn address(&self) -> &Voter {
        &self.voter
    }

    fn public_key(&self) -> &() {
        &()
    }

    fn voting_power(&self) -> VotingPower {
        self.weight
    }
}

/// The voters of a round, ascending by member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Electorate {
    list: Vec<Weighed>,
    total: VotingPower,
}

impl From<&Voters> for Electorate {
    fn from(voters: &Voters) -> Self {
        let weighed = |seat: &Seat| Weighed {
            voter: Voter(seat.member),
            weight: seat.weight,
        };
        Self {
            list: voters.seats().iter().map(weighed).collect(),
            total: voters.total(),
        }
    }
}

impl types::ValidatorSet<Rules> for Electorate {
    fn count(&self) -> usize {
        self.list.len()
    }

    fn total_voting_power(&self) -> VotingPower {
        self.total
    }

    fn get_by_address(&self, voter: &Voter) -> Option<&Weighed> {
        let found = self
            .list
            .binary_search_by_key(voter, |weighed| weighed.voter);
        found.ok().map(|index| &self.list[index])
    }

    fn get_by_index(&self, index: usize) -> Option<&Weighed> {
        self.list.get(index)
    }
}

/// Signatures are checked before the library sees a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checked;

impl types::SigningScheme for Checked {
    type DecodingError = &'static str;
    type Signature = SignatureBytes;
    type PublicKey = ();
    type PrivateKey = ();

    fn decode_signature(bytes: &[u8]) -> Result<SignatureBytes, &'static str> {
        bytes.try_into().map_err(|_| "a signature has 64 bytes")
    }

    fn encode_signature(signature: &SignatureBytes) -> Vec<u8> {
        signature.to_vec()
    }

    fn decode_public_key(_: &[u8]) -> Result<(), &'static str> {
        Ok(())
    }

    fn encode_public_key((): &()) -> Vec<u8> {
        Vec::new()
    }
}

/// Times are kept by the agreement itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Untimed;

impl types::Timeouts<Rules> for Untimed {
    fn duration_for(&self, _: Timeout) -> Duration {
        Duration::ZERO
    }
}

impl types::Context for Rules {
    type Address = Voter;
    type Height = Height;
    type ProposalPart = NoPart;
    type Proposal = Proposed;
    type Validator = Weighed;
    type ValidatorSet = Electorate;
    type Timeouts = Untimed;
    type Value = MinutesDigest;
    type Vote = Cast;
    type Extension = ();
    type SigningScheme = Checked;

    /// Not asked: the driver is told who proposes.
    fn select_proposer<'a>(&self, voters: &'a Electorate, _: Height, _: Ballot) -> &'a Weighed {
        &voters.list[0]
    }

    fn new_proposal(
        &self,
        height: Height,
        ballot: Ballot,
        value: MinutesDigest,
        polka: Ballot,
        voter: Voter,
    ) -> Proposed {
        Proposed {
            height,
            ballot,
            value,
            polka,
            voter,
        }
    }

    fn new_prevote(
        &self,
        height: Height,
        ballot: Ballot,
        value: NilOrVal<MinutesDigest>,
        voter: Voter,
    ) -> Cast {
        cast(VoteType::Prevote, height, ballot, value, voter)
    }

    fn new_precommit(
        &self,
        height: Height,
        ballot: Ballot,
        value: NilOrVal<MinutesDigest>,
        voter: Voter,
    ) -> Cast {
        cast(VoteType::Precommit, height, ballot, value, voter)
    }
}

fn cast(
    kind: VoteType,
    height: Height,
    ballot: Ballot,
    value: NilOrVal<MinutesDigest>,
    voter: Voter,
) -> Cast {
    Cast {
        kind,
        height,
        ballot,
        value,
        voter,
    }
}
