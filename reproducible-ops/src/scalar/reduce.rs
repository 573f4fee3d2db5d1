//! Reductions along a slice: a 256-ary tree whose order of operations is part of the result.
//!
//! ```text
//! elements   e0 … e255 | e256 … e511 | …         leaf blocks: dot → one fma chain, sum → sixteen add chains
//! level 1       b0     |     b1      | …         blocks of 256 numbers, each one ascending chain of add from +0
//! level 2                  …                     and so on until one number is left
//! ```
//!
//! * The chain of additions is walked **even when there is a single block**. An `fma` chain can end
//!   in −0 when a product underflows (`fma(−2⁻¹⁰⁰, 2⁻¹⁰⁰, +0)` rounds to −0); `add(+0, −0)` is +0,
//!   so a result is never −0 and zeros appended to the inputs change nothing. Padded, bucketed and
//!   packed execution have equal bits.
//! * For the same reason a level over a single number returns that number: the depth of the tree
//!   does not matter.
//! * The empty reduction is +0 for `dot` and `sum`, −inf for `max`, none for `argmax`.

use super::{add, canon, fma};

/// Numbers per block on every level.
pub const BLOCK: usize = 256;
/// Interleaved chains inside a leaf block of a sum.
pub const LANES: usize = 16;
/// 256⁸ numbers are more than a slice can hold.
const LEVELS: usize = 8;

/// The levels above the leaf blocks, as a running sum: push block numbers in order, then finish.
///
/// It needs no memory beyond itself, however many blocks come.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    chain: [f32; LEVELS],
    count: [usize; LEVELS],
}

impl Tree {
    /// A tree without blocks; finishing it gives +0.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the next block number.
    pub fn push(&mut self, block: f32) {
        let mut carry = block;
        for (chain, count) in self.chain.iter_mut().zip(&mut self.count) {
            *chain = add(*chain, carry);
            *count += 1;
            if *count < BLOCK {
                return;
            }
            carry = std::mem::take(chain);
            *count = 0;
        }
    }

    /// Closes the open blocks from the lowest level up.
    pub fn finish(&self) -> f32 {
        // An empty level passes +0 on, which changes no chain, for no chain is ever −0.
        self.chain
            .iter()
            .fold(0.0, |carry, &chain| add(chain, carry))
    }
}

/// One ascending chain of `add` from +0: the reduction of one block above the leaves.
#[inline(always)]
pub fn chain(xs: &[f32]) -> f32 {
    canon(xs.iter().fold(0.0, |acc, &x| acc + x))
}

/// The leaf block of a dot product: one ascending chain of `fma` from +0. It may be −0.
#[inline(always)]
pub fn dot_block(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).fold(0.0, |acc, (&x, &y)| fma(x, y, acc))
}

/// The leaf block of a sum: lane l adds elements l, l + 16, l + 32, … from +0, then one chain runs
/// over the lanes.
#[inline(always)]
pub fn sum_block(xs: &[f32]) -> f32 {
    let (rows, rest) = xs.as_chunks::<LANES>();
    let mut lanes = [0.0f32; LANES];
    for row in rows {
        for l in 0..LANES {
            lanes[l] += row[l];
        }
    }
    for (lane, &x) in lanes.iter_mut().zip(rest) {
        *lane += x;
    }
    chain(&lanes)
}

/// Inner product of two vectors.
///
/// # Panics
/// When the lengths differ: the shapes of a program are checked before it runs.
#[inline(always)]
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(
        a.len(),
        b.len(),
        "a dot product needs two vectors of one length"
    );
    let mut tree = Tree::new();
    for (a, b) in a.chunks(BLOCK).zip(b.chunks(BLOCK)) {
        tree.push(dot_block(a, b));
    }
    tree.finish()
}

/// Sum of all elements; +0 when there are none.
#[inline(always)]
pub fn sum(xs: &[f32]) -> f32 {
    if xs.len() <= BLOCK {
        // The levels above would add +0, and a chain is never −0.
        return sum_block(xs);
    }
    if xs.len() <= BLOCK * BLOCK {
        // One chain over the blocks, to which the levels above would add +0.
        let blocks = xs.chunks(BLOCK).map(sum_block);
        return blocks.fold(0.0, add);
    }
    let mut tree = Tree::new();
    for block in xs.chunks(BLOCK) {
        tree.push(sum_block(block));
    }
    tree.finish()
}

/// The largest element under [`super::max`], whose order does not matter; NaN if any is NaN, −inf
/// when there are none.
#[inline(always)]
pub fn max(xs: &[f32]) -> f32 {
    let (rows, rest) = xs.as_chunks::<LANES>();
    let mut lanes = [f32::NEG_INFINITY; LANES];
    for row in rows {
        for l in 0..LANES {
            lanes[l] = super::max(lanes[l], row[l]);
        }
    }
    for (lane, &x) in lanes.iter_mut().zip(rest) {
        *lane = super::max(*lane, x);
    }
    for half in [8, 4, 2, 1] {
        for l in 0..half {
            lanes[l] = super::max(lanes[l], lanes[l + half]);
        }
    }
    lanes[0]
}

/// The lowest index whose (canonical) bits are those of [`max`]: the first NaN if there is one, and
/// +0 before −0.
///
/// None for an empty slice.
#[inline(always)]
pub fn argmax(xs: &[f32]) -> Option<usize> {
    let largest = max(xs).to_bits();
    xs.iter().position(|&x| canon(x).to_bits() == largest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Stream;
    use proptest::prelude::*;

    const SIZES: [usize; 13] = [
        0, 1, 2, 15, 16, 17, 255, 256, 257, 511, 4_096, 65_537, 66_000,
    ];

    /// Values of mixed magnitude, so that any other order of operations shows.
    fn values(seed: u64, len: usize) -> Vec<f32> {
        let mut stream = Stream::from_seed("reduce test", seed);
        let draw = |_| (stream.uniform() - 0.5) * 2f32.powi(stream.range(-12, 12) as i32);
        (0..len).map(draw).collect()
    }

    /// The rule read aloud: blocks to numbers, then levels of chains until one number is left.
    fn by_levels(mut level: Vec<f32>) -> f32 {
        while level.len() > BLOCK {
            level = level.chunks(BLOCK).map(ascending).collect();
        }
        ascending(&level)
    }

    fn ascending(xs: &[f32]) -> f32 {
        let mut acc = 0.0;
        for &x in xs {
            acc = add(acc, x);
        }
        acc
    }

    fn sixteen_chains(block: &[f32]) -> f32 {
        let lane = |l: usize| -> Vec<f32> { block.iter().skip(l).step_by(16).copied().collect() };
        ascending(&(0..16).map(|l| ascending(&lane(l))).collect::<Vec<_>>())
    }

    fn spelled_sum(xs: &[f32]) -> f32 {
        by_levels(xs.chunks(256).map(sixteen_chains).collect())
    }

    fn spelled_dot(a: &[f32], b: &[f32]) -> f32 {
        let block = |(a, b): (&[f32], &[f32])| {
            let mut acc = 0.0;
            for k in 0..a.len() {
                acc = fma(a[k], b[k], acc);
            }
            acc
        };
        by_levels(a.chunks(256).zip(b.chunks(256)).map(block).collect())
    }

    #[test]
    fn sum_and_dot_follow_the_rule() {
        for len in SIZES {
            let (a, b) = (values(1, len), values(2, len));
            assert_eq!(sum(&a).to_bits(), spelled_sum(&a).to_bits(), "sum of {len}");
            assert_eq!(
                dot(&a, &b).to_bits(),
                spelled_dot(&a, &b).to_bits(),
                "dot of {len}"
            );
        }
    }

    #[test]
    fn three_levels_follow_the_rule() {
        let xs = values(3, 256 * 256 * 2 + 77);
        assert_eq!(sum(&xs).to_bits(), spelled_sum(&xs).to_bits());
    }

    #[test]
    fn the_order_shows() {
        let xs = values(4, 257);
        let plain = xs.iter().fold(0.0, |acc, x| acc + x);
        assert_ne!(sum(&xs).to_bits(), plain.to_bits());
    }

    #[test]
    fn empty_reductions() {
        assert_eq!(sum(&[]).to_bits(), 0);
        assert_eq!(dot(&[], &[]).to_bits(), 0);
        assert_eq!(chain(&[]).to_bits(), 0);
        assert_eq!(max(&[]), f32::NEG_INFINITY);
        assert_eq!(argmax(&[]), None);
    }

    #[test]
    fn an_underflowing_product_leaves_no_negative_zero() {
        let tiny = 2f32.powi(-100);
        assert_eq!(dot_block(&[-tiny], &[tiny]).to_bits(), 0x8000_0000);
        assert_eq!(dot(&[-tiny], &[tiny]).to_bits(), 0);
        assert_eq!(dot(&[-tiny, 0.0], &[tiny, 0.0]).to_bits(), 0);
        assert_eq!(dot(&[-tiny; 300], &[tiny; 300]).to_bits(), 0);
    }

    #[test]
    fn nan_and_infinity_pass_through() {
        for len in [1, 17, 257, 1_000] {
            let mut xs = vec![1.0; len];
            xs[len / 2] = f32::NEG_INFINITY;
            assert_eq!((sum(&xs), max(&xs[..1])), (f32::NEG_INFINITY, xs[0]));
            xs[len - 1] = -f32::NAN;
            let ones = vec![1.0; len];
            for got in [sum(&xs), max(&xs), dot(&xs, &ones), chain(&xs)] {
                assert_eq!(got.to_bits(), crate::scalar::CANONICAL_NAN);
            }
            assert_eq!(argmax(&xs), Some(len - 1));
        }
    }

    #[test]
    fn argmax_takes_the_first_of_equals() {
        assert_eq!(argmax(&[1.0, 3.0, 3.0, 2.0]), Some(1));
        assert_eq!(argmax(&[-0.0, 0.0, 0.0]), Some(1));
        assert_eq!(argmax(&[f32::NEG_INFINITY; 40]), Some(0));
        assert_eq!(argmax(&[f32::INFINITY, f32::NAN, -f32::NAN]), Some(1));
    }

    /// Any finite float, with many zeros of both signs, subnormals and products that underflow.
    fn any_finite() -> impl Strategy<Value = f32> {
        let bits = any::<u32>()
            .prop_map(f32::from_bits)
            .prop_filter("finite", |x| x.is_finite());
        let small = (any::<bool>(), 0u32..0x2000_0000)
            .prop_map(|(sign, bits)| f32::from_bits(bits | u32::from(sign) << 31));
        prop_oneof![bits, small, Just(0.0), Just(-0.0), -2.0f32..2.0]
    }

    proptest! {
        #[test]
        fn trailing_zeros_change_nothing(
            pairs in prop::collection::vec((any_finite(), any_finite()), 0..600),
            zeros in prop::collection::vec(prop_oneof![Just(0.0), Just(-0.0)], 0..600),
        ) {
            let (mut a, mut b): (Vec<f32>, Vec<f32>) = pairs.into_iter().unzip();
            let before = (sum(&a).to_bits(), dot(&a, &b).to_bits());
            prop_assert!(before.0 != 0x8000_0000 && before.1 != 0x8000_0000);
            a.extend(&zeros);
            b.extend(zeros.iter().rev());
            prop_assert_eq!((sum(&a).to_bits(), dot(&a, &b).to_bits()), before);
        }

        #[test]
        fn max_does_not_depend_on_order(xs in prop::collection::vec(any::<u32>(), 1..100)) {
            let mut xs: Vec<f32> = xs.into_iter().map(f32::from_bits).collect();
            let expected = max(&xs).to_bits();
            xs.reverse();
            prop_assert_eq!(max(&xs).to_bits(), expected);
            let folded = xs.iter().fold(f32::NEG_INFINITY, |m, &x| crate::scalar::max(x, m));
            prop_assert_eq!(folded.to_bits(), expected);
            let at = argmax(&xs).unwrap();
            prop_assert_eq!(canon(xs[at]).to_bits(), expected);
            prop_assert!(xs[..at].iter().all(|&x| canon(x).to_bits() != expected));
        }
    }
}
