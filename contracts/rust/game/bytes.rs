//! Hashes, words and lists of moves as the contracts take them.

use alloy::primitives::{B256, Bytes};
use thiserror::Error;

use super::types::Move;

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

/// Most bytes of a move's data, of whose length a call has three bytes.
pub(super) const MOST: usize = (1 << 24) - 1;

/// Moves one behind another: `Moves.sol`.
pub fn pack(moves: &[Move]) -> Bytes {
    let packed = moves.iter().map(|made| {
        // An encoder makes no move that is longer.
        let [_, length @ ..] = (made.data.len() as u32).to_be_bytes();
        [&[made.kind], &length[..], &made.data[..]].concat()
    });
    packed.collect::<Vec<_>>().concat().into()
}

/// The moves that stand one behind another; `None` where the last one is cut off.
pub(super) fn unpack(mut packed: &[u8]) -> Option<Vec<Move>> {
    let mut moves = Vec::new();
    while let Some(([kind, length @ ..], rest)) = packed.split_first_chunk::<4>() {
        let [a, b, c] = *length;
        let length = u32::from_be_bytes([0, a, b, c]) as usize;
        let (data, rest) = rest.split_at_checked(length)?;
        let (kind, data) = (*kind, Bytes::copy_from_slice(data));
        moves.push(Move { kind, data });
        packed = rest;
    }
    packed.is_empty().then_some(moves)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moves_are_read_as_they_were_packed() {
        let moves = [0, 3, 300].map(|length: usize| Move {
            kind: length as u8,
            data: vec![7; length].into(),
        });
        let packed = pack(&moves);
        assert_eq!(packed[..9], [0, 0, 0, 0, 3, 0, 0, 3, 7]);
        assert_eq!(unpack(&packed), Some(moves.to_vec()));
        assert_eq!(unpack(&[]), Some(Vec::new()));
        for cut in [1, 3, packed.len() - 1] {
            assert_eq!(unpack(&packed[..cut]), None, "{cut}");
        }
    }
}
