//! What the micro-kernel needs from a vector unit, and the one-lane unit that defines the bits.

use super::kernel::{Tile, dispatch, micro};

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

    /// All lanes +0.
    unsafe fn zero() -> Self;
    /// All lanes `*p`.
    unsafe fn splat(p: *const f32) -> Self;
    /// `LANES` floats from `p`.
    unsafe fn load(p: *const f32) -> Self;
    /// The first `n < LANES` floats from `p`, the other lanes +0.
    unsafe fn load_first(p: *const f32, n: usize) -> Self;
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

/// An instruction set: its register, its tile sizes, and the functions compiled with it enabled.
///
/// # Safety
/// Methods may only run where the instruction set is present, with pointers valid for what they
/// document.
pub(super) trait Isa {
    /// The vector register.
    type Vector: Lanes;
    /// Columns of a packed panel.
    const PANEL: usize = Self::Vector::PANEL * Self::Vector::LANES;

    /// Most vectors that a tile of `rows` rows should span: a whole number of panels.
    fn widest(rows: usize) -> usize;

    /// Most rows of a tile that spans `vectors`.
    fn tallest(vectors: usize) -> usize;

    /// Runs the micro-kernel with `rows` rows and `vectors` vectors of columns.
    unsafe fn tile(rows: usize, vectors: usize, tile: &Tile);

    /// Transposes `rows <= LANES` rows of `cols <= LANES` floats, `stride` apart in `src`, into
    /// `cols` rows of `LANES` floats, `to` apart in `dst`; lanes past `rows` become +0.
    unsafe fn transpose(
        src: *const f32,
        stride: usize,
        rows: usize,
        cols: usize,
        dst: *mut f32,
        to: usize,
    ) {
        for c in 0..cols {
            for r in 0..Self::Vector::LANES {
                // SAFETY: `r < rows` and `c < cols` bound the reads, `c < cols` and `r < LANES` the
                // writes.
                unsafe {
                    let value = if r < rows {
                        *src.add(r * stride + c)
                    } else {
                        0.0
                    };
                    *dst.add(c * to + r) = value;
                }
            }
        }
    }

    /// Copies `count` panels of columns that lie side by side, `depth` steps of k that are `stride`
    /// apart in `src`; panels follow each other in `dst`.
    unsafe fn copy_panels(
        src: *const f32,
        stride: usize,
        count: usize,
        depth: usize,
        dst: *mut f32,
    ) {
        // SAFETY: the caller's contract.
        unsafe { copy_panels::<Self::Vector>(src, stride, count, depth, dst) }
    }

    /// `out[r][c] = canonical(out[r][c] + other[r][c])` over `rows` rows of `cols` floats.
    unsafe fn add_rows(
        out: *mut f32,
        out_row: usize,
        other: *const f32,
        other_row: usize,
        rows: usize,
        cols: usize,
    ) {
        for r in 0..rows {
            for c in 0..cols {
                // SAFETY: the caller vouches for `rows` rows of `cols` floats in both.
                unsafe {
                    let to = out.add(r * out_row + c);
                    f32::add(*to, *other.add(r * other_row + c))
                        .canonical()
                        .store(to);
                }
            }
        }
    }
}

/// The body of [`Isa::copy_panels`], to be compiled with the instruction set enabled. Steps of k
/// are outermost, so that memory is read in order.
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
    unsafe fn load_first(_p: *const f32, _n: usize) -> Self {
        0.0
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

/// Plain Rust, one lane: the definition that the other paths are tested against.
pub(super) struct Scalar;

impl Isa for Scalar {
    type Vector = f32;

    fn widest(_rows: usize) -> usize {
        2
    }

    fn tallest(_vectors: usize) -> usize {
        4
    }

    unsafe fn tile(rows: usize, vectors: usize, tile: &Tile) {
        // SAFETY: the caller's tile is valid; one lane needs no special instructions.
        unsafe { dispatch!(scalar, (rows, vectors, tile), 1: [1 2 3 4], 2: [1 2 3 4]) }
    }
}

unsafe fn scalar<const ROWS: usize, const VECTORS: usize>(tile: &Tile) {
    // SAFETY: the caller's tile is valid.
    unsafe { micro::<f32, ROWS, VECTORS>(tile) }
}
