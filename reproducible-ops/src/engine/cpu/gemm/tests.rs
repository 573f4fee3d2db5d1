//! The kernels against a plain reading of the definition, bit for bit, on every instruction set of
//! this machine.

use std::sync::Mutex;

use super::*;
use crate::engine::cpu::InstructionSet;
use crate::tensor::{self as host, HalfFormat};

/// One output by the definition: chains of `fma` over 256 products, then chains of `add` over 256
/// numbers until one is left.
fn definition(products: &[(f32, f32)]) -> f32 {
    let chain = |block: &[(f32, f32)]| block.iter().fold(0.0_f32, |acc, (a, b)| a.mul_add(*b, acc));
    let mut level: Vec<f32> = products.chunks(256).map(chain).collect();
    loop {
        level = level
            .chunks(256)
            .map(|block| block.iter().fold(0.0_f32, |acc, x| acc + x))
            .collect();
        if level.len() < 2 {
            return canonical(level.first().copied().unwrap_or(0.0));
        }
    }
}

fn canonical(x: f32) -> f32 {
    if x.is_nan() {
        f32::from_bits(0x7fc0_0000)
    } else {
        x
    }
}

/// A small linear congruential generator: full mantissas, exponents near one.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u32 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 32) as u32
    }

    fn plain(&mut self) -> f32 {
        (self.next() >> 8) as f32 / (1 << 23) as f32 - 1.0
    }

    /// Now and then a zero of either sign, a subnormal, or a value whose products underflow.
    fn rough(&mut self) -> f32 {
        match self.next() % 8 {
            0 => -0.0,
            1 => 0.0,
            2 => f32::from_bits(self.next() & 0x807f_ffff),
            3 => self.plain() * 1e-30,
            4 => self.plain() * 1e-19,
            _ => self.plain(),
        }
    }

    /// As `rough`, with infinities and NaN of any sign and payload.
    fn wild(&mut self) -> f32 {
        match self.next() % 64 {
            0 => f32::INFINITY,
            1 => f32::NEG_INFINITY,
            2 => f32::from_bits(0xff80_0001 | self.next()),
            3 => f32::from_bits(0x7f80_0001 | self.next()),
            _ => self.rough(),
        }
    }

    /// As `wild`, with lower halves of zeros.
    fn half(&mut self) -> f32 {
        f32::from_bits(self.wild().to_bits() & 0xffff_0000)
    }
}

/// How a matrix of `rows` x `k` lies in its tensor.
#[derive(Clone, Copy, Debug)]
enum Lie {
    /// Steps of k side by side, rows without gaps.
    Rows,
    /// Steps of k side by side, rows with gaps.
    Gapped,
    /// Rows side by side.
    Columns,
    /// Rows side by side, steps of k with gaps.
    Wide,
    /// Nothing side by side.
    Sparse,
    /// Every row the same.
    Broadcast,
}

const LIES: [Lie; 6] = [
    Lie::Rows,
    Lie::Gapped,
    Lie::Columns,
    Lie::Wide,
    Lie::Sparse,
    Lie::Broadcast,
];

impl Lie {
    fn strides(self, rows: usize, k: usize) -> (usize, usize) {
        match self {
            Self::Rows => (k, 1),
            Self::Gapped => (k + 3, 1),
            Self::Columns => (1, rows),
            Self::Wide => (1, rows + 5),
            Self::Sparse => (2, 2 * rows + 1),
            Self::Broadcast => (0, 1),
        }
    }
}

/// A tensor that is exactly as long as its matrices need.
struct Tensor {
    data: Vec<f32>,
    offset: usize,
    row_stride: usize,
    k_stride: usize,
}

impl Tensor {
    fn new(lie: Lie, rows: usize, k: usize, extra: usize, mut number: impl FnMut() -> f32) -> Self {
        let (row_stride, k_stride) = lie.strides(rows, k);
        let offset = 3;
        let reach = rows.saturating_sub(1) * row_stride + k.saturating_sub(1) * k_stride + 1;
        let data = (0..offset + extra + reach).map(|_| number()).collect();
        Self {
            data,
            offset,
            row_stride,
            k_stride,
        }
    }

    fn operand(&self) -> Operand<'_> {
        let Self {
            ref data,
            offset,
            row_stride,
            k_stride,
        } = *self;
        Operand {
            data,
            offset,
            row_stride,
            k_stride,
        }
    }

    fn at(&self, extra: usize, row: usize, k: usize) -> f32 {
        self.data[self.offset + extra + row * self.row_stride + k * self.k_stride]
    }
}

/// What the definition makes of a batch; cells that belong to no output keep `untouched`.
fn expected(
    shape: Shape,
    a: &Tensor,
    b: &Tensor,
    stride: usize,
    batches: &[Offsets],
    untouched: &[f32],
) -> Vec<f32> {
    let mut c = untouched.to_vec();
    for at in batches {
        for row in 0..shape.m {
            for col in 0..shape.n {
                let products: Vec<_> = (0..shape.k)
                    .map(|k| (a.at(at.a, row, k), b.at(at.b, col, k)))
                    .collect();
                c[at.c + row * stride + col] = definition(&products);
            }
        }
    }
    c
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

#[track_caller]
fn assert_bits(got: &[f32], want: &[f32], what: &dyn std::fmt::Debug) {
    if let Some(i) = bits(got).iter().zip(bits(want)).position(|(x, y)| *x != y) {
        panic!(
            "{what:?}: cell {i} is {:?} ({:08x}), not {:?} ({:08x})",
            got[i],
            got[i].to_bits(),
            want[i],
            want[i].to_bits()
        );
    }
}

/// Every available instruction set, strided and packed, whole and in parts, against the definition.
fn check(shape: Shape, a: &Tensor, b: &Tensor, what: &dyn std::fmt::Debug) {
    let stride = shape.n + 2;
    let untouched = vec![7.5; shape.m * stride + 1];
    let want = expected(shape, a, b, stride, &[Offsets::default()], &untouched);
    for isa in InstructionSet::available() {
        let packed = PackedB::new(isa, b.operand(), shape.n, shape.k).unwrap();
        for b in [Rhs::Strided(b.operand()), Rhs::Packed(&packed)] {
            let gemm = Gemm::new(isa, shape, a.operand(), b, stride).unwrap();
            for parts in [1, 2, 5] {
                let mut c = untouched.clone();
                run_in_parts(&gemm, &mut c, parts);
                assert_bits(&c, &want, &(isa, shape, what, parts));
            }
        }
    }
}

/// Scratch that is not zero, so that reading what was not packed shows.
fn dirty() -> GemmScratch {
    let mut scratch = GemmScratch::new();
    scratch.fill(f32::NAN);
    scratch
}

fn run_in_parts(gemm: &Gemm<'_>, c: &mut [f32], parts: usize) {
    let scratches: Vec<_> = (0..parts).map(|_| Mutex::new(dirty())).collect();
    gemm.run_parallel(c, &scratches, |task| (0..parts).rev().for_each(task))
        .unwrap();
}

fn check_numbers(shape: Shape, lie_a: Lie, lie_b: Lie, number: fn(&mut Numbers) -> f32) {
    let mut numbers = Numbers((shape.m * 1_000_003 + shape.n * 1_009 + shape.k) as u64);
    let a = Tensor::new(lie_a, shape.m, shape.k, 0, || number(&mut numbers));
    let b = Tensor::new(lie_b, shape.n, shape.k, 0, || number(&mut numbers));
    check(shape, &a, &b, &(lie_a, lie_b));
}

#[test]
fn odd_sizes_have_the_bits_of_the_definition() {
    for m in [0, 1, 2, 3, 5, 6, 7, 13, 14, 15, 17, 29] {
        for n in [0, 1, 2, 8, 15, 16, 17, 31, 32, 33, 65, 100] {
            for k in [0, 1, 2, 15, 16, 17, 33] {
                check_numbers(Shape { m, n, k }, Lie::Rows, Lie::Rows, Numbers::rough);
            }
        }
    }
}

#[test]
fn block_edges_have_the_bits_of_the_definition() {
    for k in [100, 255, 256, 257, 511, 512, 513, 1025] {
        for (m, n) in [
            (1, 1),
            (1, 129),
            (3, 16),
            (4, 95),
            (6, 70),
            (16, 33),
            (31, 17),
            (33, 48),
        ] {
            check_numbers(Shape { m, n, k }, Lie::Rows, Lie::Rows, Numbers::rough);
        }
    }
}

/// Keys read in place: whole strips, one that begins again before the end, blocks of k that are no
/// multiple of what is turned at once.
#[test]
fn few_rows_over_keys_have_the_bits_of_the_definition() {
    for m in 1..=9 {
        for (n, k) in [
            (8, 4),
            (16, 1),
            (17, 64),
            (33, 7),
            (49, 30),
            (64, 257),
            (100, 515),
        ] {
            for lie in [Lie::Rows, Lie::Gapped] {
                check_numbers(Shape { m, n, k }, lie, lie, Numbers::rough);
                check_numbers(Shape { m, n, k }, lie, lie, Numbers::wild);
            }
        }
    }
}

/// Few rows over more columns and steps than caches hold: in place with and without gaps, packed.
#[test]
fn few_rows_over_values_beyond_the_caches_have_the_bits_of_the_definition() {
    for m in 1..=8 {
        let shape = Shape { m, n: 101, k: 2700 };
        for lie in [Lie::Columns, Lie::Wide] {
            check_numbers(shape, Lie::Rows, lie, Numbers::rough);
        }
    }
}

/// A packed operand of upper halves: tiles of all heights and widths, blocks of k, panels beyond the
/// caches, and three levels of sums.
#[test]
fn halves_have_the_bits_of_the_definition() {
    let heights = (1..=16).chain([29, 33]);
    let small = heights.flat_map(|m| [(m, 33, 17), (m, 129, 257), (m, 256, 40)]);
    let large = [
        (3, 700, 1025),
        (1, 2100, 515),
        (2, 70, 65_537),
        (7, 551, 258),
    ];
    for (m, n, k) in small.chain(large) {
        for lie in [Lie::Rows, Lie::Wide] {
            check_numbers(Shape { m, n, k }, Lie::Rows, lie, Numbers::half);
        }
    }
}

/// An operand that came at two bytes a number: any bits of either format, read back and multiplied.
fn check_of_halves(shape: Shape, format: HalfFormat, mut bits: impl FnMut(usize) -> u16) {
    let Shape { m, n, k } = shape;
    let bits: Vec<u16> = (0..n * k).map(&mut bits).collect();
    let mut numbers = Numbers((m + n + k) as u64);
    let a = Tensor::new(Lie::Rows, m, k, 0, || numbers.plain());
    let widened = bits
        .iter()
        .map(|&bits| canonical(f32::from_bits(format.widen(bits))));
    let b = Tensor {
        data: widened.collect(),
        offset: 0,
        row_stride: k,
        k_stride: 1,
    };
    let stride = n + 2;
    let untouched = vec![7.5; m * stride + 1];
    let want = expected(shape, &a, &b, stride, &[Offsets::default()], &untouched);
    let kept = host::Tensor::from_halves([n, k], format, bits).unwrap();
    for isa in InstructionSet::available() {
        let packed = PackedB::of_halves(isa, kept.halves().unwrap(), n, k).unwrap();
        let mut words = vec![0; n * k];
        packed.rows(&mut words);
        assert_eq!(words, self::bits(&b.data), "{isa} {shape:?} {format:?}");
        let padded = n.next_multiple_of(panel_columns(isa)) * k;
        assert!(packed.bytes() < 2 * padded + 64);
        let gemm = Gemm::new(isa, shape, a.operand(), Rhs::Packed(&packed), stride).unwrap();
        for parts in [1, 3] {
            let mut c = untouched.clone();
            run_in_parts(&gemm, &mut c, parts);
            assert_bits(&c, &want, &(isa, shape, format, parts));
        }
    }
}

#[test]
fn what_comes_as_halves_has_the_bits_of_the_definition() {
    let small = (1..=16).flat_map(|m| [(m, 33, 17), (m, 129, 257)]);
    let large = [
        (3, 700, 1025),
        (2, 70, 65_537),
        (7, 551, 258),
        (171, 100, 300),
        (1, 1, 1),
        (2, 0, 3),
        (2, 3, 0),
    ];
    for (m, n, k) in small.chain(large) {
        let shape = Shape { m, n, k };
        let mut numbers = Numbers(7);
        check_of_halves(shape, HalfFormat::Bf16, |_| {
            (numbers.wild().to_bits() >> 16) as u16
        });
        // Between −2 and 2, with subnormals, zeros, infinities and NaN in between.
        check_of_halves(shape, HalfFormat::F16, |_| match numbers.next() % 64 {
            0 => numbers.next() as u16,
            1..8 => numbers.next() as u16 & 0x83ff,
            _ => numbers.next() as u16 & 0xbfff,
        });
    }
}

/// `1 · x` for every x of two bytes, in tiles of all heights.
#[test]
fn every_half_is_multiplied_as_the_f32_of_its_value() {
    for format in HalfFormat::ALL {
        for isa in InstructionSet::available() {
            let (n, k) = (1 << 16, 1);
            let kept = host::Tensor::from_halves([n, k], format, (0..=u16::MAX).collect()).unwrap();
            let packed = PackedB::of_halves(isa, kept.halves().unwrap(), n, k).unwrap();
            for m in [1, 2, 3, 4, 6, 14, 15] {
                let a = Tensor::new(Lie::Rows, m, k, 0, || 1.0);
                let shape = Shape { m, n, k };
                let gemm = Gemm::new(isa, shape, a.operand(), Rhs::Packed(&packed), n).unwrap();
                let mut c = vec![0.0; m * n];
                gemm.run(&mut c, &mut dirty()).unwrap();
                for (cell, found) in c.iter().enumerate() {
                    let x = f32::from_bits(format.widen((cell % n) as u16));
                    // The chain starts at +0, to which −0 is added.
                    let want = canonical(1f32.mul_add(x, 0.0));
                    assert_eq!(
                        found.to_bits(),
                        want.to_bits(),
                        "{format:?} {isa} {m} {x:e}"
                    );
                }
            }
        }
    }
}

#[test]
fn halves_of_another_size_are_refused() {
    let isa = InstructionSet::detect();
    let kept = host::Tensor::from_halves([4, 6], HalfFormat::Bf16, vec![0; 24]).unwrap();
    for (n, k) in [(4, 5), (4, 7), (usize::MAX, 2)] {
        let error = PackedB::of_halves(isa, kept.halves().unwrap(), n, k).unwrap_err();
        assert!(error.to_string().contains('b'), "{error}");
    }
}

#[test]
fn what_is_kept_as_halves_follows_the_values() {
    let (n, k) = (100, 300);
    let isa = InstructionSet::detect();
    let mut numbers = Numbers(3);
    let floats = Tensor::new(Lie::Rows, n, k, 0, || numbers.plain());
    let halves = Tensor::new(Lie::Rows, n, k, 0, || numbers.half());
    let mut one = Tensor::new(Lie::Rows, n, k, 0, || 0.5);
    *one.data.last_mut().unwrap() = f32::from_bits(0x3f80_0001);
    let mut packed = PackedB::new(isa, floats.operand(), n, k).unwrap();
    let full = packed.bytes();
    for (b, bytes) in [
        (&halves, full / 2),
        (&one, full),
        (&halves, full / 2),
        (&floats, full),
    ] {
        packed.repack(b.operand()).unwrap();
        assert_eq!(packed.bytes(), bytes);
        let shape = Shape { m: 5, n, k };
        let a = Tensor::new(Lie::Rows, shape.m, k, 0, || 1.5);
        let want = expected(
            shape,
            &a,
            b,
            n,
            &[Offsets::default()],
            &vec![0.0; shape.m * n],
        );
        let gemm = Gemm::new(isa, shape, a.operand(), Rhs::Packed(&packed), n).unwrap();
        let mut c = vec![0.0; shape.m * n];
        gemm.run(&mut c, &mut dirty()).unwrap();
        assert_bits(&c, &want, &bytes);
    }
}

#[test]
fn strides_have_the_bits_of_the_definition() {
    for lie_a in LIES {
        for lie_b in LIES {
            for (m, n, k) in [
                (1, 1, 300),
                (1, 100, 24),
                (5, 24, 40),
                (17, 33, 259),
                (60, 40, 19),
            ] {
                check_numbers(Shape { m, n, k }, lie_a, lie_b, Numbers::rough);
            }
        }
    }
}

#[test]
fn cache_blocks_have_the_bits_of_the_definition() {
    for (lie_a, lie_b) in [(Lie::Rows, Lie::Rows), (Lie::Columns, Lie::Columns)] {
        check_numbers(
            Shape {
                m: 171,
                n: 40,
                k: 300,
            },
            lie_a,
            lie_b,
            Numbers::plain,
        );
        check_numbers(
            Shape {
                m: 19,
                n: 551,
                k: 258,
            },
            lie_a,
            lie_b,
            Numbers::plain,
        );
        check_numbers(
            Shape {
                m: 512,
                n: 260,
                k: 3,
            },
            lie_a,
            lie_b,
            Numbers::plain,
        );
        check_numbers(
            Shape {
                m: 9,
                n: 260,
                k: 512,
            },
            lie_a,
            lie_b,
            Numbers::plain,
        );
    }
}

#[test]
fn infinities_and_nans_give_one_nan() {
    for (m, n, k) in [(3, 17, 1), (15, 33, 20), (2, 70, 300)] {
        check_numbers(Shape { m, n, k }, Lie::Rows, Lie::Columns, Numbers::wild);
        check_numbers(Shape { m, n, k }, Lie::Columns, Lie::Rows, Numbers::wild);
    }
}

#[test]
fn reductions_past_two_levels_have_the_bits_of_the_definition() {
    for k in [65_535, 65_536, 65_537, 65_793, 131_073] {
        for (m, n) in [(1, 1), (3, 18)] {
            check_numbers(Shape { m, n, k }, Lie::Rows, Lie::Rows, Numbers::plain);
        }
    }
}

/// Equal rows give equal outputs, so the definition is needed once; the output is larger than one
/// tile of partial results.
#[test]
fn a_deep_reduction_covers_every_tile() {
    let shape = Shape {
        m: 57,
        n: 129,
        k: 65_540,
    };
    let mut numbers = Numbers(3);
    let a = Tensor::new(Lie::Broadcast, shape.m, shape.k, 0, || numbers.plain());
    let b = Tensor::new(Lie::Broadcast, shape.n, shape.k, 0, || numbers.plain());
    let products: Vec<_> = (0..shape.k)
        .map(|k| (a.at(0, 0, k), b.at(0, 0, k)))
        .collect();
    let want = vec![definition(&products); shape.m * shape.n];
    let rhs = Rhs::Strided(b.operand());
    let gemm = Gemm::new(InstructionSet::detect(), shape, a.operand(), rhs, shape.n).unwrap();
    let mut c = vec![f32::NAN; want.len()];
    gemm.run(&mut c, &mut dirty()).unwrap();
    assert_bits(&c, &want, &shape);
}

/// Sixteen million equal products: rounding makes the sum depend on the order of levels.
#[test]
fn a_reduction_of_four_levels_has_the_bits_of_the_definition() {
    let k = 256 * 256 * 256 + 257;
    let (a, b) = ([0.1_f32], [0.7_f32]);
    let want = definition(&vec![(a[0], b[0]); k]);
    let operand = |data| Operand {
        data,
        offset: 0,
        row_stride: 0,
        k_stride: 0,
    };
    let gemm = |isa| {
        Gemm::new(
            isa,
            Shape { m: 1, n: 1, k },
            operand(&a),
            Rhs::Strided(operand(&b)),
            1,
        )
        .unwrap()
    };
    for isa in InstructionSet::available() {
        let mut c = [f32::NAN];
        gemm(isa).run(&mut c, &mut dirty()).unwrap();
        assert_bits(&c, &[want], &isa);
    }
}

#[test]
fn an_underflow_below_zero_is_plus_zero_with_or_without_padding() {
    for k in [1, 2, 300] {
        let mut a = vec![0.0_f32; k];
        a[0] = -1e-30;
        let b = vec![1e-30; k];
        assert_eq!(
            a[0].mul_add(b[0], 0.0).to_bits(),
            0x8000_0000,
            "the chain itself ends at -0"
        );
        for isa in InstructionSet::available() {
            let operand = |data| Operand {
                data,
                offset: 0,
                row_stride: k,
                k_stride: 1,
            };
            let gemm = Gemm::new(
                isa,
                Shape { m: 1, n: 1, k },
                operand(&a),
                Rhs::Strided(operand(&b)),
                1,
            )
            .unwrap();
            let mut c = [1.0];
            gemm.run(&mut c, &mut dirty()).unwrap();
            assert_eq!(c[0].to_bits(), 0, "{isa}, k = {k}");
        }
    }
}

/// Attention: heads side by side in rows of queries, keys and values, so batches overlap in every
/// tensor.
#[test]
fn batches_have_the_bits_of_the_definition_for_any_number_of_parts() {
    let (heads, tokens, size) = (4, 21, 24);
    let width = heads * size;
    let mut numbers = Numbers(5);
    let mut tensor = |rows: usize, k: usize, row_stride, k_stride| Tensor {
        data: (0..rows * k).map(|_| numbers.plain()).collect(),
        offset: 0,
        row_stride,
        k_stride,
    };
    let queries = tensor(tokens, width, width, 1);
    let keys = tensor(tokens, width, width, 1);
    let weights = tensor(heads * tokens, tokens, tokens, 1);
    let values = tensor(tokens, width, 1, width);
    let scores: Vec<_> = (0..heads)
        .map(|h| Offsets {
            a: h * size,
            b: h * size,
            c: h * tokens * tokens,
        })
        .collect();
    let mixed: Vec<_> = (0..heads)
        .map(|h| Offsets {
            a: h * tokens * tokens,
            b: h * size,
            c: h * size,
        })
        .collect();
    check_batch(
        Shape {
            m: tokens,
            n: tokens,
            k: size,
        },
        &queries,
        &keys,
        tokens,
        &scores,
    );
    check_batch(
        Shape {
            m: tokens,
            n: size,
            k: tokens,
        },
        &weights,
        &values,
        width,
        &mixed,
    );
}

fn check_batch(shape: Shape, a: &Tensor, b: &Tensor, stride: usize, batches: &[Offsets]) {
    for isa in InstructionSet::available() {
        let rhs = Rhs::Strided(b.operand());
        let gemm = Gemm::batched(isa, shape, a.operand(), rhs, stride, batches).unwrap();
        let untouched = vec![0.25; gemm.output_len() + 3];
        let want = expected(shape, a, b, stride, batches, &untouched);
        for parts in 1..=5 {
            let mut c = untouched.clone();
            run_in_parts(&gemm, &mut c, parts);
            assert_bits(&c, &want, &(isa, shape, parts));
        }
    }
}

#[test]
fn threads_give_the_bits_of_one() {
    let shape = Shape {
        m: 70,
        n: 130,
        k: 300,
    };
    let mut numbers = Numbers(9);
    let a = Tensor::new(Lie::Rows, shape.m, shape.k, 0, || numbers.plain());
    let b = Tensor::new(Lie::Rows, shape.n, shape.k, 0, || numbers.plain());
    let gemm = Gemm::new(
        InstructionSet::detect(),
        shape,
        a.operand(),
        Rhs::Strided(b.operand()),
        shape.n,
    )
    .unwrap();
    let mut alone = vec![0.0; gemm.output_len()];
    gemm.run(&mut alone, &mut dirty()).unwrap();
    let scratches: Vec<_> = (0..3).map(|_| Mutex::new(dirty())).collect();
    let mut together = vec![0.0; gemm.output_len()];
    let spawn = |task: &(dyn Fn(usize) + Sync)| {
        std::thread::scope(|scope| {
            for part in 0..3 {
                scope.spawn(move || task(part));
            }
        });
    };
    gemm.run_parallel(&mut together, &scratches, spawn).unwrap();
    assert_bits(&together, &alone, &"3 threads");
}

const TEN: [f32; 10] = [1.0; 10];

fn rows_of(k: usize) -> Operand<'static> {
    Operand {
        data: &TEN,
        offset: 0,
        row_stride: k,
        k_stride: 1,
    }
}

#[test]
fn a_short_operand_is_refused_with_the_length_it_needs() {
    let shape = Shape { m: 2, n: 2, k: 5 };
    let short = Operand {
        offset: 1,
        ..rows_of(5)
    };
    let error = Gemm::new(
        InstructionSet::Scalar,
        shape,
        short,
        Rhs::Strided(rows_of(5)),
        2,
    )
    .unwrap_err();
    assert_eq!(
        error,
        GemmError::OutOfBounds {
            operand: "a",
            batch: 0,
            needed: 11,
            len: 10
        }
    );
    let batches = [Offsets::default(), Offsets { a: 0, b: 4, c: 4 }];
    let error = Gemm::batched(
        InstructionSet::Scalar,
        shape,
        rows_of(5),
        Rhs::Strided(rows_of(5)),
        2,
        &batches,
    )
    .unwrap_err();
    assert_eq!(
        error,
        GemmError::OutOfBounds {
            operand: "b",
            batch: 1,
            needed: 14,
            len: 10
        }
    );
    let gemm = Gemm::new(
        InstructionSet::Scalar,
        shape,
        rows_of(5),
        Rhs::Strided(rows_of(5)),
        3,
    )
    .unwrap();
    let error = gemm
        .run(&mut [0.0; 4], &mut GemmScratch::new())
        .unwrap_err();
    assert_eq!(
        error,
        GemmError::OutOfBounds {
            operand: "c",
            batch: 0,
            needed: 5,
            len: 4
        }
    );
}

#[test]
fn sizes_past_the_address_space_are_refused() {
    let shape = Shape {
        m: usize::MAX,
        n: 1,
        k: 2,
    };
    let error = Gemm::new(
        InstructionSet::Scalar,
        shape,
        rows_of(2),
        Rhs::Strided(rows_of(2)),
        1,
    )
    .unwrap_err();
    assert_eq!(error, GemmError::TooLarge { operand: "a" });
}

#[test]
fn overlapping_outputs_are_refused() {
    let shape = Shape { m: 2, n: 2, k: 1 };
    let outputs = |stride, c: [usize; 2]| {
        let batches = c.map(|c| Offsets { a: 0, b: 0, c });
        Gemm::batched(
            InstructionSet::Scalar,
            shape,
            rows_of(1),
            Rhs::Strided(rows_of(1)),
            stride,
            &batches,
        )
        .map(drop)
    };
    assert_eq!(
        outputs(1, [0, 9]),
        Err(GemmError::RowOverlap { stride: 1, n: 2 })
    );
    assert_eq!(
        outputs(4, [0, 1]),
        Err(GemmError::BatchOverlap { batch: 1 })
    );
    assert_eq!(
        outputs(4, [0, 4]),
        Err(GemmError::BatchOverlap { batch: 1 })
    );
    assert_eq!(
        outputs(4, [3, 6]),
        Err(GemmError::BatchOverlap { batch: 1 })
    );
    assert_eq!(
        outputs(4, [8, 0]),
        Err(GemmError::BatchOverlap { batch: 1 })
    );
    assert_eq!(outputs(4, [0, 2]), Ok(()));
    assert_eq!(outputs(4, [0, 8]), Ok(()));
    assert_eq!(outputs(4, [3, 9]), Ok(()));
}

#[test]
fn a_packed_operand_of_another_shape_or_instruction_set_is_refused() {
    let packed = PackedB::new(InstructionSet::Scalar, rows_of(5), 2, 5).unwrap();
    let shape = Shape { m: 1, n: 2, k: 4 };
    let error = Gemm::new(
        InstructionSet::Scalar,
        shape,
        rows_of(5),
        Rhs::Packed(&packed),
        2,
    )
    .unwrap_err();
    assert!(
        matches!(
            error,
            GemmError::PackedMismatch {
                packed_k: 5,
                k: 4,
                ..
            }
        ),
        "{error}"
    );
    let shape = Shape { k: 5, ..shape };
    let error = Gemm::new(
        InstructionSet::detect(),
        shape,
        rows_of(5),
        Rhs::Packed(&packed),
        2,
    )
    .err();
    assert_eq!(
        error.is_some(),
        InstructionSet::detect() != InstructionSet::Scalar
    );
}

#[test]
fn repacking_replaces_the_values() {
    let shape = Shape { m: 1, n: 3, k: 2 };
    let twos = [2.0; 6];
    let mut packed = PackedB::new(InstructionSet::detect(), rows_of(2), 3, 2).unwrap();
    packed
        .repack(Operand {
            data: &twos,
            ..rows_of(2)
        })
        .unwrap();
    let gemm = Gemm::new(
        InstructionSet::detect(),
        shape,
        rows_of(2),
        Rhs::Packed(&packed),
        3,
    )
    .unwrap();
    let mut c = [0.0; 3];
    gemm.run(&mut c, &mut dirty()).unwrap();
    assert_eq!(c, [4.0; 3]);
}
