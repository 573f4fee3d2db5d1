//! Digests, bytes and words as hexadecimal text in JSON files: lowercase, nothing before or
//! between.

use reproducible_ops::program::Digest;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hash(pub(crate) Digest);

/// Bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Bytes(pub(crate) Vec<u8>);

/// Words of 32 bits, eight digits each, the highest digit first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Words(pub(crate) Vec<u32>);

/// The text of bytes.
fn write(bytes: &[u8]) -> String {
    const_hex::encode(bytes)
}

/// The bytes of a text; none where it is not written so.
pub(crate) fn read(text: &str) -> Option<Vec<u8>> {
    let bytes = const_hex::decode(text).ok()?;
    // The library reads capitals and a prefix, too.
    (write(&bytes) == text).then_some(bytes)
}

/// Digests as a file has them.
pub(crate) fn hashes(digests: &[Digest]) -> Vec<Hash> {
    digests.iter().copied().map(Hash).collect()
}

/// The digests of a file.
pub(crate) fn digests(hashes: Vec<Hash>) -> Vec<Digest> {
    hashes.into_iter().map(|hash| hash.0).collect()
}

/// The digest of a text; none where it is not written so.
pub(crate) fn read_digest(text: &str) -> Option<Digest> {
    read(text)?.try_into().ok()
}

impl Serialize for Hash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&write(&self.0))
    }
}

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&write(&self.0))
    }
}

impl Serialize for Words {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let bytes: Vec<u8> = self.0.iter().flat_map(|word| word.to_be_bytes()).collect();
        serializer.serialize_str(&write(&bytes))
    }
}

fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    let text = String::deserialize(deserializer)?;
    read(&text).ok_or_else(|| D::Error::custom("not pairs of hexadecimal digits in lowercase"))
}

impl<'de> Deserialize<'de> for Hash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let digest = text(deserializer)?.try_into();
        let digest = digest.map_err(|bytes: Vec<u8>| {
            D::Error::custom(format!("a digest of {} bytes, not 32", bytes.len()))
        })?;
        Ok(Self(digest))
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(text(deserializer)?))
    }
}

impl<'de> Deserialize<'de> for Words {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let bytes = text(deserializer)?;
        let (words, []) = bytes.as_chunks::<4>() else {
            return Err(D::Error::custom("words of eight hexadecimal digits each"));
        };
        let words = words.iter().map(|word| u32::from_be_bytes(*word));
        Ok(Self(words.collect()))
    }
}

/// A digest as a field: `#[serde(with = "hex_text::digest")]`.
pub(crate) mod digest {
    use super::{Deserialize, Deserializer, Digest, Hash, Serialize, Serializer};

    pub(crate) fn serialize<S: Serializer>(digest: &Digest, to: S) -> Result<S::Ok, S::Error> {
        Hash(*digest).serialize(to)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Digest, D::Error> {
        Ok(Hash::deserialize(from)?.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_read_in_the_one_form_in_which_it_is_written() {
        let bytes: Vec<u8> = (0..=255).collect();
        assert_eq!(read(&write(&bytes)), Some(bytes));
        assert_eq!(write(&[0x0a, 0xf0]), "0af0");
        for wrong in ["0", "0A", " 00", "0x", "0g", "+1", "é"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
        let words = serde_json::to_string(&Words(vec![1, 0x3f80_0000])).unwrap();
        assert_eq!(words, "\"000000013f800000\"");
        assert_eq!(
            serde_json::from_str::<Words>(&words).unwrap().0,
            [1, 0x3f80_0000]
        );
        assert!(serde_json::from_str::<Words>("\"000001\"").is_err());
        assert!(serde_json::from_str::<Hash>("\"00\"").is_err());
    }
}
