//! The signed envelope around every message, and its fixed header, parsed by hand before any
//! decoder runs.
//!
//! ```text
//! offset 0      2     3         35      43     45      78         86       90        90+n
//!        │version│kind │swarm_id │round  │slot  │peer   │sequence  │n       │payload  │signature│
//!        │u16    │u8   │32 bytes │u64    │u16   │33     │u64       │u32     │n bytes  │64 bytes │
//! ```
//! Numbers are little-endian. The signature covers SHA-256 of the domain, header and payload.
//! `sequence` counts the messages a member signed in the round: it makes a member's own log
//! readable and is evidence, nothing depends on it.

use swarm_identity::Place;
use swarm_identity::digest::{Digest32, Hasher};
use swarm_identity::key::{PeerId, SIGNATURE_BYTES, SignatureBytes};
use thiserror::Error;

use crate::clock::Round;
use crate::config::SwarmId;
use crate::payload::Kind;

/// Version of the protocol; other versions are refused.
pub const PROTOCOL_VERSION: u16 = 1;
/// Where the kind stands.
pub const KIND_OFFSET: usize = 2;
/// Bytes before the payload.
pub const HEADER_BYTES: usize = 90;
/// Smallest envelope: an empty payload.
pub const MIN_ENVELOPE: usize = HEADER_BYTES + SIGNATURE_BYTES;
/// Largest envelope: what gossip carries quickly.
pub const MAX_ENVELOPE: usize = 65_536;

/// The fixed part of an envelope, without the payload's length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The swarm the message belongs to.
    pub swarm: SwarmId,
    /// The round it belongs to.
    pub round: Round,
    /// What it is.
    pub kind: Kind,
    /// The question it is about, or `STAGE_SLOT`.
    pub slot: u16,
    /// Who signed it.
    pub peer: PeerId,
    /// How many messages the peer signed before it in this round.
    pub sequence: u64,
}

/// Why bytes are not an envelope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum EnvelopeError {
    /// Too short or too long, or the payload's length disagrees with the message's.
    #[error(
        "a message of {0} bytes; expected {MIN_ENVELOPE}..={MAX_ENVELOPE}, exactly as its header \
         says"
    )]
    Size(usize),
    /// Another protocol version.
    #[error("protocol version {0}; this node speaks {PROTOCOL_VERSION}, update the older one")]
    Version(u16),
    /// A kind that this version does not know.
    #[error("unknown message kind {0}")]
    Kind(u8),
}

/// A parsed envelope that borrows its message.
#[derive(Clone, Copy, Debug)]
pub struct Envelope<'a> {
    /// The header.
    pub header: Header,
    /// The payload.
    pub payload: &'a [u8],
    /// The signature, not verified.
    pub signature: SignatureBytes,
    signed: &'a [u8],
}

/// Takes fixed-size pieces off the front of a slice.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, tail) = self.0.split_first_chunk::<N>()?;
        self.0 = tail;
        Some(*head)
    }
}

impl<'a> Envelope<'a> {
    /// Parses a message. Only the layout is judged, not whether the message is welcome.
    ///
    /// # Errors
    /// Size, version or kind, in this order.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, EnvelopeError> {
        let size = EnvelopeError::Size(bytes.len());
        if !(MIN_ENVELOPE..=MAX_ENVELOPE).contains(&bytes.len()) {
            return Err(size);
        }
        let (signed, signature) = bytes.split_last_chunk::<SIGNATURE_BYTES>().ok_or(size)?;
        let (head, payload) = signed.split_first_chunk::<HEADER_BYTES>().ok_or(size)?;
        let header = parse_header(head, payload.len()).ok_or(size)??;
        Ok(Self {
            header,
            payload,
            signature: *signature,
            signed,
        })
    }

    /// The digest that the signature covers.
    pub fn digest(&self) -> Digest32 {
        signed_digest(self.signed)
    }
}

/// `None` if the declared payload length differs from the real one.
fn parse_header(
    head: &[u8; HEADER_BYTES],
    payload: usize,
) -> Option<Result<Header, EnvelopeError>> {
    let mut reader = Reader(head);
    let version = u16::from_le_bytes(reader.take()?);
    let [kind] = reader.take()?;
    let swarm = reader.take()?;
    let round = u64::from_le_bytes(reader.take()?);
    let slot = u16::from_le_bytes(reader.take()?);
    let peer = PeerId(reader.take()?);
    let sequence = u64::from_le_bytes(reader.take()?);
    if u32::from_le_bytes(reader.take()?) as usize != payload {
        return None;
    }
    if version != PROTOCOL_VERSION {
        return Some(Err(EnvelopeError::Version(version)));
    }
    let header = |kind| Header {
        swarm,
        round,
        kind,
        slot,
        peer,
        sequence,
    };
    Some(
        Kind::from_wire(kind)
            .map(header)
            .ok_or(EnvelopeError::Kind(kind)),
    )
}

impl Header {
    /// The place that the message takes in the sign-once table.
    pub fn place(&self) -> Place {
        Place {
            swarm: self.swarm,
            kind: self.kind as u8,
            round: self.round,
            slot: self.slot,
        }
    }

    fn write(&self, payload: usize, out: &mut Vec<u8>) {
        out.extend(PROTOCOL_VERSION.to_le_bytes());
        out.push(self.kind as u8);
        out.extend(self.swarm);
        out.extend(self.round.to_le_bytes());
        out.extend(self.slot.to_le_bytes());
        out.extend(self.peer.0);
        out.extend(self.sequence.to_le_bytes());
        out.extend((payload as u32).to_le_bytes());
    }
}

fn signed_digest(signed: &[u8]) -> Digest32 {
    Hasher::new("envelope").bytes(signed).finish()
}

/// A message that lacks nothing but its signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnsignedEnvelope {
    header: Header,
    bytes: Vec<u8>,
}

impl UnsignedEnvelope {
    /// Puts a payload behind its header.
    ///
    /// # Errors
    /// [`EnvelopeError::Size`] if the payload does not fit.
    pub fn new(header: Header, payload: &[u8]) -> Result<Self, EnvelopeError> {
        let size = MIN_ENVELOPE + payload.len();
        if size > MAX_ENVELOPE {
            return Err(EnvelopeError::Size(size));
        }
        let mut bytes = Vec::with_capacity(size);
        header.write(payload.len(), &mut bytes);
        bytes.extend(payload);
        Ok(Self { header, bytes })
    }

    /// The header.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The digest that is to be signed.
    pub fn digest(&self) -> Digest32 {
        signed_digest(&self.bytes)
    }

    /// The whole envelope.
    pub fn signed(mut self, signature: &SignatureBytes) -> Vec<u8> {
        self.bytes.extend(signature);
        self.bytes
    }
}

/// A message signed past every table, as tests and hostile peers do.
#[cfg(test)]
pub(crate) fn sign_envelope(
    header: &Header,
    payload: &[u8],
    key: &swarm_identity::NodeKey,
) -> Result<Vec<u8>, EnvelopeError> {
    let message = UnsignedEnvelope::new(*header, payload)?;
    let signature = key.sign(&message.digest()).unwrap();
    Ok(message.signed(&signature))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use swarm_identity::digest::hex;
    use swarm_identity::key::{NodeKey, PublicKey};

    use super::*;

    fn header(key: &NodeKey) -> Header {
        let (swarm, peer) = ([7; 32], key.peer());
        Header {
            swarm,
            round: 3,
            kind: Kind::ShareReveal,
            slot: 5,
            peer,
            sequence: 9,
        }
    }

    fn key() -> NodeKey {
        NodeKey::from_secret(&[1; 32]).unwrap()
    }

    #[test]
    fn golden_bytes() {
        let bytes = sign_envelope(&header(&key()), b"payload", &key()).unwrap();
        let (head, rest) = bytes.split_at(HEADER_BYTES);
        let text: String = head.iter().map(|byte| format!("{byte:02x}")).collect();
        let expected = concat!(
            "0100",
            "02",
            "0707070707070707070707070707070707070707070707070707070707070707",
            "0300000000000000",
            "0500",
            "031b84c5567b126440995d3ed5aaba0565d71e1834604819ff9c17f5e9d5dd078f",
            "0900000000000000",
            "07000000"
        );
        assert_eq!(text, expected);
        assert_eq!(&rest[..7], b"payload");
        let whole = Hasher::new("golden").bytes(&bytes).finish();
        assert_eq!(
            hex(&whole),
            GOLDEN,
            "the wire format changed: raise PROTOCOL_VERSION"
        );
    }

    const GOLDEN: &str = "5cbf6aa13599dc9dc7b75af3b819f35fb07dd8430ff09b0312601d4cbe8b789c";

    #[test]
    fn the_signature_covers_header_and_payload() {
        let bytes = sign_envelope(&header(&key()), b"payload", &key()).unwrap();
        let public = PublicKey::try_from(key().peer()).unwrap();
        let valid = |bytes: &[u8]| {
            Envelope::parse(bytes)
                .is_ok_and(|envelope| public.verify(&envelope.digest(), &envelope.signature))
        };
        assert!(valid(&bytes));
        for i in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[i] ^= 1;
            assert!(!valid(&changed), "byte {i} is not covered");
        }
    }

    #[test]
    fn sizes_are_exact() {
        let bytes = sign_envelope(&header(&key()), b"payload", &key()).unwrap();
        for len in 0..bytes.len() {
            assert!(Envelope::parse(&bytes[..len]).is_err());
        }
        let huge = vec![0; MAX_ENVELOPE + 1];
        assert_eq!(
            Envelope::parse(&huge).unwrap_err(),
            EnvelopeError::Size(huge.len())
        );
        assert!(sign_envelope(&header(&key()), &huge, &key()).is_err());
    }

    proptest! {
        #[test]
        fn parse_inverts_write(
            swarm: [u8; 32], round: u64, kind in 1u8..=7, slot: u16, sequence: u64,
            payload in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            let kind = Kind::from_wire(kind).unwrap();
            let header = Header { swarm, round, kind, slot, peer: key().peer(), sequence };
            let bytes = sign_envelope(&header, &payload, &key()).unwrap();
            let envelope = Envelope::parse(&bytes).unwrap();
            prop_assert_eq!(envelope.header, header);
            prop_assert_eq!(envelope.payload, payload);
        }

        #[test]
        fn arbitrary_bytes_do_not_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            let _ = Envelope::parse(&bytes);
        }
    }
}
