//! Peer ids in files: as text for people, as their 33 bytes for machines.
//!
//! ```text
//! base58 of  00 25 │ 08 02 12 21 │ 33 bytes: the compressed point
//!            identity, 37 bytes │ type secp256k1, 33 bytes
//! ```
//! The text is libp2p's own, the one that stands behind `/p2p/` in addresses: `16Uiu2HA…`.

use std::fmt;
use std::str::FromStr;

use serde::de::{Error as _, SeqAccess, Visitor};
use serde::ser::SerializeTuple;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

use crate::key::{PEER_BYTES, PeerId};

/// Why a text is not a peer id.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{0}` is no id of a node; give what the node shows of itself, like 16Uiu2HA…")]
pub struct PeerIdError(String);

/// What libp2p puts in front of a key of this kind.
const WRAPPING: [u8; 6] = [0x00, 0x25, 0x08, 0x02, 0x12, 0x21];
/// Longest text that is shown in an error, in characters; an id has 53.
const SHOWN: usize = 60;

impl PeerId {
    /// All of the id as text, as files and addresses have it; `Display` shows the start of its key.
    ///
    /// ```
    /// use swarm_identity::PeerId;
    ///
    /// let peer = PeerId([2; 33]);
    /// assert_eq!(peer.text().parse(), Ok(peer));
    /// ```
    pub fn text(&self) -> String {
        let mut id = WRAPPING.to_vec();
        id.extend(self.0);
        bs58::encode(id).into_string()
    }
}

impl FromStr for PeerId {
    type Err = PeerIdError;

    fn from_str(text: &str) -> Result<Self, PeerIdError> {
        let mut id = [0; WRAPPING.len() + PEER_BYTES];
        let length = bs58::decode(text.trim()).onto(&mut id);
        let key = id
            .strip_prefix(&WRAPPING)
            .filter(|_| length == Ok(id.len()));
        key.and_then(|key| key.try_into().ok())
            .map(Self)
            .ok_or_else(|| PeerIdError(text.chars().take(SHOWN).collect()))
    }
}

impl Serialize for PeerId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            return serializer.serialize_str(&self.text());
        }
        let mut bytes = serializer.serialize_tuple(PEER_BYTES)?;
        self.0
            .iter()
            .try_for_each(|byte| bytes.serialize_element(byte))?;
        bytes.end()
    }
}

impl<'de> Deserialize<'de> for PeerId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            let text = String::deserialize(deserializer)?;
            return text.parse().map_err(D::Error::custom);
        }
        deserializer.deserialize_tuple(PEER_BYTES, PeerVisitor)
    }
}

struct PeerVisitor;

impl<'de> Visitor<'de> for PeerVisitor {
    type Value = PeerId;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the {PEER_BYTES} bytes of a peer id")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<PeerId, A::Error> {
        let mut bytes = [0; PEER_BYTES];
        for (index, byte) in bytes.iter_mut().enumerate() {
            let item = items.next_element()?;
            *byte = item.ok_or_else(|| A::Error::invalid_length(index, &self))?;
        }
        Ok(PeerId(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_come_back_and_others_are_told() {
        let peer = PeerId([2; PEER_BYTES]);
        assert!(peer.text().starts_with("16Uiu2HA"), "{}", peer.text());
        assert_eq!(format!(" {}\n", peer.text()).parse(), Ok(peer));
        let short = &peer.text()[1..];
        let other = "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N";
        for wrong in ["", "02", "0OIl", short, other, &"2".repeat(500)] {
            let error = wrong.parse::<PeerId>().unwrap_err().to_string();
            assert!(
                error.contains("like 16Uiu2HA…") && error.len() < 200,
                "{error}"
            );
        }
    }
}
