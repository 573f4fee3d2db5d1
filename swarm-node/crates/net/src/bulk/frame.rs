//! What lies on a stream of blobs.
//!
//! ```text
//! fetcher                              server
//! hello  01 │ hash 32 │ length 8  ──▶
//!                                 ◀──  answer 1: accepted, absent, busy
//! ask    02 │ first 4 │ count 4   ──▶
//!                                 ◀──  count × 32: hashes of pieces
//! ask    03 │ first 4 │ count 4   ──▶
//!                                 ◀──  the pieces' bytes, one after the other
//! ```
//! Numbers are little-endian. All frames have fixed lengths, and how long an answer is follows from
//! the question, so nothing that a peer announces decides how much is allocated.

use thiserror::Error;

use super::blob::BlobId;

/// Bytes of a hello.
pub const HELLO_BYTES: usize = 41;
/// Bytes of an ask.
pub const ASK_BYTES: usize = 9;
/// Hashes that one ask may name.
pub const MAX_HASHES: u32 = 4096;
/// Pieces that one ask may name.
pub const MAX_PIECES: u32 = 16;

/// Why a frame is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum FrameError {
    /// The first byte is that of no frame.
    #[error("a frame of kind {0}; only 1 to 3 are known")]
    Kind(u8),
    /// An ask names more than one ask may, or nothing.
    #[error("an ask for {count} items; between 1 and {limit} are allowed")]
    Count {
        /// What it names.
        count: u32,
        /// What is allowed.
        limit: u32,
    },
    /// The last item does not exist.
    #[error("an ask for items from {first} on, {count} of them; there are {pieces}")]
    Range {
        /// The first item.
        first: u32,
        /// How many.
        count: u32,
        /// Pieces of the blob.
        pieces: u32,
    },
}

/// The first frame: which blob a stream is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hello(pub BlobId);

impl Hello {
    /// The frame's bytes.
    pub fn to_bytes(self) -> [u8; HELLO_BYTES] {
        let mut bytes = [1; HELLO_BYTES];
        bytes[1..33].copy_from_slice(&self.0.hash);
        bytes[33..].copy_from_slice(&self.0.bytes.to_le_bytes());
        bytes
    }

    /// Reads the frame.
    ///
    /// # Errors
    /// [`FrameError::Kind`].
    pub fn from_bytes(bytes: &[u8; HELLO_BYTES]) -> Result<Self, FrameError> {
        let [kind, rest @ ..] = bytes;
        if *kind != 1 {
            return Err(FrameError::Kind(*kind));
        }
        let (mut hash, mut length) = ([0; 32], [0; 8]);
        hash.copy_from_slice(&rest[..32]);
        length.copy_from_slice(&rest[32..]);
        Ok(Self(BlobId {
            hash,
            bytes: u64::from_le_bytes(length),
        }))
    }
}

/// The answer to a hello.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Asks may follow.
    Accepted = 1,
    /// The blob is not here.
    Absent = 2,
    /// Too many are being served; another time.
    Busy = 3,
}

impl Answer {
    /// Reads the answer.
    ///
    /// # Errors
    /// [`FrameError::Kind`].
    pub fn from_byte(byte: u8) -> Result<Self, FrameError> {
        match byte {
            1 => Ok(Self::Accepted),
            2 => Ok(Self::Absent),
            3 => Ok(Self::Busy),
            other => Err(FrameError::Kind(other)),
        }
    }
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Items {
    /// Hashes of pieces.
    Hashes,
    /// Pieces.
    Pieces,
}

/// A question for a run of items.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ask {
    /// Of what.
    pub items: Items,
    /// The first one.
    pub first: u32,
    /// How many.
    pub count: u32,
}

impl Ask {
    /// The frame's bytes.
    pub fn to_bytes(self) -> [u8; ASK_BYTES] {
        let mut bytes = [0; ASK_BYTES];
        bytes[0] = match self.items {
            Items::Hashes => 2,
            Items::Pieces => 3,
        };
        bytes[1..5].copy_from_slice(&self.first.to_le_bytes());
        bytes[5..].copy_from_slice(&self.count.to_le_bytes());
        bytes
    }

    /// Reads the frame, for a blob of so many pieces.
    ///
    /// # Errors
    /// Every [`FrameError`].
    pub fn from_bytes(bytes: &[u8; ASK_BYTES], pieces: u32) -> Result<Self, FrameError> {
        let [kind, a, b, c, d, e, f, g, h] = *bytes;
        let (items, limit) = match kind {
            2 => (Items::Hashes, MAX_HASHES),
            3 => (Items::Pieces, MAX_PIECES),
            other => return Err(FrameError::Kind(other)),
        };
        let (first, count) = (
            u32::from_le_bytes([a, b, c, d]),
            u32::from_le_bytes([e, f, g, h]),
        );
        if count == 0 || count > limit {
            return Err(FrameError::Count { count, limit });
        }
        if first.checked_add(count).is_none_or(|end| end > pieces) {
            return Err(FrameError::Range {
                first,
                count,
                pieces,
            });
        }
        Ok(Self {
            items,
            first,
            count,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn hellos_come_back(hash: [u8; 32], bytes: u64) {
            let hello = Hello(BlobId { hash, bytes });
            prop_assert_eq!(Hello::from_bytes(&hello.to_bytes()), Ok(hello));
        }

        #[test]
        fn what_is_read_is_written_the_same(bytes: [u8; ASK_BYTES], kind in 0..5_u8, pieces: u32) {
            let mut bytes = bytes;
            bytes[0] = kind;
            // Counts of real asks are small.
            bytes[7..].fill(0);
            if let Ok(ask) = Ask::from_bytes(&bytes, pieces) {
                prop_assert_eq!(ask.to_bytes(), bytes);
                prop_assert!(ask.count <= MAX_HASHES && ask.first + ask.count <= pieces);
            }
        }
    }

    #[test]
    fn asks_out_of_range_are_named() {
        let ask = |items, first, count| {
            let ask = Ask {
                items,
                first,
                count,
            };
            Ask::from_bytes(&ask.to_bytes(), 20).map(|read| assert_eq!(read, ask))
        };
        assert_eq!(ask(Items::Pieces, 4, 16), Ok(()));
        assert_eq!(ask(Items::Hashes, 0, 20), Ok(()));
        let count = |count, limit| Err(FrameError::Count { count, limit });
        assert_eq!(ask(Items::Pieces, 0, 17), count(17, MAX_PIECES));
        assert_eq!(ask(Items::Hashes, 0, 0), count(0, MAX_HASHES));
        for first in [5, u32::MAX] {
            let range = FrameError::Range {
                first,
                count: 16,
                pieces: 20,
            };
            assert_eq!(ask(Items::Pieces, first, 16), Err(range));
        }
        assert_eq!(Answer::from_byte(4), Err(FrameError::Kind(4)));
        assert_eq!(
            Ask::from_bytes(&[9; ASK_BYTES], 1),
            Err(FrameError::Kind(9))
        );
    }
}
