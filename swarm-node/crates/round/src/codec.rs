//! The one place where bytes become message bodies and back: bincode 2.0.1 through serde,
//! little-endian, variable-length integers.
//!
//! Every decode is limited in bytes, must consume its input exactly, and stops at the first list or
//! text that is longer than its bound, so a hostile length costs nothing. Native `bincode::Decode`
//! derives are never used: they reserve what a length prefix claims.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{DeserializeOwned, Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use thiserror::Error;

use crate::config::MAX_TEXT;

/// Most bytes of an encoded body; below the envelope's own limit.
pub const MAX_BODY: usize = 64_000;

/// Why bytes are not a body, or a body has no bytes.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CodecError {
    /// The encoded body is larger than its limit.
    #[error("the body has {0} bytes; send at most {1}")]
    TooLarge(usize, usize),
    /// The body cannot be encoded.
    #[error("the body cannot be encoded: {0}")]
    Encode(String),
    /// The bytes are not an encoding of the expected type within its bounds.
    #[error("not a valid body: {0}")]
    Malformed(String),
    /// Bytes follow the body.
    #[error("{0} bytes follow the body; a body must end with its message")]
    Trailing(usize),
}

/// Encodes a body.
///
/// # Errors
/// A body over [`MAX_BODY`] bytes.
pub fn encode<T: Serialize>(body: &T) -> Result<Vec<u8>, CodecError> {
    encode_within::<_, MAX_BODY>(body)
}

/// Encodes what may be larger than a body.
///
/// # Errors
/// More than `MAX` bytes.
pub fn encode_within<T: Serialize, const MAX: usize>(value: &T) -> Result<Vec<u8>, CodecError> {
    let bytes = canonical(value)?;
    if bytes.len() > MAX {
        return Err(CodecError::TooLarge(bytes.len(), MAX));
    }
    Ok(bytes)
}

/// The bytes of a body of any length, for digests.
///
/// # Errors
/// A type that has no encoding; bodies of messages all have one.
pub fn canonical<T: Serialize>(body: &T) -> Result<Vec<u8>, CodecError> {
    bincode::serde::encode_to_vec(body, bincode::config::standard())
        .map_err(|error| CodecError::Encode(error.to_string()))
}

/// Decodes a body that takes up all of `bytes`.
///
/// # Errors
/// Oversized, malformed, out-of-bound, or followed by more bytes.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError> {
    decode_within::<_, MAX_BODY>(bytes)
}

/// Decodes what may be larger than a body, and takes up all of `bytes`.
///
/// # Errors
/// More than `MAX` bytes, malformed, out-of-bound, or followed by more bytes.
pub fn decode_within<T: DeserializeOwned, const MAX: usize>(bytes: &[u8]) -> Result<T, CodecError> {
    if bytes.len() > MAX {
        return Err(CodecError::TooLarge(bytes.len(), MAX));
    }
    let config = bincode::config::standard().with_limit::<MAX>();
    let (body, used) = bincode::serde::decode_from_slice(bytes, config)
        .map_err(|error| CodecError::Malformed(error.to_string()))?;
    match bytes.len() - used {
        0 => Ok(body),
        rest => Err(CodecError::Trailing(rest)),
    }
}

/// For `#[serde(deserialize_with = …)]`: a list of at most `MAX` items, refused before it grows
/// beyond that.
pub fn bounded_list<'de, D, T, const MAX: usize>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    deserializer.deserialize_seq(ListVisitor::<T, MAX>(PhantomData))
}

struct ListVisitor<T, const MAX: usize>(PhantomData<T>);

impl<'de, T: Deserialize<'de>, const MAX: usize> Visitor<'de> for ListVisitor<T, MAX> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a list of at most {MAX} items")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Vec<T>, A::Error> {
        if let Some(length) = items.size_hint().filter(|length| *length > MAX) {
            return Err(A::Error::invalid_length(length, &self));
        }
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            if list.len() == MAX {
                return Err(A::Error::invalid_length(MAX + 1, &self));
            }
            list.push(item);
        }
        Ok(list)
    }
}

/// A text of at most [`MAX_TEXT`] bytes, on the wire the same as a plain string.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Text(String);

impl Text {
    /// Takes a text and cuts it to at most `max` bytes (and [`MAX_TEXT`]), at the end of a
    /// character.
    pub fn cut(mut text: String, max: u16) -> Self {
        let limit = usize::from(max.min(MAX_TEXT));
        text.truncate(text.floor_char_boundary(limit));
        Self(text)
    }

    /// The text cut to at most `max` bytes, at the end of a character.
    pub fn shorten(self, max: u16) -> Self {
        Self::cut(self.0, max)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text.len() > usize::from(MAX_TEXT) {
            return Err(D::Error::invalid_length(
                text.len(),
                &"a text within MAX_TEXT bytes",
            ));
        }
        Ok(Self(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Three(#[serde(deserialize_with = "bounded_list::<_, _, 3>")] Vec<u64>);

    #[test]
    fn lists_are_bounded_before_they_grow() {
        let bytes = encode(&Three(vec![1, 2, 3])).unwrap();
        assert_eq!(decode::<Three>(&bytes), Ok(Three(vec![1, 2, 3])));
        let bytes = encode(&Three(vec![1; 4])).unwrap();
        assert!(
            decode::<Three>(&bytes)
                .unwrap_err()
                .to_string()
                .contains("at most 3")
        );
        let claims_eighteen_quintillion = [253, 255, 255, 255, 255, 255, 255, 255, 255];
        assert!(decode::<Three>(&claims_eighteen_quintillion).is_err());
    }

    #[test]
    fn input_is_consumed_exactly() {
        let mut bytes = encode(&Three(vec![1])).unwrap();
        bytes.push(0);
        assert_eq!(decode::<Three>(&bytes), Err(CodecError::Trailing(1)));
        assert!(decode::<Three>(&bytes[..1]).is_err());
    }

    #[test]
    fn texts_are_cut_between_characters() {
        assert_eq!(Text::cut("aé".into(), 2).as_str(), "a");
        assert_eq!(Text::cut("aé".into(), 3).as_str(), "aé");
        let long = encode(&"x".repeat(5_000)).unwrap();
        assert!(decode::<Text>(&long).is_err());
        let claims_a_huge_text = [253, 0, 0, 0, 0, 1, 0, 0, 0];
        assert!(decode::<Text>(&claims_a_huge_text).is_err());
    }
}
