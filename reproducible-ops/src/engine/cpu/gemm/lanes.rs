//! What the micro-kernel needs from a vector unit, and the one-lane unit that defines the bits.

use crate::tensor::HalfFormat;

/// The bits that every NaN result is stored as.
pub(super) const CANONICAL_NAN: u32 = 0x7fc0_0000;

/// A vector register of outputs.
///
/// Methods are `inline(always)`, so that they are compiled inside a function that enables the
/// instruction set.
///
/// # Safety
/// Every method may only run where the instruction set is present; pointers must be valid for the
/// floats named.
pub(super) trait Lanes: Copy {
    /// Floats in one register.
    const LANES: usize;
    /// Registers side by side in a packed panel.
    const PANEL: usize;
    /// Floats by which packed panels are asked for ahead of their use, as measured with panels from
    /// memory and tiles of few rows.
    const AHEAD: usize = 0;

    /// All lanes +0.
    unsafe fn zero() -> Self;
    /// All lanes `*p`.
    unsafe fn splat(p: *const f32) -> Self;
    /// `LANES` floats from `p`.
    unsafe fn load(p: *const f32) -> Self;
    /// `LANES` floats whose upper halves lie from `p`; their lower halves are zero.
    unsafe fn load_bf16(p: *const u16) -> Self;
    /// `LANES` floats that lie from `p` as IEEE binary16; a NaN is some NaN of the same sign.
    unsafe fn load_f16(p: *const u16) -> Self;
    /// The first `n < LANES` floats from `p`, the other lanes +0.
    unsafe fn load_first(p: *const f32, n: usize) -> Self;
    /// The first four columns of `LANES` rows, `stride` apart.
    unsafe fn columns(rows: *const f32, stride: usize) -> [Self; 4];
    /// Stores all lanes.
    unsafe fn store(self, p: *mut f32);
    /// Stores the first `n < LANES` lanes.
    unsafe fn store_first(self, p: *mut f32, n: usize);
    /// `self * b + acc` rounded once.
    unsafe fn fma(self, b: Self, acc: Self) -> Self;
    /// `self + other`.
    unsafe fn add(self, other: Self) -> Self;
    /// NaN lanes replaced by [`CANONICAL_NAN`].
    unsafe fn canonical(self) -> Self;
    /// Asks for the cache line of `p`; `p` need not be valid.
    #[inline(always)]
    unsafe fn prefetch(_p: *const f32) {}
}

/// How a number of a packed operand is kept.
pub(super) trait Kept: Copy {
    /// `LANES` numbers from `p`.
    ///
    /// # Safety
    /// As [`Lanes::load`].
    unsafe fn load<V: Lanes>(p: *const Self) -> V;
}

impl Kept for f32 {
    #[inline(always)]
    unsafe fn load<V: Lanes>(p: *const Self) -> V {
        // SAFETY: the caller's contract.
        unsafe { V::load(p) }
    }
}

/// The upper half of a float whose lower half is zero.
#[derive(Clone, Copy, Debug)]
#[repr(transparent)]
pub(super) struct Bf16(u16);

impl Bf16 {
    /// Whether a float is one.
    pub(super) fn is(value: f32) -> bool {
        value.to_bits() & 0xffff == 0
    }

    /// The upper half of a float.
    pub(super) fn upper(value: f32) -> Self {
        Self((value.to_bits() >> 16) as u16)
    }
}

impl Kept for Bf16 {
    #[inline(always)]
    unsafe fn load<V: Lanes>(p: *const Self) -> V {
        // SAFETY: the caller's contract; it is a `u16`.
        unsafe { V::load_bf16(p.cast()) }
    }
}

/// A float as IEEE binary16.
#[derive(Clone, Copy, Debug)]
#[repr(transparent)]
pub(super) struct F16(u16);

impl Kept for F16 {
    #[inline(always)]
    unsafe fn load<V: Lanes>(p: *const Self) -> V {
        // SAFETY: the caller's contract; it is a `u16`.
        unsafe { V::load_f16(p.cast()) }
    }
}

/// The body of [`Isa::copy_panels`](super::isa::Isa::copy_panels), to be compiled with the
/// instruction set enabled. Steps of k are outermost, so that memory is read in order.
#[inline(always)]
pub(super) unsafe fn copy_panels<V: Lanes>(
    src: *const f32,
    stride: usize,
    count: usize,
    depth: usize,
    dst: *mut f32,
) {
    let columns = V::PANEL * V::LANES;
    for k in 0..depth {
        for panel in 0..count {
            for v in 0..V::PANEL {
                let (from, to) = (
                    panel * columns + v * V::LANES,
                    (panel * depth + k) * columns + v * V::LANES,
                );
                // SAFETY: the caller vouches for `count` panels of columns in every step.
                unsafe { V::load(src.add(k * stride + from)).store(dst.add(to)) };
            }
        }
    }
}

impl Lanes for f32 {
    const LANES: usize = 1;
    const PANEL: usize = 2;

    #[inline(always)]
    unsafe fn zero() -> Self {
        0.0
    }
    #[inline(always)]
    unsafe fn splat(p: *const f32) -> Self {
        // SAFETY: the caller's pointer is valid for one float.
        unsafe { *p }
    }
    #[inline(always)]
    unsafe fn load(p: *const f32) -> Self {
        // SAFETY: the caller's pointer is valid for one float.
        unsafe { *p }
    }
    #[inline(always)]
    unsafe fn load_bf16(p: *const u16) -> Self {
        // SAFETY: the caller's pointer is valid for one half.
        unsafe { Self::from_bits(HalfFormat::Bf16.widen(*p)) }
    }
    #[inline(always)]
    unsafe fn load_f16(p: *const u16) -> Self {
        // SAFETY: the caller's pointer is valid for one half.
        unsafe { Self::from_bits(HalfFormat::F16.widen(*p)) }
    }
    #[inline(always)]
    unsafe fn load_first(_p: *const f32, _n: usize) -> Self {
        0.0
    }
    #[inline(always)]
    unsafe fn columns(rows: *const f32, _stride: usize) -> [Self; 4] {
        // SAFETY: the caller's row is valid for four floats.
        unsafe { [*rows, *rows.add(1), *rows.add(2), *rows.add(3)] }
    }
    #[inline(always)]
    unsafe fn store(self, p: *mut f32) {
        // SAFETY: the caller's pointer is valid for one float.
        unsafe { *p = self }
    }
    #[inline(always)]
    unsafe fn store_first(self, _p: *mut f32, _n: usize) {}
    #[inline(always)]
    unsafe fn fma(self, b: Self, acc: Self) -> Self {
        self.mul_add(b, acc)
    }
    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        self + other
    }
    #[inline(always)]
    unsafe fn canonical(self) -> Self {
        if self.is_nan() {
            Self::from_bits(CANONICAL_NAN)
        } else {
            self
        }
    }
}
