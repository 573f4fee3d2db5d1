//! Hashes and words as the contracts take them.

use alloy::primitives::{B256, Bytes};
use thiserror::Error;

/// The move speaks of something that the job does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the job has no such {0}")]
pub struct EncodeError(pub &'static str);

pub(super) type Encoded<T> = Result<T, EncodeError>;

pub(super) fn hashes(digests: &[[u8; 32]]) -> Vec<B256> {
    digests.iter().copied().map(B256::from).collect()
}

/// Words one after another, in this order of bytes.
pub(super) fn words(words: &[u32], bytes: fn(u32) -> [u8; 4]) -> Bytes {
    words.iter().flat_map(|word| bytes(*word)).collect()
}
