//! The proof that a round is decided: it needs no witness and never expires.
//!
//! ```text
//! round u64 │ ballot u16 │ minutes 32 bytes │ n u16 │ n × (member u16 │ signature 64 bytes)
//! ```
//! Numbers are little-endian. A signature is the one under the member's precommit, whose envelope
//! follows from the rest ([`Vote::envelope`]).

use swarm_identity::digest::Digest32;
use swarm_identity::key::{SIGNATURE_BYTES, SignatureBytes, SignatureMemo};
use thiserror::Error;

use super::vote::Vote;
use super::voters::Voters;
use crate::clock::Round;
use crate::membership::MemberIndex;
use crate::payload::Kind;
use crate::transcript::RoundPlan;

const HEAD_BYTES: usize = 8 + 2 + 32 + 2;
const ENTRY_BYTES: usize = 2 + SIGNATURE_BYTES;

/// Precommits of more than two thirds of a round's weight for the same minutes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// The round.
    pub round: Round,
    /// The ballot in which it was decided.
    pub ballot: u16,
    /// Digest of the decided minutes.
    pub minutes: Digest32,
    /// Signatures, ascending by member.
    pub signatures: Vec<(MemberIndex, SignatureBytes)>,
}

/// Why a certificate proves nothing.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CertificateError {
    /// The bytes are no certificate.
    #[error("{0} bytes are no certificate; fetch it from another peer")]
    Malformed(usize),
    /// It is about another round.
    #[error("a certificate of round {0} for round {1}; fetch the right one")]
    Round(Round, Round),
    /// Members are out of order or do not vote.
    #[error("member {0} stands twice, out of order, or has no vote in the round")]
    Voter(MemberIndex),
    /// A signature is not the member's.
    #[error("the signature of member {0} is not its precommit for these minutes")]
    Signature(MemberIndex),
    /// Too few signed.
    #[error("signatures of weight {0} of {1}; more than two thirds are needed")]
    Weight(u64, u64),
}

impl Certificate {
    /// Checks that the round's voters decided these minutes.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn verify(
        &self,
        plan: &RoundPlan,
        voters: &Voters,
        memo: &SignatureMemo,
    ) -> Result<(), CertificateError> {
        if self.round != plan.round {
            return Err(CertificateError::Round(self.round, plan.round));
        }
        let (mut weight, mut next) = (0, 0_u32);
        for (member, signature) in &self.signatures {
            let seat = voters.find(*member).filter(|_| u32::from(*member) >= next);
            let seat = seat.ok_or(CertificateError::Voter(*member))?;
            if !self.is_signed(plan, *member, signature, memo) {
                return Err(CertificateError::Signature(*member));
            }
            (weight, next) = (weight + seat.weight, u32::from(*member) + 1);
        }
        match voters.is_quorum(weight) {
            true => Ok(()),
            false => Err(CertificateError::Weight(weight, voters.total())),
        }
    }

    fn is_signed(
        &self,
        plan: &RoundPlan,
        member: MemberIndex,
        signature: &SignatureBytes,
        memo: &SignatureMemo,
    ) -> bool {
        let peer = plan.members[member].peer;
        let vote = Vote {
            value: Some(self.minutes),
        };
        let place = (Kind::Precommit, self.ballot);
        let digest = vote.envelope(plan, place, peer).digest();
        memo.verify(peer, plan.members.key(member), &digest, signature)
    }

    /// The certificate's bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEAD_BYTES + ENTRY_BYTES * self.signatures.len());
        out.extend(self.round.to_le_bytes());
        out.extend(self.ballot.to_le_bytes());
        out.extend(self.minutes);
        out.extend((self.signatures.len() as u16).to_le_bytes());
        for (member, signature) in &self.signatures {
            out.extend(member.to_le_bytes());
            out.extend(signature);
        }
        out
    }

    /// Reads what [`Certificate::to_bytes`] wrote.
    ///
    /// # Errors
    /// [`CertificateError::Malformed`].
    pub fn parse(bytes: &[u8]) -> Result<Self, CertificateError> {
        Self::read(bytes).ok_or(CertificateError::Malformed(bytes.len()))
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let (round, rest) = bytes.split_first_chunk::<8>()?;
        let (ballot, rest) = rest.split_first_chunk::<2>()?;
        let (minutes, rest) = rest.split_first_chunk::<32>()?;
        let (count, rest) = rest.split_first_chunk::<2>()?;
        let count = usize::from(u16::from_le_bytes(*count));
        if rest.len() != count * ENTRY_BYTES {
            return None;
        }
        let entry = |entry: &[u8]| {
            let (member, signature) = entry.split_first_chunk::<2>()?;
            Some((u16::from_le_bytes(*member), signature.try_into().ok()?))
        };
        Some(Self {
            round: u64::from_le_bytes(*round),
            ballot: u16::from_le_bytes(*ballot),
            minutes: *minutes,
            signatures: rest.chunks(ENTRY_BYTES).map(entry).collect::<Option<_>>()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use swarm_identity::NodeKey;

    use super::*;
    use crate::agreement::testing::{key, plan};

    fn certificate(plan: &RoundPlan, members: &[u16]) -> Certificate {
        let vote = Vote {
            value: Some([7; 32]),
        };
        let sign = |member: &u16| {
            let peer = plan.members[*member].peer;
            let of = |key: &NodeKey| key.peer() == peer;
            let key = (0..plan.members.len() as u8).map(key).find(of).unwrap();
            let digest = vote.envelope(plan, (Kind::Precommit, 3), peer).digest();
            (*member, key.sign(&digest).unwrap())
        };
        Certificate {
            round: plan.round,
            ballot: 3,
            minutes: [7; 32],
            signatures: members.iter().map(sign).collect(),
        }
    }

    fn check(certificate: &Certificate, plan: &RoundPlan) -> Result<(), CertificateError> {
        let voters = Voters::new(plan.beacon, &plan.members, |m| m != 5, 64);
        certificate.verify(plan, &voters, &SignatureMemo::default())
    }

    #[test]
    fn more_than_two_thirds_of_the_voters_prove_a_decision() {
        let plan = plan(6);
        assert_eq!(check(&certificate(&plan, &[0, 1, 2, 4]), &plan), Ok(()));
        let few = certificate(&plan, &[0, 1, 2]);
        assert_eq!(check(&few, &plan), Err(CertificateError::Weight(3, 5)));
    }

    #[test]
    fn whatever_is_changed_proves_nothing() {
        let plan = plan(6);
        let good = certificate(&plan, &[0, 1, 2, 3]);
        let changed = |edit: &dyn Fn(&mut Certificate)| {
            let mut other = good.clone();
            edit(&mut other);
            check(&other, &plan).unwrap_err()
        };
        assert_eq!(changed(&|c| c.ballot = 2), CertificateError::Signature(0));
        assert_eq!(
            changed(&|c| c.minutes[0] ^= 1),
            CertificateError::Signature(0)
        );
        assert_eq!(changed(&|c| c.round += 1), CertificateError::Round(1, 0));
        assert_eq!(
            changed(&|c| c.signatures[2].1[5] ^= 1),
            CertificateError::Signature(2)
        );
        assert_eq!(
            changed(&|c| c.signatures[1].0 = 0),
            CertificateError::Voter(0)
        );
        assert_eq!(
            changed(&|c| c.signatures[3].0 = 5),
            CertificateError::Voter(5)
        );
        assert_eq!(
            changed(&|c| c.signatures[3].0 = 99),
            CertificateError::Voter(99)
        );
    }

    #[test]
    fn bytes_come_back_whole_or_not_at_all() {
        let plan = plan(6);
        let certificate = certificate(&plan, &[0, 1, 2, 3]);
        let bytes = certificate.to_bytes();
        assert_eq!(Certificate::parse(&bytes), Ok(certificate));
        for len in 0..bytes.len() {
            assert!(Certificate::parse(&bytes[..len]).is_err());
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_do_not_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = Certificate::parse(&bytes);
        }
    }
}
