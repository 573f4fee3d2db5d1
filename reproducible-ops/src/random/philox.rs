//! Philox4x32-10 (Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy as 1, 2, 3", SC
//! 2011) and what is drawn from it.

use crate::scalar;
use sha2::{Digest, Sha256};

const MULTIPLIER: [u32; 2] = [0xd251_1f53, 0xcd9e_8d57];
const WEYL: [u32; 2] = [0x9e37_79b9, 0xbb67_ae85];
const ROUNDS: usize = 10;

/// What a block of four words is for: the index of the thing drawn, the sample, the position in it,
/// and the lane.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Counter {
    /// Which question, row or item.
    pub index: u32,
    /// Which sample of it.
    pub sample: u32,
    /// Which position (token) in the sample.
    pub position: u32,
    /// Which block of four words at that position.
    pub lane: u32,
}

impl Counter {
    /// The four counter words, in the order of the fields.
    pub const fn words(self) -> [u32; 4] {
        [self.index, self.sample, self.position, self.lane]
    }
}

/// High and low word of the 64-bit product.
#[inline(always)]
fn wide_mul(a: u32, b: u32) -> (u32, u32) {
    let product = u64::from(a) * u64::from(b);
    ((product >> 32) as u32, product as u32)
}

/// The four random words of one counter.
#[inline(always)]
pub fn block(counter: [u32; 4], key: [u32; 2]) -> [u32; 4] {
    let ([mut c0, mut c1, mut c2, mut c3], [mut k0, mut k1]) = (counter, key);
    for _ in 0..ROUNDS {
        let (high0, low0) = wide_mul(MULTIPLIER[0], c0);
        let (high1, low1) = wide_mul(MULTIPLIER[1], c2);
        [c0, c1, c2, c3] = [high1 ^ c1 ^ k0, low1, high0 ^ c3 ^ k1, low0];
        k0 = k0.wrapping_add(WEYL[0]);
        k1 = k1.wrapping_add(WEYL[1]);
    }
    [c0, c1, c2, c3]
}

/// The key of a purpose: the first eight bytes of SHA-256(domain ‖ job ‖ beacon) as two big-endian
/// words.
///
/// `domain` names the purpose, so that no two purposes share numbers; `job` is the id of the job or
/// swarm. Both ids have a fixed length, so the concatenation is unambiguous.
pub fn key_from(domain: &str, job: &[u8; 32], beacon: &[u8; 32]) -> [u32; 2] {
    let digest = Sha256::new()
        .chain_update(domain)
        .chain_update(job)
        .chain_update(beacon)
        .finalize();
    let word = |at: usize| {
        u32::from_be_bytes([digest[at], digest[at + 1], digest[at + 2], digest[at + 3]])
    };
    [word(0), word(4)]
}

/// A word as a number in the open interval (0, 1): `(2 · ⌊word / 2⁹⌋ + 1) · 2⁻²⁴`, exact in f32.
#[inline(always)]
pub fn uniform_open(word: u32) -> f32 {
    // Fewer than 2²⁴, so the signed conversion, which every vector unit has, is exact.
    let odd = ((word >> 9) << 1) | 1;
    odd as i32 as f32 * (1.0 / 16_777_216.0)
}

/// Gumbel noise from a uniform number of the open interval: `neg(log(neg(log(u))))`.
///
/// From [`uniform_open`] it lies in [−2.82, 16.64], with an absolute error of at most 5.4e−7 (all
/// 2²³ numbers).
#[inline(always)]
pub fn gumbel(u: f32) -> f32 {
    scalar::neg(scalar::log(scalar::neg(scalar::log(u))))
}

/// Element `l` of row `counter` of the program operator `philox_uniform`.
///
/// It is word `l mod 4` of the block with counter `(counter[0], counter[1], counter[2], ⌊l / 4⌋)`,
/// as a uniform number.
#[inline(always)]
pub fn uniform_at(key: [u32; 2], counter: [u32; 3], l: u32) -> f32 {
    let [index, sample, position] = counter;
    let words = block([index, sample, position, l / 4], key);
    uniform_open(words[(l % 4) as usize])
}

/// Blocks computed side by side: one per lane of the widest vector unit.
const WIDE: usize = 16;

/// The uniform numbers of [`WIDE`] consecutive blocks, word by word, so that the loop vectorises.
#[inline(always)]
fn wide_uniform(key: [u32; 2], counter: [u32; 3], first: u32) -> [[f32; WIDE]; 4] {
    let [index, sample, position] = counter;
    let mut numbers = [[0.0; WIDE]; 4];
    for at in 0..WIDE {
        let words = block(
            [index, sample, position, first.wrapping_add(at as u32)],
            key,
        );
        for (number, word) in numbers.iter_mut().zip(words) {
            number[at] = uniform_open(word);
        }
    }
    numbers
}

/// Row `counter` of the program operator `philox_uniform`: `row[l] = uniform_at(key, counter, l)`.
///
/// A row has at most 2³² elements.
#[inline(always)]
pub fn fill_uniform(key: [u32; 2], counter: [u32; 3], row: &mut [f32]) {
    for (group, numbers) in row.chunks_mut(4 * WIDE).enumerate() {
        let drawn = wide_uniform(key, counter, (group * WIDE) as u32);
        for (at, four) in numbers.chunks_mut(4).enumerate() {
            for (x, word) in four.iter_mut().zip(&drawn) {
                *x = word[at];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The three published vectors for philox4x32 with ten rounds (Random123, `kat_vectors`).
    #[test]
    fn known_answers() {
        let zeros = block([0; 4], [0; 2]);
        assert_eq!(zeros, [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
        let ones = block([u32::MAX; 4], [u32::MAX; 2]);
        assert_eq!(ones, [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]);
        let pi = block(
            [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344],
            [0xa409_3822, 0x299f_31d0],
        );
        assert_eq!(pi, [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]);
    }

    #[test]
    fn uniform_is_open_and_exact() {
        assert_eq!(uniform_open(0), 2f32.powi(-24));
        assert_eq!(uniform_open(511), 2f32.powi(-24));
        assert_eq!(uniform_open(512), 3.0 * 2f32.powi(-24));
        assert_eq!(uniform_open(u32::MAX), 1.0 - 2f32.powi(-24));
        for word in (0..=u32::MAX).step_by(65_521) {
            let exact = f64::from(2 * (word >> 9) + 1) / 16_777_216.0;
            assert_eq!(f64::from(uniform_open(word)), exact);
        }
    }

    #[test]
    fn gumbel_is_finite_and_close() {
        for word in (0..=u32::MAX).step_by(65_521).chain([u32::MAX]) {
            let u = uniform_open(word);
            let want = -(-f64::from(u).ln()).ln();
            let got = f64::from(gumbel(u));
            assert!((-2.82..16.65).contains(&got), "{got}");
            assert!(
                (got - want).abs() <= 3e-7 * want.abs().max(1.0),
                "{u}: {got} against {want}"
            );
        }
    }

    #[test]
    fn a_row_is_its_elements() {
        let (key, counter) = ([7, 9], [1, u32::MAX, 3]);
        for len in [0, 1, 3, 4, 5, 63, 64, 257] {
            let mut row = vec![0.0; len];
            fill_uniform(key, counter, &mut row);
            for (l, x) in row.iter().enumerate() {
                assert_eq!(x.to_bits(), uniform_at(key, counter, l as u32).to_bits());
                let words = block([1, u32::MAX, 3, l as u32 / 4], key);
                assert_eq!(*x, uniform_open(words[l % 4]));
            }
        }
    }

    #[test]
    fn keys_depend_on_every_part() {
        let (a, b) = ([0u8; 32], [1u8; 32]);
        let key = key_from("shuffle", &a, &b);
        let digest = Sha256::digest([b"shuffle".as_slice(), &a, &b].concat());
        assert_eq!(key[0].to_be_bytes(), digest[..4]);
        assert_eq!(key[1].to_be_bytes(), digest[4..8]);
        for other in [
            key_from("shuffl", &a, &b),
            key_from("shuffle", &b, &b),
            key_from("shuffle", &a, &a),
        ] {
            assert_ne!(key, other);
        }
    }

    #[test]
    fn counter_fields_are_words() {
        let counter = Counter {
            index: 1,
            sample: 2,
            position: 3,
            lane: 4,
        };
        assert_eq!(counter.words(), [1, 2, 3, 4]);
    }
}
