//! The micro-kernel with NEON.

use std::arch::aarch64::*;

use super::few::{Strip, strip};
use super::isa::Isa;
use super::kernel::{Tile, dispatch, micro};
use super::lanes::{CANONICAL_NAN, Kept, Lanes};

/// NEON: part of every AArch64 target.
pub(super) struct Neon;

impl Isa for Neon {
    type Vector = float32x4_t;
    fn widest(rows: usize, _spread: bool) -> usize {
        match rows {
            1..=3 => 8,
            _ => 4,
        }
    }

    fn tallest(vectors: usize) -> usize {
        match vectors {
            1 | 2 => 12,
            3 => 8,
            4 => 6,
            _ => 3,
        }
    }

    unsafe fn tile(rows: usize, vectors: usize, tile: &Tile<impl Kept>) {
        // SAFETY: NEON is always present on AArch64; the caller vouches for the tile.
        unsafe {
            dispatch!(neon, (rows, vectors, tile),
                1: [1 2 3 4 5 6 7 8 9 10 11 12], 2: [1 2 3 4 5 6 7 8 9 10 11 12],
                3: [1 2 3 4 5 6 7 8], 4: [1 2 3 4 5 6], 8: [1 2 3]);
        }
    }

    /// As with AVX2, whose 16 registers are half as many and twice as wide; not measured on such a
    /// machine.
    fn strip(rows: usize) -> usize {
        match rows {
            1..=4 => 4,
            _ => 0,
        }
    }

    unsafe fn few(rows: usize, vectors: usize, strip: &Strip) {
        // SAFETY: NEON is always present on AArch64; the caller vouches for the strip.
        unsafe {
            dispatch!(neon_few, (rows, vectors, strip),
                1: [1 2 3 4], 2: [1 2 3 4], 3: [1 2 3 4], 4: [1 2 3 4]);
        }
    }
}

#[target_feature(enable = "neon")]
unsafe fn neon<const ROWS: usize, const VECTORS: usize>(tile: &Tile<impl Kept>) {
    // SAFETY: the caller vouches for the tile.
    unsafe { micro::<float32x4_t, _, ROWS, VECTORS>(tile) }
}

#[target_feature(enable = "neon")]
unsafe fn neon_few<const ROWS: usize, const VECTORS: usize>(to: &Strip) {
    // SAFETY: the caller vouches for the strip.
    unsafe { strip::<float32x4_t, ROWS, VECTORS>(to) }
}

// SAFETY of every block below: NEON is part of the target; pointers are the caller's, valid for
// what the method names.
impl Lanes for float32x4_t {
    const LANES: usize = 4;
    const PANEL: usize = 4;

    #[inline(always)]
    unsafe fn zero() -> Self {
        // SAFETY: see above.
        unsafe { vdupq_n_f32(0.0) }
    }
    #[inline(always)]
    unsafe fn splat(p: *const f32) -> Self {
        // SAFETY: see above.
        unsafe { vld1q_dup_f32(p) }
    }
    #[inline(always)]
    unsafe fn load(p: *const f32) -> Self {
        // SAFETY: see above.
        unsafe { vld1q_f32(p) }
    }
    #[inline(always)]
    unsafe fn load_bf16(p: *const u16) -> Self {
        // SAFETY: see above.
        unsafe { vreinterpretq_f32_u32(vshll_n_u16::<16>(vld1_u16(p))) }
    }
    #[inline(always)]
    unsafe fn load_f16(p: *const u16) -> Self {
        // SAFETY: see above.
        unsafe { vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p))) }
    }
    #[inline(always)]
    unsafe fn load_first(p: *const f32, n: usize) -> Self {
        let mut whole = [0.0_f32; 4];
        // SAFETY: `n < 4` floats are read from the caller and as many written to `whole`.
        unsafe {
            std::ptr::copy_nonoverlapping(p, whole.as_mut_ptr(), n);
            vld1q_f32(whole.as_ptr())
        }
    }
    #[inline(always)]
    unsafe fn columns(rows: *const f32, stride: usize) -> [Self; 4] {
        // SAFETY: see above.
        unsafe {
            let row = |lane| vld1q_f32(rows.add(lane * stride));
            let (a, b) = (vtrnq_f32(row(0), row(1)), vtrnq_f32(row(2), row(3)));
            [
                vcombine_f32(vget_low_f32(a.0), vget_low_f32(b.0)),
                vcombine_f32(vget_low_f32(a.1), vget_low_f32(b.1)),
                vcombine_f32(vget_high_f32(a.0), vget_high_f32(b.0)),
                vcombine_f32(vget_high_f32(a.1), vget_high_f32(b.1)),
            ]
        }
    }
    #[inline(always)]
    unsafe fn store(self, p: *mut f32) {
        // SAFETY: see above.
        unsafe { vst1q_f32(p, self) }
    }
    #[inline(always)]
    unsafe fn store_first(self, p: *mut f32, n: usize) {
        let mut whole = [0.0_f32; 4];
        // SAFETY: `n < 4` floats are read from `whole` and written to the caller.
        unsafe {
            vst1q_f32(whole.as_mut_ptr(), self);
            std::ptr::copy_nonoverlapping(whole.as_ptr(), p, n);
        }
    }
    #[inline(always)]
    unsafe fn fma(self, b: Self, acc: Self) -> Self {
        // SAFETY: see above.
        unsafe { vfmaq_f32(acc, self, b) }
    }
    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        // SAFETY: see above.
        unsafe { vaddq_f32(self, other) }
    }
    #[inline(always)]
    unsafe fn canonical(self) -> Self {
        // SAFETY: see above. A lane equals itself unless it is NaN.
        unsafe {
            vbslq_f32(
                vceqq_f32(self, self),
                self,
                vdupq_n_f32(f32::from_bits(CANONICAL_NAN)),
            )
        }
    }
}
