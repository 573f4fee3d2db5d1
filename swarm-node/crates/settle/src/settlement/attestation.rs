//! An owner's vote with the outcome that it is for: what members send each other.
//!
//! ```text
//! offset 0          8       16      24     56      72             104    124        188
//!        │"votes 1\n"│since  │epoch  │root  │points │certificates  │owner │signature │
//!        │8 bytes    │u64    │u64    │32    │u128   │32            │20    │64        │
//! ```
//! Numbers are big-endian, as the contract reads them. Every vote has this one length, so that it
//! is told from other messages before anything is decoded.

use contracts::outcome::{Outcome, VOTE_BYTES, Vote};

/// What the bytes begin with; no envelope of a round has such a version.
const MAGIC: &[u8; 8] = b"votes 1\n";
/// Bytes of an outcome.
const OUTCOME_BYTES: usize = 96;
/// Bytes of an attestation.
pub const ATTESTATION_BYTES: usize = MAGIC.len() + OUTCOME_BYTES + VOTE_BYTES;

/// One owner's vote with the outcome that it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Attestation {
    /// What was signed.
    pub outcome: Outcome,
    /// By whom, and the signature.
    pub vote: Vote,
}

impl Attestation {
    /// Its bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let Outcome {
            since,
            epoch,
            root,
            points,
            certificates,
        } = self.outcome;
        let mut bytes = Vec::with_capacity(ATTESTATION_BYTES);
        bytes.extend(MAGIC);
        bytes.extend(since.to_be_bytes());
        bytes.extend(epoch.to_be_bytes());
        bytes.extend(root);
        bytes.extend(points.to_be_bytes());
        bytes.extend(certificates);
        bytes.extend(self.vote.to_bytes());
        bytes
    }

    /// True for bytes that say they are an attestation.
    pub fn is_meant(bytes: &[u8]) -> bool {
        bytes.starts_with(MAGIC)
    }

    /// Reads an attestation; `None` for other bytes. The signature is not checked.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let bytes = bytes.strip_prefix(MAGIC)?;
        let (since, bytes) = bytes.split_first_chunk()?;
        let (epoch, bytes) = bytes.split_first_chunk()?;
        let (root, bytes) = bytes.split_first_chunk::<32>()?;
        let (points, bytes) = bytes.split_first_chunk()?;
        let (certificates, bytes) = bytes.split_first_chunk::<32>()?;
        let outcome = Outcome {
            since: u64::from_be_bytes(*since),
            epoch: u64::from_be_bytes(*epoch),
            root: root.into(),
            points: u128::from_be_bytes(*points),
            certificates: certificates.into(),
        };
        let vote = Vote::from_bytes(bytes.try_into().ok()?);
        Some(Self { outcome, vote })
    }
}

#[cfg(test)]
mod tests {
    use contracts::Address;
    use proptest::prelude::*;

    use super::*;

    fn attestation() -> Attestation {
        Attestation {
            outcome: Outcome {
                since: 3,
                epoch: 4,
                root: [5; 32].into(),
                points: u128::MAX - 6,
                certificates: [7; 32].into(),
            },
            vote: Vote {
                owner: Address::repeat_byte(8),
                signature: [9; 64],
            },
        }
    }

    #[test]
    fn bytes_stand_where_the_layout_says() {
        let bytes = attestation().to_bytes();
        assert_eq!(bytes.len(), ATTESTATION_BYTES);
        assert_eq!(&bytes[..8], b"votes 1\n");
        assert_eq!((bytes[15], bytes[23], bytes[24], bytes[56]), (3, 4, 5, 255));
        assert_eq!((bytes[72], bytes[104], bytes[124]), (7, 8, 9));
        assert_eq!(Attestation::from_bytes(&bytes), Some(attestation()));
    }

    #[test]
    fn other_lengths_are_none() {
        let bytes = attestation().to_bytes();
        for length in 0..bytes.len() {
            assert_eq!(Attestation::from_bytes(&bytes[..length]), None);
        }
        let longer = [&bytes[..], &[0]].concat();
        assert!(Attestation::from_bytes(&longer).is_none() && Attestation::is_meant(&longer));
    }

    proptest! {
        #[test]
        fn what_is_read_is_written_alike(bytes in prop::collection::vec(any::<u8>(), 180)) {
            let bytes = [&MAGIC[..], &bytes].concat();
            let read = Attestation::from_bytes(&bytes).unwrap();
            prop_assert_eq!(read.to_bytes(), bytes);
        }
    }
}
