//! Messages as bytes (bincode), and digests of values by those bytes.

use serde::{Deserialize, Serialize};

use crate::content::Digest;

/// Bytes that are no message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} bytes are no message")]
pub struct NoMessage(pub usize);

/// A value as it is sent.
#[expect(
    clippy::expect_used,
    reason = "plain enums, structs and lists always encode"
)]
pub fn to_bytes(value: &impl Serialize) -> Vec<u8> {
    let bytes = bincode::serde::encode_to_vec(value, bincode::config::standard());
    bytes.expect("invariant: messages encode")
}

/// Reads a value, which all bytes are of. Lists grow with what is there, and contents are as long
/// as they say only if they are there.
///
/// # Errors
/// These bytes are none.
pub fn from_bytes<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, NoMessage> {
    let config = bincode::config::standard();
    let read = bincode::serde::borrow_decode_from_slice::<T, _>(bytes, config);
    let whole = read.ok().filter(|(_, read)| *read == bytes.len());
    whole.map(|(value, _)| value).ok_or(NoMessage(bytes.len()))
}

/// Digest of a domain and a value's bytes, which no two values share.
pub fn digest_of(domain: &str, value: &impl Serialize) -> Digest {
    Digest::of(&to_bytes(&(domain, value)))
}
