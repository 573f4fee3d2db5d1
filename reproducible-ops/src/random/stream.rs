//! A stream of random numbers for the host: shuffles, ranges and draws.

use super::philox::{block, key_from, uniform_open};

/// Numbers dealt one after the other from Philox blocks (index, sample, 0, 0), (index, sample, 0,
/// 1), ….
///
/// The third and fourth counter words are the high and low half of the block number, so a stream
/// has 2⁶⁶ words. Two streams are independent when key, index or sample differ. A stream and the
/// operator `philox_uniform` must not share a key: give each purpose its own domain in
/// [`key_from`].
#[derive(Clone, Debug)]
pub struct Stream {
    key: [u32; 2],
    index: u32,
    sample: u32,
    next_block: u64,
    words: [u32; 4],
    used: usize,
}

impl Stream {
    /// The stream of a key, numbered by two words.
    pub fn new(key: [u32; 2], index: u32, sample: u32) -> Self {
        Self {
            key,
            index,
            sample,
            next_block: 0,
            words: [0; 4],
            used: 4,
        }
    }

    /// The stream of a purpose and a plain seed, for whatever belongs to no job: the job is the
    /// seed in big-endian bytes after 24 zeros, the beacon is zero.
    pub fn from_seed(domain: &str, seed: u64) -> Self {
        let mut job = [0; 32];
        job[24..].copy_from_slice(&seed.to_be_bytes());
        Self::new(key_from(domain, &job, &[0; 32]), 0, 0)
    }

    /// 32 random bits.
    pub fn next_u32(&mut self) -> u32 {
        if self.used == self.words.len() {
            self.refill();
        }
        let word = self.words[self.used];
        self.used += 1;
        word
    }

    fn refill(&mut self) {
        let (high, low) = ((self.next_block >> 32) as u32, self.next_block as u32);
        self.words = block([self.index, self.sample, high, low], self.key);
        self.next_block = self.next_block.wrapping_add(1);
        self.used = 0;
    }

    /// 64 random bits, the high word first.
    pub fn next_u64(&mut self) -> u64 {
        let high = u64::from(self.next_u32());
        high << 32 | u64::from(self.next_u32())
    }

    /// A number in the open interval (0, 1), with [`uniform_open`].
    pub fn uniform(&mut self) -> f32 {
        uniform_open(self.next_u32())
    }

    /// An unbiased number below `bound`; 0 when `bound` is 0.
    ///
    /// High half of `draw · bound`; draws whose low half falls in the incomplete part are rejected
    /// (Lemire 2019).
    pub fn below(&mut self, bound: u64) -> u64 {
        let incomplete = match bound {
            0 => 0,
            _ => bound.wrapping_neg() % bound,
        };
        loop {
            let product = u128::from(self.next_u64()) * u128::from(bound);
            if product as u64 >= incomplete {
                return (product >> 64) as u64;
            }
        }
    }

    /// An unbiased number between `low` and `high`, both included; `low` when `high` is not above
    /// it.
    pub fn range(&mut self, low: i64, high: i64) -> i64 {
        let span = if high > low { high.abs_diff(low) } else { 0 };
        let offset = match span.checked_add(1) {
            Some(bound) => self.below(bound),
            None => self.next_u64(),
        };
        low.wrapping_add(offset as i64)
    }

    /// An unbiased index into a collection of `len` elements; 0 when it is empty.
    pub fn index(&mut self, len: usize) -> usize {
        self.below(len as u64) as usize
    }

    /// A uniformly drawn element; none from an empty slice.
    pub fn choose<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        let at = self.index(items.len());
        items.get(at)
    }

    /// True with probability `p` (to 2⁻²⁴): never for p ≤ 0, always for p ≥ 1.
    pub fn chance(&mut self, p: f32) -> bool {
        self.uniform() < p
    }

    /// Puts the items in a uniformly random order (Fisher and Yates, from the last place down).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            let other = self.index(last + 1);
            items.swap(last, other);
        }
    }

    /// `count` different numbers below `bound` in random order; all of them when `count` is larger.
    ///
    /// It needs memory for `bound` numbers.
    pub fn distinct(&mut self, count: usize, bound: usize) -> Vec<usize> {
        let mut numbers: Vec<usize> = (0..bound).collect();
        let count = count.min(bound);
        for at in 0..count {
            let other = at + self.index(bound - at);
            numbers.swap(at, other);
        }
        numbers.truncate(count);
        numbers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(seed: u64) -> Stream {
        Stream::from_seed("stream test", seed)
    }

    #[test]
    fn words_come_from_ascending_blocks() {
        let mut stream = Stream::new([5, 6], 7, 8);
        let words: Vec<u32> = (0..8).map(|_| stream.next_u32()).collect();
        assert_eq!(words[..4], block([7, 8, 0, 0], [5, 6]));
        assert_eq!(words[4..], block([7, 8, 0, 1], [5, 6]));
    }

    #[test]
    fn the_block_number_carries_into_the_high_word() {
        let mut stream = Stream {
            next_block: 1 << 32,
            ..Stream::new([5, 6], 7, 8)
        };
        assert_eq!(stream.next_u32(), block([7, 8, 1, 0], [5, 6])[0]);
    }

    #[test]
    fn seeds_and_numbers_give_different_streams() {
        let first = |mut stream: Stream| stream.next_u64();
        assert_eq!(first(stream(1)), first(stream(1)));
        assert_ne!(first(stream(1)), first(stream(2)));
        assert_ne!(
            first(Stream::new([1, 2], 0, 1)),
            first(Stream::new([1, 2], 1, 0))
        );
    }

    #[test]
    fn below_is_uniform() {
        let mut stream = stream(3);
        let mut counts = [0i32; 6];
        for _ in 0..60_000 {
            counts[stream.below(6) as usize] += 1;
        }
        // Five standard deviations of a binomial count of mean 10,000.
        assert!(
            counts.iter().all(|n| (n - 10_000).abs() < 460),
            "{counts:?}"
        );
    }

    #[test]
    fn below_rejects_the_incomplete_part() {
        // Without rejection half of the numbers below 3 · 2⁶² would be multiples of three.
        let (mut stream, bound) = (stream(4), 3u64 << 62);
        let low = (0..30_000).filter(|_| stream.below(bound) % 3 == 0).count();
        assert!(low.abs_diff(10_000) < 410, "{low}");
        assert!((0..1_000).all(|_| stream.below(bound) < bound));
    }

    #[test]
    fn degenerate_requests_have_an_answer() {
        let mut stream = stream(5);
        assert_eq!(
            (stream.below(0), stream.below(1), stream.index(0)),
            (0, 0, 0)
        );
        assert_eq!((stream.range(7, 7), stream.range(9, -9)), (7, 9));
        assert_eq!(stream.choose::<u8>(&[]), None);
        assert!(stream.distinct(3, 0).is_empty());
        assert!(stream.chance(1.0) && !stream.chance(0.0));
    }

    #[test]
    fn range_reaches_both_ends() {
        let mut stream = stream(6);
        let drawn: Vec<i64> = (0..200).map(|_| stream.range(-2, 2)).collect();
        assert!((-2..=2).all(|x| drawn.contains(&x)));
        assert!(drawn.iter().all(|x| (-2..=2).contains(x)));
        let wide: Vec<i64> = (0..100).map(|_| stream.range(i64::MIN, i64::MAX)).collect();
        assert!(wide.iter().any(|x| *x < 0) && wide.iter().any(|x| *x > 0));
    }

    #[test]
    fn shuffle_reaches_every_order_equally() {
        let mut stream = stream(7);
        let mut counts = std::collections::BTreeMap::new();
        for _ in 0..24_000 {
            let mut items = [0, 1, 2, 3];
            stream.shuffle(&mut items);
            *counts.entry(items).or_insert(0i32) += 1;
        }
        assert_eq!(counts.len(), 24);
        assert!(
            counts.values().all(|n| (n - 1_000).abs() < 160),
            "{counts:?}"
        );
    }

    #[test]
    fn distinct_numbers_are_distinct() {
        let mut numbers = stream(8).distinct(50, 80);
        assert_eq!(numbers.len(), 50);
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers.len(), 50);
        assert!(numbers.iter().all(|n| *n < 80));
        assert_eq!(stream(8).distinct(9, 5).len(), 5);
    }
}
