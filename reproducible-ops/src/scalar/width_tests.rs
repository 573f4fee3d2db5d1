//! The same loops compiled for each instruction set of this machine give the same bits.

use super::{cast, compare, reduce};
use crate::random::{self, Stream};

/// The row of `select`, which moves its operands as they are.
const SELECTION: usize = 21;

/// One row of results per operation: plain loops, which the compiler turns into code of the
/// caller's width.
#[inline(always)]
fn every_operation(x: &[f32], y: &[f32]) -> Vec<Vec<f32>> {
    let mut rows = Vec::new();
    macro_rules! unary {
        ($($f:expr),*) => {$(
            let mut row = vec![0.0; x.len()];
            for (r, &x) in row.iter_mut().zip(x) {
                *r = $f(x);
            }
            rows.push(row);
        )*};
    }
    macro_rules! binary {
        ($($f:expr),*) => {$(
            let mut row = vec![0.0; x.len()];
            for ((r, &x), &y) in row.iter_mut().zip(x).zip(y) {
                *r = $f(x, y);
            }
            rows.push(row);
        )*};
    }
    unary!(
        super::neg,
        super::abs,
        super::sqrt,
        super::exp,
        super::log,
        super::tanh
    );
    unary!(
        super::sigmoid,
        super::silu,
        super::gelu,
        super::canon,
        random::gumbel
    );
    unary!(|x| cast::i32_to_f32(cast::f32_to_i32(x)), |x: f32| {
        random::uniform_open(x.to_bits())
    });
    binary!(
        super::add,
        super::sub,
        super::mul,
        super::div,
        super::max,
        super::min
    );
    binary!(|x, y| super::fma(x, y, x), |x, y| super::fma(x, x, y));
    binary!(|x, y| compare::select(compare::lt(x, y), x, y));
    let mut row = vec![0.0; x.len()];
    random::fill_uniform([1, 2], [3, 4, 5], &mut row);
    rows.push(row);
    rows.push(vec![
        reduce::sum(y),
        reduce::dot(x, y),
        reduce::max(x),
        reduce::max(y),
    ]);
    rows
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn with_avx2(x: &[f32], y: &[f32]) -> Vec<Vec<f32>> {
    every_operation(x, y)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,fma")]
fn with_avx512(x: &[f32], y: &[f32]) -> Vec<Vec<f32>> {
    every_operation(x, y)
}

/// Each instruction set that this machine has, and the rows computed with it.
#[cfg(target_arch = "x86_64")]
fn each_width(x: &[f32], y: &[f32]) -> Vec<(&'static str, Vec<Vec<f32>>)> {
    let mut all = Vec::new();
    if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
        // SAFETY: the features are there.
        all.push(("avx2", unsafe { with_avx2(x, y) }));
    }
    let avx512 = is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512vl");
    if avx512 && is_x86_feature_detected!("avx512dq") && is_x86_feature_detected!("avx512bw") {
        // SAFETY: the features are there; every processor with AVX-512 has FMA.
        all.push(("avx512", unsafe { with_avx512(x, y) }));
    }
    all
}

#[cfg(not(target_arch = "x86_64"))]
fn each_width(_: &[f32], _: &[f32]) -> Vec<(&'static str, Vec<Vec<f32>>)> {
    Vec::new()
}

/// Any bits, then every pair of special values, then moderate numbers.
fn inputs() -> (Vec<f32>, Vec<f32>) {
    let mut stream = Stream::from_seed("vector width test", 1);
    let mut word = || f32::from_bits(stream.next_u32());
    let mut pairs: Vec<(f32, f32)> = (0..60_001).map(|_| (word(), word())).collect();
    let specials = [
        0,
        1,
        0x007f_ffff,
        0x0080_0000,
        0x3f80_0000,
        0x7f7f_ffff,
        0x7f80_0000,
        0x7f80_0001,
        0x7fc1_2345,
    ];
    let signed: Vec<f32> = specials
        .iter()
        .flat_map(|&b| [b, b | 1 << 31])
        .map(f32::from_bits)
        .collect();
    pairs.extend(
        signed
            .iter()
            .flat_map(|&x| signed.iter().map(move |&y| (x, y))),
    );
    pairs.extend((0..30_000).map(|_| (stream.uniform() * 40.0 - 20.0, stream.uniform())));
    pairs.into_iter().unzip()
}

#[test]
fn every_width_gives_the_same_bits() {
    let (x, y) = inputs();
    for (x, y) in [
        (&x[..], &y[..]),
        (&x[61_000..], &y[61_000..]),
        (&x[..777], &y[..777]),
    ] {
        let expected = every_operation(x, y);
        for (width, rows) in each_width(x, y) {
            for (operation, (got, want)) in rows.iter().zip(&expected).enumerate() {
                for at in 0..got.len() {
                    let (got, want) = (got[at].to_bits(), want[at].to_bits());
                    let place = (x.get(at), y.get(at));
                    assert_eq!(
                        got, want,
                        "{width}, row {operation}, element {at} of {place:?}"
                    );
                }
            }
        }
    }
}

#[test]
fn no_result_is_another_nan() {
    let (x, y) = inputs();
    let rows = every_operation(&x, &y);
    for (operation, row) in rows.iter().enumerate().filter(|(at, _)| *at != SELECTION) {
        for (at, r) in row.iter().enumerate() {
            let canonical = !r.is_nan() || r.to_bits() == super::CANONICAL_NAN;
            assert!(
                canonical,
                "row {operation}, element {at}: {:#010x}",
                r.to_bits()
            );
        }
    }
}
