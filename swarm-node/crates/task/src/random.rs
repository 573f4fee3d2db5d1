//! Philox streams by name and coordinates, and the draws that task generators share.
//!
//! Invariants: a stream is a pure function of its coordinates, and no two purposes share numbers.

use reproducible_ops::random::{Stream, key_from};

/// The stream of `domain` for the `index`-th item; `coordinates` and `index` select independent
/// streams.
pub(super) fn stream(domain: &str, coordinates: [u64; 4], index: u64) -> Stream {
    let mut job = [0; 32];
    for (bytes, coordinate) in job.chunks_exact_mut(8).zip(coordinates) {
        bytes.copy_from_slice(&coordinate.to_be_bytes());
    }
    Stream::new(
        key_from(domain, &job, &[0; 32]),
        (index >> 32) as u32,
        index as u32,
    )
}

/// A whole number of exactly `digits` digits (1 to 18), one digit meaning 0 to 9.
pub(super) fn with_digits(digits: u32, random: &mut Stream) -> i64 {
    let bound = 10_i64.pow(digits.clamp(1, 18));
    random.range(if digits <= 1 { 0 } else { bound / 10 }, bound - 1)
}

/// One of `items`, each equally likely.
pub(super) fn choose<T: Copy, const N: usize>(items: &[T; N], random: &mut Stream) -> T {
    const { assert!(N > 0) };
    items[random.index(N)]
}

/// A decimal digit as a character.
pub(super) fn digit(random: &mut Stream) -> char {
    char::from(b'0' + random.below(10) as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coordinates_select_streams() {
        let first =
            |domain: &str, coordinates, index| stream(domain, coordinates, index).next_u64();
        let base = first("a", [1, 2, 3, 4], 5);
        assert_eq!(base, first("a", [1, 2, 3, 4], 5));
        for other in [
            first("b", [1, 2, 3, 4], 5),
            first("a", [2, 1, 3, 4], 5),
            first("a", [1, 2, 3, 5], 5),
            first("a", [1, 2, 3, 4], 5 << 32),
        ] {
            assert_ne!(base, other);
        }
    }

    #[test]
    fn numbers_have_the_digits_asked_for() {
        let mut random = stream("digits", [0; 4], 0);
        let drawn: Vec<i64> = (0..2000).map(|_| with_digits(2, &mut random)).collect();
        assert_eq!(
            (drawn.iter().min(), drawn.iter().max()),
            (Some(&10), Some(&99))
        );
        assert!(
            (0..100)
                .map(|_| with_digits(1, &mut random))
                .any(|n| n == 0)
        );
        assert!((0..100).all(|_| digit(&mut random).is_ascii_digit()));
    }
}
