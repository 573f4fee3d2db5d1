//! An instruction set as the loops see it: the micro-kernel and the copies, compiled for it.

use super::few::{Strip, strip};
use super::kernel::{Tile, dispatch, micro};
use super::lanes::{Kept, Lanes, copy_panels};

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

    /// Most vectors that a tile of `rows` rows should span: a whole number of panels. Where columns
    /// are `spread` in memory beyond the caches, more of them are longer stretches.
    fn widest(rows: usize, spread: bool) -> usize;

    /// Most rows of a tile that spans `vectors`.
    fn tallest(vectors: usize) -> usize;

    /// Runs the micro-kernel with `rows` rows and `vectors` vectors of columns.
    unsafe fn tile(rows: usize, vectors: usize, tile: &Tile<impl Kept>);

    /// Most vectors of a strip of `rows` rows: see [`few`](super::few); 0 if packing B is faster.
    fn strip(rows: usize) -> usize;

    /// Runs the kernel for few rows with `rows` rows and `vectors` vectors of columns.
    unsafe fn few(rows: usize, vectors: usize, strip: &Strip);

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

/// Plain Rust, one lane: the definition that the other instruction sets are tested against.
pub(super) struct Scalar;

impl Isa for Scalar {
    type Vector = f32;

    fn widest(_rows: usize, _spread: bool) -> usize {
        2
    }

    fn tallest(_vectors: usize) -> usize {
        4
    }

    unsafe fn tile(rows: usize, vectors: usize, tile: &Tile<impl Kept>) {
        // SAFETY: the caller's tile is valid; one lane needs no special instructions.
        unsafe { dispatch!(scalar, (rows, vectors, tile), 1: [1 2 3 4], 2: [1 2 3 4]) }
    }

    fn strip(rows: usize) -> usize {
        if rows <= 4 { 4 } else { 0 }
    }

    unsafe fn few(rows: usize, vectors: usize, strip: &Strip) {
        // SAFETY: the caller's strip is valid; one lane needs no special instructions.
        unsafe {
            dispatch!(scalar_few, (rows, vectors, strip),
                1: [1 2 3 4], 2: [1 2 3 4], 3: [1 2 3 4], 4: [1 2 3 4]);
        }
    }
}

unsafe fn scalar<const ROWS: usize, const VECTORS: usize>(tile: &Tile<impl Kept>) {
    // SAFETY: the caller's tile is valid.
    unsafe { micro::<f32, _, ROWS, VECTORS>(tile) }
}

unsafe fn scalar_few<const ROWS: usize, const VECTORS: usize>(to: &Strip) {
    // SAFETY: the caller's strip is valid.
    unsafe { strip::<f32, ROWS, VECTORS>(to) }
}
