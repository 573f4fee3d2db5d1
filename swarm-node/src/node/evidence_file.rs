//! A file that proves that a peer contradicted itself: two signed messages for one place.
//!
//! ```text
//! "swarm-node evidence 1\n" │ length, 4 bytes │ envelope │ length │ envelope
//! ```
//! Lengths are little-endian. Whoever has it needs nothing else: the envelopes name the swarm, the
//! round and the peer, whose id is its key.

use std::fs;
use std::io;
use std::path::Path;

use swarm_files::whole::{Access, Reserved};
use swarm_identity::PeerId;
use swarm_identity::key::{KeyError, PublicKey};
use swarm_round::SwarmId;
use swarm_round::clock::Round;
use swarm_round::envelope::{Envelope, EnvelopeError, MAX_ENVELOPE};
use swarm_round::heard::Evidence;
use thiserror::Error;

/// What a file begins with.
pub const MAGIC: &[u8] = b"swarm-node evidence 1\n";
/// Most files that a node keeps: a peer that contradicts itself all day fills no disk.
const MAX_FILES: usize = 1_000;

/// Why a file proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum EvidenceError {
    /// It is no such file, or not whole.
    #[error("this is no evidence, or not all of it; copy it again")]
    Layout,
    /// A message is none.
    #[error(transparent)]
    Envelope(#[from] EnvelopeError),
    /// The messages are for two places.
    #[error("the two messages are of different peers, rounds or places: both may be said")]
    Places,
    /// They are the same.
    #[error("the two messages say the same")]
    Same,
    /// Who is said to have signed has no key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// Somebody else made it up.
    #[error("the signature of message {0} is not the peer's")]
    Signature(usize),
}

/// What evidence proves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contradiction {
    /// Who contradicted itself.
    pub peer: PeerId,
    /// In which swarm.
    pub swarm: SwarmId,
    /// In which round.
    pub round: Round,
}

/// Keeps evidence in a file of this folder, named by what it proves; more than so many are not
/// kept.
///
/// # Errors
/// The system refuses, or the evidence is of no messages.
pub fn keep(folder: &Path, evidence: &Evidence) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    if fs::read_dir(folder)?.count() >= MAX_FILES {
        return Ok(());
    }
    let bytes = to_bytes(evidence);
    let first = Envelope::parse(&evidence.first).map_err(io::Error::other)?;
    let round = first.header.round;
    let path = folder.join(format!("round-{round}-{}.evidence", evidence.peer.text()));
    match path.exists() {
        true => Ok(()),
        false => Reserved::new(&path, Access::Umask, bytes.len())?.replace(&bytes),
    }
}

fn to_bytes(evidence: &Evidence) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    for message in [&evidence.first, &evidence.second] {
        // An envelope has at most 64 KiB.
        bytes.extend((message.len() as u32).to_le_bytes());
        bytes.extend_from_slice(message);
    }
    bytes
}

/// What a file's bytes prove.
///
/// # Errors
/// See [`EvidenceError`].
pub fn verify(bytes: &[u8]) -> Result<Contradiction, EvidenceError> {
    let bytes = bytes.strip_prefix(MAGIC).ok_or(EvidenceError::Layout)?;
    let (first, rest) = message(bytes).ok_or(EvidenceError::Layout)?;
    let (second, rest) = message(rest).ok_or(EvidenceError::Layout)?;
    if !rest.is_empty() {
        return Err(EvidenceError::Layout);
    }
    let envelopes = [Envelope::parse(first)?, Envelope::parse(second)?];
    let [header, other] = envelopes.map(|envelope| envelope.header);
    if header.place() != other.place() || header.peer != other.peer {
        return Err(EvidenceError::Places);
    }
    if envelopes[0].payload == envelopes[1].payload {
        return Err(EvidenceError::Same);
    }
    let key = PublicKey::try_from(header.peer)?;
    for (number, envelope) in envelopes.iter().enumerate() {
        if !key.verify(&envelope.digest(), &envelope.signature) {
            return Err(EvidenceError::Signature(number + 1));
        }
    }
    Ok(Contradiction {
        peer: header.peer,
        swarm: header.swarm,
        round: header.round,
    })
}

fn message(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk()?;
    let length = u32::from_le_bytes(*length) as usize;
    (length <= MAX_ENVELOPE).then(|| rest.split_at_checked(length))?
}

#[cfg(test)]
mod tests {
    use swarm_identity::NodeKey;
    use swarm_round::envelope::{Header, UnsignedEnvelope};
    use swarm_round::payload::Kind;

    use super::*;

    fn said(key: &NodeKey, round: Round, payload: &[u8]) -> Vec<u8> {
        let header = Header {
            swarm: [7; 32],
            round,
            kind: Kind::ALL[0],
            slot: 0,
            peer: key.peer(),
            sequence: payload.len() as u64,
        };
        let unsigned = UnsignedEnvelope::new(header, payload).unwrap();
        let signature = key.sign(&unsigned.digest()).unwrap();
        unsigned.signed(&signature)
    }

    fn evidence(first: Vec<u8>, second: Vec<u8>) -> Evidence {
        Evidence {
            peer: Envelope::parse(&first).unwrap().header.peer,
            first: first.into(),
            second: second.into(),
        }
    }

    #[test]
    fn two_messages_for_one_place_prove_a_contradiction_and_nothing_else_does() {
        let [key, other] = [1, 2].map(|tag| NodeKey::from_secret(&[tag; 32]).unwrap());
        let verdict = |first, second| verify(&to_bytes(&evidence(first, second)));
        let (one, two) = (said(&key, 3, b"one"), said(&key, 3, b"three"));
        let proved = verdict(one.clone(), two.clone()).unwrap();
        assert_eq!((proved.peer, proved.round), (key.peer(), 3));
        assert_eq!(verdict(one.clone(), one.clone()), Err(EvidenceError::Same));
        let later = said(&key, 4, b"three");
        assert_eq!(verdict(one.clone(), later), Err(EvidenceError::Places));
        let foreign = said(&other, 3, b"three");
        assert_eq!(verdict(one.clone(), foreign), Err(EvidenceError::Places));
        let mut forged = two.clone();
        *forged.last_mut().unwrap() ^= 1;
        assert_eq!(
            verdict(one.clone(), forged),
            Err(EvidenceError::Signature(2))
        );
        let whole = to_bytes(&evidence(one, two));
        for length in 0..whole.len() {
            assert!(verify(&whole[..length]).is_err());
        }
    }

    #[test]
    fn evidence_is_kept_once_in_its_folder() {
        let folder = tempfile::tempdir().unwrap();
        let key = NodeKey::from_secret(&[1; 32]).unwrap();
        let found = evidence(said(&key, 3, b"one"), said(&key, 3, b"three"));
        let place = folder.path().join("evidence");
        keep(&place, &found).unwrap();
        keep(&place, &found).unwrap();
        let files: Vec<_> = fs::read_dir(&place).unwrap().flatten().collect();
        assert_eq!(files.len(), 1);
        assert!(verify(&fs::read(files[0].path()).unwrap()).is_ok());
    }
}
