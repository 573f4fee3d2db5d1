//! Peer ids in files: as text for people, as their 33 bytes for machines.

use std::fmt;
use std::str::FromStr;

use serde::de::{Error as _, SeqAccess, Visitor};
use serde::ser::SerializeTuple;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

use crate::key::{PEER_BYTES, PeerId};

/// Why a text is not a peer id.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{0}` is no peer id; give the {digits} hexadecimal digits that the peer shows", digits = 2 * PEER_BYTES)]
pub struct PeerIdError(String);

impl PeerId {
    /// All of the id as lower-case hexadecimal text, as files have it; `Display` shows its start.
    ///
    /// ```
    /// use swarm_identity::PeerId;
    ///
    /// let peer = PeerId([2; 33]);
    /// assert_eq!(peer.text().parse(), Ok(peer));
    /// ```
    pub fn text(&self) -> String {
        const_hex::encode(self.0)
    }
}

impl FromStr for PeerId {
    type Err = PeerIdError;

    fn from_str(text: &str) -> Result<Self, PeerIdError> {
        let mut bytes = [0; PEER_BYTES];
        match const_hex::decode_to_slice(text.trim(), &mut bytes) {
            Ok(()) => Ok(Self(bytes)),
            // A long text is not repeated in full.
            Err(_) => Err(PeerIdError(text.chars().take(2 * PEER_BYTES + 2).collect())),
        }
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
        let peer = PeerId([0xab; PEER_BYTES]);
        assert_eq!(peer.text().len(), 66);
        assert_eq!(peer.text().to_uppercase().parse(), Ok(peer));
        for wrong in ["", "02", "no", &"ab".repeat(34)] {
            let error = wrong.parse::<PeerId>().unwrap_err().to_string();
            assert!(error.contains("66 hexadecimal digits"), "{error}");
        }
    }
}
