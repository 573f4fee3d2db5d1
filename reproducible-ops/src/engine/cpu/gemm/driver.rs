//! The loops around the micro-kernel for one region of one product: blocks of columns, k-blocks in ascending order,
//! blocks of rows, tiles.

use std::ops::Range;

use super::K_BLOCK;
use super::kernel::{Layout, Tile};
use super::lanes::{Isa, Lanes};
use super::pack::{self, A_ROWS, A_STRIDE, B_COLS, View};
use super::scratch::Areas;
use crate::engine::cpu::Path;

/// Longest reduction of two levels: 256 blocks of 256.
const TWO_LEVELS: usize = K_BLOCK * K_BLOCK;
/// Rows of an output tile of a deeper reduction.
pub(super) const DEEP_ROWS: usize = 56;
/// Columns of an output tile of a deeper reduction: a whole number of panels on every path.
pub(super) const DEEP_COLS: usize = 128;
/// Partial results that are alive at once when every address is reduced: one per level above the second.
pub(super) const DEEP_LEVELS: usize = usize::BITS as usize / K_BLOCK.ilog2() as usize - 2;

/// One product with its addresses. The views are readable, and C writable, for the shape that was checked.
#[derive(Clone, Copy)]
pub(super) struct Matrix {
    pub(super) a: View,
    pub(super) b: Source,
    pub(super) c: *mut f32,
    pub(super) c_stride: usize,
    pub(super) k: usize,
}

/// Where B comes from.
#[derive(Clone, Copy)]
pub(super) enum Source {
    /// A tensor; floats before `end` are readable.
    Strided { view: View, end: *const f32 },
    /// Panels of all `n` columns, k-block after k-block.
    Packed { start: *const f32, n: usize },
}

/// Some rows and columns of an output. Columns start at a multiple of [`COLUMN_UNIT`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Region {
    pub(super) rows: Range<usize>,
    pub(super) cols: Range<usize>,
}

/// Columns of the widest panel.
pub(super) const COLUMN_UNIT: usize = 32;

/// Evaluates `$body` with `$isa` naming the instruction set of a path.
macro_rules! on_path {
    ($path:expr, $isa:ident => $body:expr) => {
        match $path {
            #[cfg(target_arch = "x86_64")]
            $crate::engine::cpu::Path::Avx2 => {
                type $isa = $crate::engine::cpu::gemm::x86::Avx2;
                $body
            }
            #[cfg(target_arch = "x86_64")]
            $crate::engine::cpu::Path::Avx512 => {
                type $isa = $crate::engine::cpu::gemm::x86::Avx512;
                $body
            }
            #[cfg(target_arch = "aarch64")]
            $crate::engine::cpu::Path::Neon => {
                type $isa = $crate::engine::cpu::gemm::neon::Neon;
                $body
            }
            _ => {
                type $isa = $crate::engine::cpu::gemm::lanes::Scalar;
                $body
            }
        }
    };
}
pub(super) use on_path;

/// Computes a region of a product.
///
/// # Safety
/// The path is available, the matrix is valid for the region, nobody else touches the region's outputs meanwhile, and the
/// areas are the caller's alone.
pub(super) unsafe fn compute(path: Path, matrix: &Matrix, region: &Region, areas: Areas) {
    // SAFETY: the caller's contract.
    on_path!(path, I => unsafe { product::<I>(matrix, region, areas) });
}

unsafe fn product<I: Isa>(matrix: &Matrix, region: &Region, areas: Areas) {
    // SAFETY: the caller's contract.
    unsafe {
        match matrix.k {
            0 => clear(matrix, region),
            1..=TWO_LEVELS => two_levels::<I>(matrix, region, 0..matrix.k, areas),
            _ => deep_tiles::<I>(matrix, region, areas),
        }
    }
}

/// Sets a region's outputs to +0.
unsafe fn clear(matrix: &Matrix, region: &Region) {
    for row in region.rows.clone() {
        // SAFETY: the region's outputs are writable.
        unsafe { std::ptr::write_bytes(cell(matrix, row, region.cols.start), 0, region.cols.len()) };
    }
}

fn cell(matrix: &Matrix, row: usize, col: usize) -> *mut f32 {
    matrix.c.wrapping_add(row * matrix.c_stride + col)
}

/// A reduction of more than two levels, tile by tile so that partial results stay small.
unsafe fn deep_tiles<I: Isa>(matrix: &Matrix, region: &Region, areas: Areas) {
    for rows in chunks(region.rows.clone(), DEEP_ROWS) {
        for cols in chunks(region.cols.clone(), DEEP_COLS) {
            let tile = Region { rows: rows.clone(), cols };
            // SAFETY: the tile is part of the region.
            unsafe { deep::<I>(matrix, &tile, 0..matrix.k, areas) };
        }
    }
}

/// Combines the results of up to 256 spans of the reduced axis by one ascending chain of `add` from +0.
unsafe fn deep<I: Isa>(matrix: &Matrix, tile: &Region, ks: Range<usize>, areas: Areas) {
    // SAFETY: the tile is the caller's; the partial tile is the first of the area, deeper levels use what follows it.
    unsafe {
        if ks.len() <= TWO_LEVELS {
            return two_levels::<I>(matrix, tile, ks, areas);
        }
        clear(matrix, tile);
        let (rows, cols) = (tile.rows.len(), tile.cols.len());
        let partial = Matrix {
            c: areas.deep.wrapping_sub(tile.rows.start * DEEP_COLS + tile.cols.start),
            c_stride: DEEP_COLS,
            ..*matrix
        };
        let below = Areas { deep: areas.deep.wrapping_add(DEEP_ROWS * DEEP_COLS), ..areas };
        for span in chunks(ks.clone(), span_of(ks.len())) {
            deep::<I>(&partial, tile, span, below);
            let out = cell(matrix, tile.rows.start, tile.cols.start);
            I::add_rows(out, matrix.c_stride, areas.deep, DEEP_COLS, rows, cols);
        }
    }
}

/// The largest power of 256 below `len`.
fn span_of(len: usize) -> usize {
    let mut span = TWO_LEVELS;
    while span.checked_mul(K_BLOCK).is_some_and(|next| next < len) {
        span *= K_BLOCK;
    }
    span
}

/// Ranges of `size` that make up `range`, the last one shorter.
fn chunks(range: Range<usize>, size: usize) -> impl Iterator<Item = Range<usize>> {
    let end = range.end;
    range.step_by(size).map(move |start| start..end.min(start.saturating_add(size)))
}

/// Up to 256 k-blocks, added to C one after the other.
unsafe fn two_levels<I: Isa>(matrix: &Matrix, region: &Region, ks: Range<usize>, areas: Areas) {
    for cols in chunks(region.cols.clone(), B_COLS) {
        for block in chunks(ks.clone(), K_BLOCK) {
            // SAFETY: columns and steps are parts of the caller's region and axis.
            unsafe {
                let b = right::<I>(matrix, region.rows.len(), &cols, &block, areas.b);
                let accumulate = block.start > ks.start;
                for rows in chunks(region.rows.clone(), A_ROWS) {
                    let a = left::<I>(matrix, &rows, &block, cols.len(), areas.a);
                    let c = cell(matrix, rows.start, cols.start);
                    let tile = Tile {
                        depth: block.len(),
                        a: a.start,
                        a_stride: a.stride,
                        a_layout: a.layout,
                        b: b.start,
                        b_step: b.step,
                        b_panel: b.panel,
                        c,
                        c_stride: matrix.c_stride,
                        last: 0,
                        accumulate,
                    };
                    tiles::<I>(&tile, rows.len(), cols.len());
                }
            }
        }
    }
}

/// A block of A as the kernel reads it.
struct Left {
    start: *const f32,
    stride: usize,
    layout: Layout,
}

/// A block of B as the kernel reads it.
struct Right {
    start: *const f32,
    step: usize,
    panel: usize,
}

/// Rows of A for one k-block: in place if they can be read so, else copied.
unsafe fn left<I: Isa>(matrix: &Matrix, rows: &Range<usize>, block: &Range<usize>, cols: usize, to: *mut f32) -> Left {
    let view = matrix.a.at(0, block.start);
    let (row, k) = (view.row_stride, view.k_stride);
    if (row == 1 || k == 1) && !copies_left(row.max(k), rows.len(), cols, k == 1) {
        let start = view.at(rows.start, 0).start;
        return if k == 1 {
            Left { start, stride: row, layout: Layout::Rows }
        } else {
            Left { start, stride: k, layout: Layout::Columns }
        };
    }
    // SAFETY: rows and steps exist in A; the area holds a whole block.
    unsafe { pack::rows::<I>(view, rows.clone(), block.len(), to) };
    Left { start: to, stride: A_STRIDE, layout: Layout::Rows }
}

/// Whether copying a block of A pays: it is read again for every panel, and its rows lie in the same cache sets.
fn copies_left(stride: usize, rows: usize, cols: usize, by_rows: bool) -> bool {
    let aliased = stride.is_multiple_of(if by_rows { 512 } else { 256 });
    rows > 4 && cols >= 256 && aliased
}

/// Columns of one k-block: packed before, in place if side by side and few, else packed.
unsafe fn right<I: Isa>(
    matrix: &Matrix,
    rows: usize,
    cols: &Range<usize>,
    block: &Range<usize>,
    to: *mut f32,
) -> Right {
    let packed = |start| Right { start, step: I::PANEL, panel: block.len() * I::PANEL };
    match matrix.b {
        Source::Packed { start, n } => {
            let columns = n.next_multiple_of(I::PANEL);
            packed(start.wrapping_add(block.start * columns + cols.start * block.len()))
        }
        Source::Strided { view, end } => {
            let part = view.at(cols.start, block.start);
            if reads_in_place::<I>(part, end, rows, cols.len(), block.len()) {
                return Right { start: part.start, step: part.k_stride, panel: I::PANEL };
            }
            // SAFETY: the columns and steps exist in B; the area holds a whole block.
            unsafe { pack::panels::<I>(part, cols.len(), block.len(), to) };
            packed(to)
        }
    }
}

/// Whether B can and should be read where it is: columns side by side, whole vectors inside the slice, and too few rows of
/// A for a copy to pay.
fn reads_in_place<I: Isa>(view: View, end: *const f32, rows: usize, cols: usize, depth: usize) -> bool {
    let reach = (depth - 1) * view.k_stride + cols.next_multiple_of(I::Vector::LANES);
    let room = (end as usize).saturating_sub(view.start as usize) / size_of::<f32>();
    view.row_stride == 1 && reach <= room && (rows <= 4 * I::ROWS || cols <= I::PANEL)
}

/// Every micro-tile of a block, panels outermost so that one stays in the first-level cache while rows pass.
unsafe fn tiles<I: Isa>(block: &Tile, rows: usize, cols: usize) {
    let lanes = I::Vector::LANES;
    let vectors = cols.div_ceil(lanes);
    let count = rows.div_ceil(I::ROWS);
    let widest = if count == 1 { I::widest(rows) } else { 2 };
    let mut v = 0;
    while v < vectors {
        let width = width(widest, vectors - v);
        let last = if v + width == vectors { cols - (vectors - 1) * lanes } else { lanes };
        for i in 0..count {
            let (row, end) = (rows * i / count, rows * (i + 1) / count);
            let tile = Tile {
                a: block.a.wrapping_add(row * if block.a_layout == Layout::Rows { block.a_stride } else { 1 }),
                b: block.b.wrapping_add(v / 2 * block.b_panel),
                c: block.c.wrapping_add(row * block.c_stride + v * lanes),
                last,
                ..*block
            };
            // SAFETY: rows and columns of the tile are parts of the block.
            unsafe { I::tile(end - row, width, &tile) };
        }
        v += width;
    }
}

/// Vectors of the next tile: as many as fit, an even number until the last.
const fn width(widest: usize, left: usize) -> usize {
    if left >= widest {
        widest
    } else if left == 1 {
        1
    } else {
        left / 2 * 2
    }
}
