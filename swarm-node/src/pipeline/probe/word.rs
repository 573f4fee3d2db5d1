//! What peers say while they measure, as bytes.
//!
//! ```text
//! 0 │ a word, in bincode
//! 1 │ train │ last │ nonce, 8 bytes, little-endian │ filler        a piece
//! ```

use serde::{Deserialize, Serialize};
use skippipe::measured::Report;
use skippipe::wire;

/// Longest frame that is sent: a piece with its header, or a report of 256 peers.
pub const MAX_FRAME: u32 = 128 << 10;
/// Bytes of a piece before its filler.
const HEADER: usize = 11;

/// What is said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Word {
    /// The sender is at this pair.
    Here,
    /// To be answered at once.
    Ping(u32),
    /// The answer.
    Pong(u32),
    /// A part of a train.
    Piece(Piece),
    /// A train is here.
    Received(Received),
    /// The sender has measured its way.
    YourTurn,
    /// So have both.
    Over,
    /// The receiver's report is wanted.
    Wanted,
    /// What the sender measured.
    Report(Report),
}

/// A part of a train.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Piece {
    /// Which train.
    pub train: u8,
    /// Whether it is the train's last.
    pub last: bool,
    /// Random: who can name the sum of all has them all.
    pub nonce: u64,
    /// Bytes of it, as it is sent.
    pub bytes: u32,
}

/// What a receiver says of a train.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Received {
    /// Which.
    pub train: u8,
    /// Sum of the nonces.
    pub nonces: u64,
    /// Bytes a second, from its first piece to its last.
    pub rate: u64,
}

impl Word {
    /// As it is sent.
    pub fn to_bytes(&self) -> Vec<u8> {
        let Self::Piece(piece) = self else {
            let mut bytes = vec![0];
            bytes.extend(wire::to_bytes(self));
            return bytes;
        };
        // The nonce at the end, which is there only when all is.
        let mut bytes = vec![0; (piece.bytes as usize).max(HEADER)];
        bytes[..3].copy_from_slice(&[1, piece.train, u8::from(piece.last)]);
        let end = bytes.len() - 8;
        bytes[end..].copy_from_slice(&piece.nonce.to_le_bytes());
        bytes
    }

    /// Reads a word, which all bytes are of; none where they are of none.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        match bytes {
            [0, word @ ..] => {
                let word: Self = wire::from_bytes(word).ok()?;
                // A piece that is not one in its bytes would weigh nothing.
                (!matches!(word, Self::Piece(_))).then_some(word)
            }
            [1, train, last @ (0 | 1), .., a, b, c, d, e, f, g, h] => Some(Self::Piece(Piece {
                train: *train,
                last: *last == 1,
                nonce: u64::from_le_bytes([*a, *b, *c, *d, *e, *f, *g, *h]),
                bytes: u32::try_from(bytes.len()).ok()?,
            })),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use skippipe::measured::{LinkMeasure, MAX_RATE, PairMeasure};
    use skippipe::path::Peer;
    use skippipe::topology::Micros;

    use super::*;

    fn words() -> impl Strategy<Value = Word> {
        let link = (any::<u64>(), any::<u64>()).prop_map(|(latency, rate)| LinkMeasure {
            latency: Micros(latency),
            bytes_per_second: rate,
        });
        let pair =
            (any::<u32>(), proptest::option::of(link)).prop_map(|(peer, link)| PairMeasure {
                peer: Peer(peer),
                to: link,
                from: None,
            });
        let report =
            proptest::collection::vec(pair, 0..9).prop_map(|pairs| Report { pairs, times: None });
        let piece = (any::<u8>(), any::<bool>(), any::<u64>(), 11..5000_u32);
        prop_oneof![
            Just(Word::Here),
            Just(Word::Wanted),
            any::<u32>().prop_map(Word::Ping),
            report.prop_map(Word::Report),
            piece.prop_map(|(train, last, nonce, bytes)| Word::Piece(Piece {
                train,
                last,
                nonce,
                bytes
            })),
        ]
    }

    proptest! {
        #[test]
        fn a_word_is_read_as_it_was_written(word in words()) {
            let bytes = word.to_bytes();
            prop_assert_eq!(Word::from_bytes(&bytes), Some(word));
        }

        #[test]
        fn any_bytes_are_a_word_or_none(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Some(word) = Word::from_bytes(&bytes) {
                prop_assert_eq!(Word::from_bytes(&word.to_bytes()), Some(word));
            }
        }
    }

    #[test]
    fn a_report_of_all_peers_fits_a_frame() {
        let link = LinkMeasure {
            latency: Micros(u64::from(u32::MAX)),
            bytes_per_second: MAX_RATE,
        };
        let pair = |peer| PairMeasure {
            peer: Peer(peer),
            to: Some(link),
            from: Some(link),
        };
        let report = Report {
            pairs: (0..swarm_net::limits::MAX_CHANNEL_MEMBERS as u32)
                .map(pair)
                .collect(),
            times: None,
        };
        let bytes = Word::Report(report).to_bytes();
        assert!(bytes.len() < MAX_FRAME as usize, "{}", bytes.len());
    }
}
