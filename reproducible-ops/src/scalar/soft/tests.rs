//! The twin against the hardware: edge cases in all combinations, a million random cases per
//! operation in several distributions, and the alignments that random cases miss.

use super::*;
use crate::random::Stream;
use crate::scalar;

const RANDOM_CASES: usize = 1_200_000;

/// Zeros, ends of the subnormals and normals, powers of two and their neighbours, NaN of several
/// payloads.
fn edges() -> Vec<u32> {
    let mut magnitudes = vec![
        0,
        1,
        2,
        3,
        0x0040_0000,
        0x0055_5555,
        0x007f_fffe,
        0x007f_ffff,
    ];
    for exponent in [
        1u32, 2, 23, 24, 25, 63, 64, 102, 103, 126, 127, 128, 150, 151, 190, 191, 252, 253, 254,
    ] {
        let base = exponent << 23;
        magnitudes.extend([base, base + 1, base + 0x0040_0000, base + 0x007f_ffff]);
    }
    magnitudes.extend([INFINITY, INFINITY + 1, CANONICAL_NAN, 0x7fff_ffff]);
    let negative: Vec<u32> = magnitudes.iter().map(|m| m | SIGN).collect();
    magnitudes.into_iter().chain(negative).collect()
}

/// Bits in one of several distributions: any, close exponents, few leading or trailing mantissa
/// bits, subnormal, near the bottom and near the top of the range.
fn draw(stream: &mut Stream) -> u32 {
    let (bits, kind, amount) = (stream.next_u32(), stream.next_u32() % 8, stream.next_u32());
    let (sign, mantissa, shift) = (bits & SIGN, bits & MANTISSA, amount % 23);
    let with_exponent = |biased: u32| sign | (biased << 23) | mantissa;
    match kind {
        0 | 1 => bits,
        2 => with_exponent(120 + amount % 16),
        3 => (bits & !MANTISSA) | ((mantissa << shift) & MANTISSA),
        4 => (bits & !MANTISSA) | (mantissa >> shift),
        5 => sign | (mantissa >> shift),
        6 => with_exponent(amount % 30),
        _ => with_exponent(225 + amount % 30),
    }
}

type Unary = (&'static str, fn(u32) -> u32, fn(f32) -> f32);
type Binary = (&'static str, fn(u32, u32) -> u32, fn(f32, f32) -> f32);

const BINARY: [Binary; 4] = [
    ("add", add, scalar::add),
    ("sub", sub, scalar::sub),
    ("mul", mul, scalar::mul),
    ("div", div, scalar::div),
];
const SQRT: Unary = ("sqrt", sqrt, scalar::sqrt);

fn check1((name, soft, hard): Unary, a: u32) {
    let (got, want) = (soft(a), hard(f32::from_bits(a)).to_bits());
    assert_eq!(
        got, want,
        "{name}({a:#010x}): {got:#010x} against {want:#010x}"
    );
}

fn check2((name, soft, hard): Binary, a: u32, b: u32) {
    let (got, want) = (
        soft(a, b),
        hard(f32::from_bits(a), f32::from_bits(b)).to_bits(),
    );
    assert_eq!(
        got, want,
        "{name}({a:#010x}, {b:#010x}): {got:#010x} against {want:#010x}"
    );
}

fn check_fma(a: u32, b: u32, c: u32) {
    let want = scalar::fma(f32::from_bits(a), f32::from_bits(b), f32::from_bits(c)).to_bits();
    let got = fma(a, b, c);
    assert_eq!(
        got, want,
        "fma({a:#010x}, {b:#010x}, {c:#010x}): {got:#010x} against {want:#010x}"
    );
}

#[test]
fn edge_cases_in_all_combinations() {
    let edges = edges();
    for &a in &edges {
        check1(SQRT, a);
        for &b in &edges {
            BINARY.iter().for_each(|&operation| check2(operation, a, b));
            edges.iter().for_each(|&c| check_fma(a, b, c));
        }
    }
}

#[test]
fn random_cases_of_two_operands() {
    let mut stream = Stream::from_seed("soft two operands", 1);
    for _ in 0..RANDOM_CASES {
        let (a, b) = (draw(&mut stream), draw(&mut stream));
        BINARY.iter().for_each(|&operation| check2(operation, a, b));
    }
}

#[test]
fn random_cases_of_sqrt() {
    let mut stream = Stream::from_seed("soft sqrt", 1);
    for _ in 0..RANDOM_CASES {
        check1(SQRT, draw(&mut stream) & !SIGN);
    }
}

#[test]
fn random_cases_of_fma() {
    let mut stream = Stream::from_seed("soft fma", 1);
    for _ in 0..RANDOM_CASES {
        let (a, b, c) = (draw(&mut stream), draw(&mut stream), draw(&mut stream));
        check_fma(a, b, c);
    }
}

/// A third operand whose leading bit lies `gap` binades above (or below) that of the product of `a`
/// and `b`.
fn addend(a: u32, b: u32, gap: i32, mantissa: u32) -> u32 {
    let product = f64::from(f32::from_bits(a)) * f64::from(f32::from_bits(b));
    let exponent = (product.abs().to_bits() >> 52) as i32 - 1023 + gap;
    let magnitude = match exponent {
        -126..=127 => ((exponent + 127) as u32) << 23 | mantissa & MANTISSA,
        -149..=-127 => (mantissa & MANTISSA | IMPLICIT) >> (-126 - exponent),
        _ => mantissa & MANTISSA,
    };
    magnitude | mantissa & SIGN
}

#[test]
fn fma_at_every_alignment() {
    let mut stream = Stream::from_seed("soft fma alignment", 1);
    for gap in -80..=80 {
        for _ in 0..6_000 {
            let (a, b) = (draw(&mut stream), draw(&mut stream));
            let mantissa = stream.next_u32() & if stream.chance(0.5) { u32::MAX } else { SIGN };
            check_fma(a, b, addend(a, b, gap, mantissa));
        }
    }
}

/// Two normal numbers whose product has this exponent, give or take one.
fn factors(stream: &mut Stream, exponent: i32) -> (u32, u32) {
    let first = stream.range(-126, 126 + i64::from(exponent).min(0)) as i32;
    let second = (exponent - first).clamp(-126, 127);
    let mut word =
        |exponent: i32| stream.next_u32() & (SIGN | MANTISSA) | ((exponent + 127) as u32) << 23;
    (word(first), word(second))
}

#[test]
fn fma_with_subnormals_eighteen_to_thirty_binades_apart() {
    let mut stream = Stream::from_seed("soft fma subnormals", 1);
    for gap in 18..=30 {
        for _ in 0..40_000 {
            let digits = stream.next_u32() % 23;
            let subnormal = (1 << digits) | (stream.next_u32() & ((1 << digits) - 1));
            let c = subnormal | stream.next_u32() & SIGN;
            for gap in [gap, -gap] {
                let (a, b) = factors(&mut stream, digits as i32 - 149 + gap);
                check_fma(a, b, c);
            }
        }
    }
}

#[test]
fn ties_go_to_even() {
    let half = |x: f32| (x * 0.5).to_bits();
    for bits in [
        0x3f80_0000u32,
        0x3f80_0001,
        0x3fff_ffff,
        0x0080_0001,
        0x7f7f_ffff,
    ] {
        let x = f32::from_bits(bits);
        let ulp = f32::from_bits(bits) - f32::from_bits(bits - 1);
        check2(BINARY[0], bits, half(ulp));
        check2(BINARY[1], bits, half(ulp));
        check_fma(bits, 1f32.to_bits(), half(ulp));
        check2(BINARY[2], half(x), 1f32.to_bits());
    }
    // Odd subnormals halved are ties at the bottom of the range.
    for bits in 1..2_000 {
        check2(BINARY[2], bits, 0.5f32.to_bits());
        check2(BINARY[3], bits, 2f32.to_bits());
        check_fma(bits, 0.5f32.to_bits(), bits);
    }
}

#[test]
fn overflow_thresholds() {
    let largest = f32::MAX.to_bits();
    let half_ulp = 2f32.powi(103);
    for step in -2..=2i32 {
        let near = half_ulp.to_bits().wrapping_add_signed(step);
        check2(BINARY[0], largest, near);
        check_fma(largest, 1f32.to_bits(), near);
        check2(BINARY[2], largest, 1f32.to_bits().wrapping_add_signed(step));
        check2(BINARY[3], largest, 1f32.to_bits().wrapping_add_signed(step));
    }
    assert_eq!(add(largest, half_ulp.to_bits()), INFINITY);
    assert_eq!(add(largest, half_ulp.to_bits() - 1), largest);
}

#[test]
fn results_at_the_subnormal_boundary() {
    let smallest_normal = f32::MIN_POSITIVE.to_bits();
    let mut stream = Stream::from_seed("soft boundary", 1);
    for _ in 0..200_000 {
        let a = stream.next_u32() & MANTISSA | (1 + stream.next_u32() % 200) << 23;
        // A factor that brings the product within a few units of 2⁻¹²⁶.
        let b = div(smallest_normal, a).wrapping_add_signed(stream.range(-3, 3) as i32);
        check2(BINARY[2], a, b);
        check2(BINARY[3], smallest_normal + stream.next_u32() % 8, b);
        check_fma(a, b, stream.next_u32() & (SIGN | 7));
    }
}
