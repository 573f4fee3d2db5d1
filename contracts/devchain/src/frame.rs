//! Records in an append-only file: a frame tells its own length and both are checked.
//!
//! ```text
//! ┌──────────┬─────────────────┬─────────┬──────────────────┐
//! │ length   │ check of length │ payload │ check of payload │   numbers little-endian
//! │ 4 bytes  │ 4 bytes         │ length  │ 8 bytes          │   check: first bytes of Keccak-256 of (place, …)
//! └──────────┴─────────────────┴─────────┴──────────────────┘
//! ```
//! A process that is killed while it writes leaves the first part of its last frame. Because the
//! length has a check of its own, such a *torn* tail is told from a damaged file: a damaged length
//! would otherwise look like a frame that runs past the end, and cutting it off would throw away
//! all records behind it. Checks cover the place in the file, so a frame is valid only where it was
//! written.

use alloy::primitives::keccak256;
use thiserror::Error;

/// Bytes of a record.
pub const MAX_PAYLOAD: usize = 256 << 10;
const HEAD: usize = 8;
const CHECK: usize = 8;

/// A record is larger than [`MAX_PAYLOAD`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a record of {0} bytes does not fit in a frame of {MAX_PAYLOAD}")]
pub struct TooLarge(pub usize);

/// What lies at a place in the file.
#[derive(Debug, PartialEq, Eq)]
pub enum Frame<'a> {
    /// A whole record.
    Whole {
        /// The record.
        payload: &'a [u8],
        /// Place of the next frame.
        next: usize,
    },
    /// The file ends here.
    End,
    /// The file ends within the frame.
    Torn,
    /// Neither a record nor the beginning of one.
    Damaged,
}

/// A record's frame at byte `place` of the file.
///
/// # Errors
/// [`TooLarge`].
pub fn encode(place: usize, payload: &[u8]) -> Result<Vec<u8>, TooLarge> {
    let length = u32::try_from(payload.len())
        .ok()
        .filter(|_| payload.len() <= MAX_PAYLOAD);
    let length = length.ok_or(TooLarge(payload.len()))?.to_le_bytes();
    let check = check(place, payload);
    Ok([&length, &length_check(place, &length)[..], payload, &check].concat())
}

/// Reads the frame at byte `place`, which is 0 or the end of another frame.
///
/// # Panics
/// If `place` is behind the end of the file.
pub fn decode(file: &[u8], place: usize) -> Frame<'_> {
    let rest = &file[place..];
    if rest.is_empty() {
        return Frame::End;
    }
    match parse(rest, place) {
        Some(frame) => frame,
        None => Frame::Torn,
    }
}

/// `None` if the file ends first.
fn parse(rest: &[u8], place: usize) -> Option<Frame<'_>> {
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let (check_of_length, rest) = rest.split_first_chunk::<4>()?;
    let size = u32::from_le_bytes(*length) as usize;
    if *check_of_length != length_check(place, length) || size > MAX_PAYLOAD {
        return Some(Frame::Damaged);
    }
    let (payload, rest) = rest.split_at_checked(size)?;
    let (check_of_payload, rest) = rest.split_first_chunk::<CHECK>()?;
    if *check_of_payload == check(place, payload) {
        return Some(Frame::Whole {
            payload,
            next: place + HEAD + size + CHECK,
        });
    }
    // A power cut can leave the last frame in full length with wrong bytes; anywhere else it is
    // damage.
    Some(if rest.is_empty() {
        Frame::Torn
    } else {
        Frame::Damaged
    })
}

fn length_check(place: usize, length: &[u8; 4]) -> [u8; 4] {
    first(keccak256([&(place as u64).to_le_bytes()[..], length].concat()).0)
}

fn check(place: usize, payload: &[u8]) -> [u8; CHECK] {
    first(keccak256([&(place as u64).to_le_bytes()[..], payload].concat()).0)
}

fn first<const N: usize>(hash: [u8; 32]) -> [u8; N] {
    let mut bytes = [0; N];
    bytes.iter_mut().zip(hash).for_each(|(to, from)| *to = from);
    bytes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A file of records.
    fn file(records: &[Vec<u8>]) -> Vec<u8> {
        records.iter().fold(vec![], |mut file, record| {
            file.extend(encode(file.len(), record).unwrap());
            file
        })
    }

    /// Whole records and what follows them.
    fn read(file: &[u8]) -> (Vec<Vec<u8>>, Frame<'_>) {
        let (mut records, mut place) = (vec![], 0);
        loop {
            match decode(file, place) {
                Frame::Whole { payload, next } => (records.push(payload.to_vec()), place = next).0,
                other => return (records, other),
            }
        }
    }

    fn records() -> impl Strategy<Value = Vec<Vec<u8>>> {
        prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 1..6)
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(records in records()) {
            let bytes = file(&records);
            prop_assert_eq!(read(&bytes), (records, Frame::End));
        }

        #[test]
        fn a_cut_tears_only_the_last_frame(records in records(), cut: prop::sample::Index) {
            let whole = file(&records);
            let last = file(&records[..records.len() - 1]).len();
            let cut = last + 1 + cut.index(whole.len() - last - 1);
            prop_assert_eq!(read(&whole[..cut]), (records[..records.len() - 1].to_vec(), Frame::Torn));
        }

        #[test]
        fn a_flipped_bit_before_the_last_frame_is_damage(records in records(), at: prop::sample::Index, bit in 0..8) {
            let mut bytes = file(&records);
            let last = file(&records[..records.len() - 1]).len();
            prop_assume!(last > 0);
            let at = at.index(last);
            bytes[at] ^= 1_u8 << bit;
            prop_assert_eq!(read(&bytes).1, Frame::Damaged);
        }

        #[test]
        fn anything_can_be_read(bytes in prop::collection::vec(any::<u8>(), 0..200), place: prop::sample::Index) {
            decode(&bytes, place.index(bytes.len() + 1));
        }
    }

    #[test]
    fn a_record_has_a_limit() {
        assert_eq!(
            encode(0, &vec![0; MAX_PAYLOAD + 1]),
            Err(TooLarge(MAX_PAYLOAD + 1))
        );
        assert!(encode(0, &vec![0; MAX_PAYLOAD]).is_ok());
    }
}
