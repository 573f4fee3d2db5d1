//! Operands that make an implementation of binary32 stumble, drawn from a seed.
//!
//! Uniform bits almost never meet a tie, a cancellation or a subnormal result, so most families
//! aim: they choose the distance of exponents that an operation aligns or rounds at, and mantissas
//! of few bits or long runs.

use crate::random::Random;

/// Up to three operands; an operation of fewer takes the first.
pub type Operands = [u32; 3];
/// A family of cases.
pub type Family = fn(&mut Random) -> Operands;

const SIGN: u32 = 0x8000_0000;
const MANTISSA: u32 = 0x007f_ffff;

/// Mantissas next to powers of two, to halves and to the middle.
const MANTISSAS: [u32; 12] = [
    0, 1, 2, 3, 0x3f_ffff, 0x40_0000, 0x40_0001, 0x55_5555, 0x60_0000, 0x7f_fffd, 0x7f_fffe,
    0x7f_ffff,
];
/// Exponent fields at the ends, around one, and where a product or quotient leaves the range.
const EXPONENTS: [u32; 20] = [
    0, 1, 2, 23, 24, 25, 63, 64, 102, 103, 126, 127, 128, 150, 151, 190, 191, 252, 253, 254,
];
/// Infinity, and NaNs of either kind.
const SPECIAL: [u32; 4] = [0x7f80_0000, 0x7f80_0001, 0x7fc0_0000, 0x7fff_ffff];

/// Every combination of an exponent and a mantissa above, and the special values, with both signs.
pub fn edges() -> Vec<u32> {
    let finite = EXPONENTS
        .iter()
        .flat_map(|e| MANTISSAS.iter().map(move |m| e << 23 | m));
    finite.chain(SPECIAL).flat_map(|x| [x, x | SIGN]).collect()
}

/// Random bits.
pub fn uniform(random: &mut Random) -> Operands {
    [random.bits(), random.bits(), random.bits()]
}

/// Three edge values.
pub fn corners(random: &mut Random) -> Operands {
    let edges = edges();
    [
        random.pick(&edges),
        random.pick(&edges),
        random.pick(&edges),
    ]
}

/// Numbers between 2^-8 and 2^8, as they occur in training.
pub fn ordinary(random: &mut Random) -> Operands {
    [0; 3].map(|_| float(random, |random| random.between(119, 135)))
}

/// Subnormal numbers and those just above them.
pub fn tiny(random: &mut Random) -> Operands {
    [0; 3].map(|_| float(random, |random| random.between(0, 26)))
}

/// A third operand near to minus the sum and to minus the product of the others, which themselves
/// nearly cancel.
pub fn cancelling(random: &mut Random) -> Operands {
    let a = float(random, |random| random.between(0, 254));
    let b = (a ^ SIGN).wrapping_add(random.between(-4, 4) as u32);
    let factor = float(random, |random| random.between(60, 190));
    if random.bits() & 1 == 0 {
        return [a, b, factor];
    }
    let product = f32::from_bits(a) * f32::from_bits(factor);
    [
        a,
        factor,
        (product.to_bits() ^ SIGN).wrapping_add(random.between(-4, 4) as u32),
    ]
}

/// Sums whose operands are 0 to 60 binades apart, either way.
pub fn aligned_sum(random: &mut Random) -> Operands {
    let base = random.between(0, 254);
    let gap = random.between(-60, 60);
    [
        float(random, |_| base),
        float(random, |_| (base + gap).clamp(0, 254)),
        random.bits(),
    ]
}

/// Fused sums whose product is 0 to 60 binades from the third operand, either way.
pub fn aligned_fma(random: &mut Random) -> Operands {
    let (a, b) = (random.between(0, 254), random.between(0, 254));
    let c = a + b - 127 + random.between(-60, 60);
    [
        float(random, |_| a),
        float(random, |_| b),
        float(random, |_| c.clamp(0, 254)),
    ]
}

/// Products at the lower end: subnormal, or at the edge of vanishing, with and without something
/// added.
pub fn small_product(random: &mut Random) -> Operands {
    let a = random.between(1, 127);
    let b = random.between(127 - 26, 128) - a;
    [
        float(random, |_| a),
        float(random, |_| b.max(0)),
        float(random, |random| random.between(0, 3)),
    ]
}

/// Products and sums at the upper end.
pub fn large_product(random: &mut Random) -> Operands {
    let a = random.between(127, 254);
    let b = random.between(127 + 253, 127 + 256) - a;
    [
        float(random, |_| a),
        float(random, |_| b.clamp(0, 254)),
        float(random, |random| random.between(229, 254)),
    ]
}

/// Quotients at both ends.
pub fn extreme_quotient(random: &mut Random) -> Operands {
    let a = random.between(0, 254);
    let edge = if a < 127 {
        random.between(-152, -125)
    } else {
        random.between(126, 129)
    };
    [
        float(random, |_| a),
        float(random, |_| (a - edge).clamp(0, 254)),
        random.bits(),
    ]
}

/// A dividend next to a multiple of the divisor, so that quotients are next to floats and to their
/// middles.
pub fn near_multiple(random: &mut Random) -> Operands {
    let (quotient, divisor) = (
        random.bits() & 0x1ff_ffff | 0x100_0000,
        random.bits() & MANTISSA | 0x80_0000,
    );
    let dividend = (f64::from(quotient) * f64::from(divisor)) as f32;
    let exponent = (random.between(2, 250) as u32) << 23;
    let dividend = dividend
        .to_bits()
        .wrapping_add(random.between(-1, 1) as u32);
    [
        dividend & MANTISSA | exponent,
        (divisor as f32).to_bits(),
        random.bits(),
    ]
}

/// Squares of numbers of 1 to 25 bits, and their neighbours: roots that are floats, or next to the
/// middle of two.
pub fn near_square(random: &mut Random) -> Operands {
    let root = f64::from((random.bits() & 0x1ff_ffff | 0x100_0000) >> random.between(0, 24));
    let square = ((root * root) as f32)
        .to_bits()
        .wrapping_add(random.between(-1, 1) as u32);
    let even = (random.between(-80, 40) * 2) << 23;
    [square.wrapping_add(even as u32) & !SIGN, 0, 0]
}

/// A float with a random sign, the exponent field asked for, and a mantissa of one of several
/// kinds.
fn float(random: &mut Random, exponent: impl FnOnce(&mut Random) -> i32) -> u32 {
    let field = exponent(random) as u32;
    random.bits() & SIGN | field << 23 | mantissa(random)
}

/// Any mantissa, one of few bits at either end, a run of ones, or a listed one.
fn mantissa(random: &mut Random) -> u32 {
    let (bits, shift) = (random.bits() & MANTISSA, random.between(0, 22));
    match random.between(0, 4) {
        0 => bits,
        1 => bits >> shift,
        2 => bits << shift & MANTISSA,
        3 => MANTISSA << shift & MANTISSA,
        _ => random.pick(&MANTISSAS),
    }
}
