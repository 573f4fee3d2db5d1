//! The hashes of a blob's pieces, and how they lead to its name.
//!
//! BLAKE3 is a tree, so the level of it at 64 KiB is a list of hashes that is checked against the
//! blob's name once; then every piece is checked alone, whoever sends it. The list has 32 bytes for
//! 64 KiB of content.
//!
//! ```text
//!            name
//!           /    \            checked when the list comes
//!       (0,1)    (2,3)
//!       /  \     /  \
//!      h0  h1   h2  h3        the outline
//!      │   │    │   │         checked piece by piece
//!     64K 64K  64K  rest
//! ```

use std::io;
use std::ops::Range;

use blake3::hazmat::{
    ChainingValue, HasherExt, Mode, merge_subtrees_non_root, merge_subtrees_root,
};

use super::blob::{Blob, BlobId};

/// Bytes of a piece; the last one of a blob may be shorter.
pub const PIECE_BYTES: u64 = 64 * 1024;
/// Bytes of a hash in the outline.
pub const HASH_BYTES: usize = 32;

/// How many pieces a blob has; at least one.
pub fn pieces(id: &BlobId) -> u64 {
    id.bytes.div_ceil(PIECE_BYTES).max(1)
}

/// Where a piece lies in its blob.
pub fn range(id: &BlobId, piece: u32) -> Range<u64> {
    let start = u64::from(piece) * PIECE_BYTES;
    start..(start + PIECE_BYTES).min(id.bytes)
}

/// Hashes of all pieces, known to lead to the blob's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outline {
    id: BlobId,
    hashes: Vec<ChainingValue>,
}

impl Outline {
    /// Takes a list of hashes if it leads to the name.
    pub fn new(id: BlobId, hashes: Vec<ChainingValue>) -> Option<Self> {
        let right = hashes.len() as u64 == pieces(&id) && root(&hashes) == id.hash;
        right.then_some(Self { id, hashes })
    }

    /// Takes the bytes of a list of hashes if it leads to the name.
    pub fn from_bytes(id: BlobId, bytes: &[u8]) -> Option<Self> {
        let (hashes, rest) = bytes.as_chunks::<HASH_BYTES>();
        rest.is_empty().then(|| Self::new(id, hashes.to_vec()))?
    }

    /// Reads a blob and makes its outline; `None` if the content does not match the name.
    ///
    /// # Errors
    /// Whatever the blob says.
    pub fn of(id: BlobId, blob: &dyn Blob) -> io::Result<Option<Self>> {
        let single = pieces(&id) == 1;
        let mut hashes = Vec::new();
        let mut buffer = Vec::new();
        for piece in 0..u32::try_from(pieces(&id)).map_err(io::Error::other)? {
            let range = range(&id, piece);
            buffer.resize((range.end - range.start) as usize, 0);
            blob.read_at(range.start, &mut buffer)?;
            hashes.push(hash(&buffer, piece, single));
        }
        Ok(Self::new(id, hashes))
    }

    /// The name.
    pub fn id(&self) -> BlobId {
        self.id
    }

    /// Number of pieces.
    pub fn len(&self) -> u32 {
        self.hashes.len() as u32
    }

    /// Never: a blob has at least one piece.
    pub fn is_empty(&self) -> bool {
        self.hashes.is_empty()
    }

    /// True if these are a piece's bytes.
    pub fn verify(&self, piece: u32, bytes: &[u8]) -> bool {
        let range = range(&self.id, piece);
        let length = range.end.saturating_sub(range.start);
        let expected = self.hashes.get(piece as usize);
        bytes.len() as u64 == length
            && expected.is_some_and(|expected| *expected == hash(bytes, piece, self.len() == 1))
    }

    /// The bytes of a run of hashes.
    pub fn to_bytes(&self, first: u32, count: u32) -> Vec<u8> {
        let hashes = self.hashes.iter().skip(first as usize);
        hashes.take(count as usize).flatten().copied().collect()
    }
}

/// The hash of a piece as a part of the tree; that of a blob of one piece is the root.
fn hash(bytes: &[u8], piece: u32, single: bool) -> ChainingValue {
    if single {
        return blake3::hash(bytes).into();
    }
    let mut hasher = blake3::Hasher::new();
    hasher.set_input_offset(u64::from(piece) * PIECE_BYTES);
    hasher.update(bytes).finalize_non_root()
}

fn root(hashes: &[ChainingValue]) -> [u8; 32] {
    match hashes {
        [] => [0; 32],
        [single] => *single,
        _ => {
            let (left, right) = hashes.split_at(left_len(hashes.len()));
            merge_subtrees_root(&inner(left), &inner(right), Mode::Hash).into()
        }
    }
}

fn inner(hashes: &[ChainingValue]) -> ChainingValue {
    match hashes {
        [] => [0; 32],
        [single] => *single,
        _ => {
            let (left, right) = hashes.split_at(left_len(hashes.len()));
            merge_subtrees_non_root(&inner(left), &inner(right), Mode::Hash)
        }
    }
}

/// The left half of a tree is the largest power of two that leaves something for the right.
fn left_len(pieces: usize) -> usize {
    pieces.div_ceil(2).next_power_of_two()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn content(bytes: usize) -> Vec<u8> {
        (0..bytes).map(|i| (i * 31 + i / 251) as u8).collect()
    }

    #[test]
    fn outlines_lead_to_the_hash_of_the_whole() {
        let piece = PIECE_BYTES as usize;
        let lengths = [
            0,
            1,
            piece - 1,
            piece,
            piece + 1,
            3 * piece,
            5 * piece + 7,
            8 * piece,
        ];
        for length in lengths {
            let bytes = content(length);
            let id = BlobId::of(&bytes);
            let outline = Outline::of(id, &bytes).unwrap().expect("it matches");
            assert_eq!(u64::from(outline.len()), pieces(&id));
            for piece in 0..outline.len() {
                let range = range(&id, piece);
                let mut part = bytes[range.start as usize..range.end as usize].to_vec();
                assert!(outline.verify(piece, &part));
                assert!(!outline.verify(piece + 1, &part) || part.is_empty());
                if let Some(last) = part.last_mut() {
                    *last ^= 1;
                    assert!(!outline.verify(piece, &part));
                    assert!(!outline.verify(piece, &part[1..]));
                }
            }
            let all = outline.to_bytes(0, outline.len());
            assert_eq!(Outline::from_bytes(id, &all), Some(outline));
        }
    }

    #[test]
    fn a_list_that_does_not_lead_to_the_name_is_refused() {
        let bytes = content(4 * PIECE_BYTES as usize);
        let id = BlobId::of(&bytes);
        let outline = Outline::of(id, &bytes).unwrap().unwrap();
        let all = outline.to_bytes(0, 4);
        let longer = BlobId {
            bytes: id.bytes + 1,
            ..id
        };
        assert_eq!(Outline::from_bytes(longer, &all), None);
        assert_eq!(Outline::from_bytes(id, &all[1..]), None);
        assert_eq!(Outline::from_bytes(id, &[]), None);
        let mut swapped = all.clone();
        swapped.rotate_left(HASH_BYTES);
        assert_eq!(Outline::from_bytes(id, &swapped), None);
        let other = BlobId {
            hash: [1; 32],
            ..id
        };
        assert_eq!(Outline::of(other, &bytes).unwrap(), None);
    }

    proptest! {
        #[test]
        fn no_list_of_a_peer_panics(hash: [u8; 32], bytes: u64, list in prop::collection::vec(any::<u8>(), 0..200)) {
            let id = BlobId { hash, bytes };
            if let Some(outline) = Outline::from_bytes(id, &list) {
                prop_assert_eq!(outline.to_bytes(0, outline.len()), list);
            }
        }
    }
}
