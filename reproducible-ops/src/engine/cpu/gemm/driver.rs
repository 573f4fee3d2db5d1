//! The loops around the micro-kernel for one region of one product: blocks of columns, k-blocks in
//! ascending order, blocks of rows, tiles.

use std::cmp::Ordering;
use std::ops::Range;

use super::blocking::{
    A_ROWS, A_STRIDE, AHEAD_STEPS, B_COLS, B_FLOATS, DEEP_COLS, DEEP_ROWS, FEW_ROWS, K_BLOCK,
    SET_STRIDE, TWO_LEVELS,
};
use super::few::Strip;
use super::isa::Isa;
use super::kernel::{Layout, Target, Tile};
use super::lanes::{Bf16, F16, Kept, Lanes};
use super::on_isa::on_isa;
use super::pack::{self, View};
use super::scratch::Areas;
use crate::engine::cpu::InstructionSet;

/// One product with its addresses. The views are readable, and C writable, for the shape that was
/// checked.
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
    /// The same of upper halves.
    PackedBf16 { start: *const Bf16, n: usize },
    /// The same of binary16.
    PackedF16 { start: *const F16, n: usize },
}

/// Some rows and columns of an output. Columns start at a multiple of
/// [`COLUMN_UNIT`](super::blocking::COLUMN_UNIT).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Region {
    pub(super) rows: Range<usize>,
    pub(super) cols: Range<usize>,
}

/// Computes a region of a product.
///
/// # Safety
/// The instruction set is available, the matrix is valid for the region, nobody else touches the
/// region's outputs meanwhile, and the areas are the caller's alone.
pub(super) unsafe fn compute(isa: InstructionSet, matrix: &Matrix, region: &Region, areas: Areas) {
    // SAFETY: the caller's contract.
    on_isa!(isa, I => unsafe { product::<I>(matrix, region, areas) });
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
        unsafe {
            std::ptr::write_bytes(cell(matrix, row, region.cols.start), 0, region.cols.len())
        };
    }
}

fn cell(matrix: &Matrix, row: usize, col: usize) -> *mut f32 {
    matrix.c.wrapping_add(row * matrix.c_stride + col)
}

/// A reduction of more than two levels, tile by tile so that partial results stay small.
unsafe fn deep_tiles<I: Isa>(matrix: &Matrix, region: &Region, areas: Areas) {
    for rows in chunks(region.rows.clone(), DEEP_ROWS) {
        for cols in chunks(region.cols.clone(), DEEP_COLS) {
            let tile = Region {
                rows: rows.clone(),
                cols,
            };
            // SAFETY: the tile is part of the region.
            unsafe { deep::<I>(matrix, &tile, 0..matrix.k, areas) };
        }
    }
}

/// Combines the results of up to 256 spans of the reduced axis by one ascending chain of `add` from
/// +0.
unsafe fn deep<I: Isa>(matrix: &Matrix, tile: &Region, ks: Range<usize>, areas: Areas) {
    // SAFETY: the tile is the caller's; the partial tile is the first of the area, deeper levels
    // use what follows it.
    unsafe {
        if ks.len() <= TWO_LEVELS {
            return two_levels::<I>(matrix, tile, ks, areas);
        }
        clear(matrix, tile);
        let (rows, cols) = (tile.rows.len(), tile.cols.len());
        let partial = Matrix {
            c: areas
                .deep
                .wrapping_sub(tile.rows.start * DEEP_COLS + tile.cols.start),
            c_stride: DEEP_COLS,
            ..*matrix
        };
        let below = Areas {
            deep: areas.deep.wrapping_add(DEEP_ROWS * DEEP_COLS),
            ..areas
        };
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
    range
        .step_by(size)
        .map(move |start| start..end.min(start.saturating_add(size)))
}

/// Up to 256 k-blocks, added to C one after the other.
///
/// As many k-blocks of B as fit are packed at once, so that a block of C stays in the cache while
/// they are added to it.
unsafe fn two_levels<I: Isa>(matrix: &Matrix, region: &Region, ks: Range<usize>, areas: Areas) {
    if let Some(b) = turned_in_registers::<I>(matrix, region) {
        // SAFETY: the caller's contract; steps of k lie side by side in both operands.
        return unsafe { few_rows::<I>(matrix, b, region, ks) };
    }
    for cols in chunks(region.cols.clone(), B_COLS) {
        let at_once = B_FLOATS / (K_BLOCK * cols.len().next_multiple_of(I::PANEL));
        for span in chunks(ks.clone(), at_once * K_BLOCK) {
            let part = Region {
                rows: region.rows.clone(),
                cols: cols.clone(),
            };
            let steps = Steps {
                first: ks.start,
                span,
            };
            // SAFETY: columns and steps are parts of the caller's region and axis.
            unsafe {
                match matrix.b {
                    Source::PackedBf16 { start, n } => {
                        let b = packed::<I, Bf16>(start, n, matrix.k, &part.cols);
                        blocks_of_c::<I, Bf16>(matrix, &part, &steps, &b, areas.a);
                    }
                    Source::PackedF16 { start, n } => {
                        let b = packed::<I, F16>(start, n, matrix.k, &part.cols);
                        blocks_of_c::<I, F16>(matrix, &part, &steps, &b, areas.a);
                    }
                    Source::Packed { .. } | Source::Strided { .. } => {
                        let rows = part.rows.len();
                        let b = right::<I>(matrix, rows, &part.cols, &steps.span, areas.b);
                        blocks_of_c::<I, f32>(matrix, &part, &steps, &b, areas.a);
                    }
                }
            }
        }
    }
}

/// Some k-blocks of a sum.
struct Steps {
    /// The step with which the sum begins.
    first: usize,
    span: Range<usize>,
}

/// Adds k-blocks to rows and columns of C, for which B is at hand.
unsafe fn blocks_of_c<I: Isa, B: Kept>(
    matrix: &Matrix,
    region: &Region,
    steps: &Steps,
    b: &Right<B>,
    area: *mut f32,
) {
    for rows in chunks(region.rows.clone(), A_ROWS) {
        let part = Region {
            rows,
            cols: region.cols.clone(),
        };
        for block in chunks(steps.span.clone(), K_BLOCK) {
            let accumulate = block.start > steps.first;
            // SAFETY: the caller's contract.
            unsafe { block_of_c::<I, B>(matrix, &part, &block, b, accumulate, area) };
        }
    }
}

/// The right operand if its steps of k lie side by side, and few rows read many columns of it, so
/// that a copy does not pay.
fn turned_in_registers<I: Isa>(matrix: &Matrix, region: &Region) -> Option<View> {
    let Source::Strided { view, .. } = matrix.b else {
        return None;
    };
    let are_rows = view.k_stride == 1 && view.row_stride != 1 && matrix.a.k_stride == 1;
    let are_few = I::strip(region.rows.len()) > 0 && region.cols.len() >= I::Vector::LANES;
    (are_rows && are_few).then_some(view)
}

/// Up to 256 k-blocks, strip by strip of whole vectors of columns. The last strip begins before the
/// end of the one before where the columns are no multiple of a vector: it computes those again.
unsafe fn few_rows<I: Isa>(matrix: &Matrix, b: View, region: &Region, ks: Range<usize>) {
    let (rows, lanes) = (region.rows.len(), I::Vector::LANES);
    let mut done = region.cols.start;
    while done < region.cols.end {
        let vectors = ((region.cols.end - done) / lanes).clamp(1, I::strip(rows));
        let col = done.min(region.cols.end - vectors * lanes);
        for block in chunks(ks.clone(), K_BLOCK) {
            let strip = Strip {
                depth: block.len(),
                a: matrix.a.at(region.rows.start, block.start).start,
                a_stride: matrix.a.row_stride,
                b: b.at(col, block.start).start,
                b_stride: b.row_stride,
                to: Target {
                    c: cell(matrix, region.rows.start, col),
                    c_stride: matrix.c_stride,
                    last: lanes,
                    accumulate: block.start > ks.start,
                },
            };
            // SAFETY: the strip names these rows, columns and steps, and all of them exist.
            unsafe { I::few(rows, vectors, &strip) };
        }
        done = col + vectors * lanes;
    }
}

/// Adds one k-block to a block of C.
unsafe fn block_of_c<I: Isa, B: Kept>(
    matrix: &Matrix,
    part: &Region,
    block: &Range<usize>,
    b: &Right<B>,
    accumulate: bool,
    area: *mut f32,
) {
    let (rows, cols) = (part.rows.len(), part.cols.len());
    // SAFETY: the part's rows and the block's steps exist in A; the area is the caller's.
    let a = unsafe { left::<I>(matrix, &part.rows, block, cols, area) };
    let tile = Tile {
        depth: block.len(),
        a: a.start,
        a_stride: a.stride,
        a_layout: a.layout,
        b: b.block(block),
        b_step: b.step,
        b_panel: if b.in_place {
            I::PANEL
        } else {
            block.len() * I::PANEL
        },
        ahead: b.ahead::<I>(),
        to: Target {
            c: cell(matrix, part.rows.start, part.cols.start),
            c_stride: matrix.c_stride,
            last: I::Vector::LANES,
            accumulate,
        },
    };
    // SAFETY: the tile names these rows, columns and steps, and all of them exist.
    unsafe { tiles::<I, B>(&tile, b, rows, cols) };
}

/// A block of A as the kernel reads it.
struct Left {
    start: *const f32,
    stride: usize,
    layout: Layout,
}

/// Some columns and k-blocks of B as the kernel reads them.
struct Right<B> {
    /// First column of the memory at `first_k`.
    start: *const B,
    first_k: usize,
    /// Column of the memory with which the block begins, in panels.
    first_col: usize,
    /// Numbers from one step of k to the next.
    step: usize,
    /// Numbers that all packed columns take per step of k; in place, the same as `step`.
    columns: usize,
    in_place: bool,
    /// Whether all of it is more than the caches near the core hold.
    from_memory: bool,
}

impl<B> Right<B> {
    /// First column of a k-block.
    fn block(&self, block: &Range<usize>) -> *const B {
        let k = (block.start - self.first_k) * self.columns;
        self.start.wrapping_add(k + self.first_col * block.len())
    }

    /// Numbers from where it is read to where it is asked for meanwhile.
    fn ahead<I: Isa>(&self) -> usize {
        if self.from_memory && !self.in_place {
            I::Vector::AHEAD * size_of::<f32>() / size_of::<B>()
        } else {
            AHEAD_STEPS * self.step
        }
    }

    /// Whether columns lie apart in memory: an order that the hardware does not foresee.
    fn is_spread(&self) -> bool {
        self.from_memory && self.in_place
    }

    /// Whether each strip of columns asks for what the next one reads in its place; the stretches
    /// that a single row reads may be long enough without.
    fn is_asked_for_by_strips(&self, rows: usize) -> bool {
        self.is_spread() && (rows > 1 || self.step >= SET_STRIDE)
    }
}

/// Rows of A for one k-block: in place if they can be read so, else copied.
unsafe fn left<I: Isa>(
    matrix: &Matrix,
    rows: &Range<usize>,
    block: &Range<usize>,
    cols: usize,
    to: *mut f32,
) -> Left {
    let view = matrix.a.at(0, block.start);
    let in_place = |stride, layout| Left {
        start: view.at(rows.start, 0).start,
        stride,
        layout,
    };
    match (view.row_stride, view.k_stride) {
        (stride, 1) if !aliases_rows::<I>(stride, cols) => in_place(stride, Layout::Rows),
        (1, stride) if !aliases_columns(stride, rows.len(), cols) => {
            in_place(stride, Layout::Columns)
        }
        _ => {
            // SAFETY: rows and steps exist in A; the area holds a whole block.
            unsafe { pack::rows::<I>(view, rows.clone(), block.len(), to) };
            Left {
                start: to,
                stride: A_STRIDE,
                layout: Layout::Rows,
            }
        }
    }
}

/// Whether rows fall in the same cache sets and some tiles have more of them than a set has ways:
/// narrow tiles are tall.
fn aliases_rows<I: Isa>(stride: usize, cols: usize) -> bool {
    stride.is_multiple_of(SET_STRIDE) && !cols.is_multiple_of(I::PANEL)
}

/// Whether steps of k fall in few cache sets and are read again for so many panels that a copy
/// pays.
fn aliases_columns(stride: usize, rows: usize, cols: usize) -> bool {
    stride.is_multiple_of(SET_STRIDE / 4) && rows > 4 && cols >= 256
}

/// Columns of panels that were packed before.
fn packed<I: Isa, B>(start: *const B, n: usize, k: usize, cols: &Range<usize>) -> Right<B> {
    Right {
        start,
        first_k: 0,
        first_col: cols.start,
        step: I::PANEL,
        columns: n.next_multiple_of(I::PANEL),
        in_place: false,
        from_memory: k * n * size_of::<B>() > B_FLOATS * size_of::<f32>(),
    }
}

/// Columns for some k-blocks: packed before, in place if side by side and few, else packed.
unsafe fn right<I: Isa>(
    matrix: &Matrix,
    rows: usize,
    cols: &Range<usize>,
    span: &Range<usize>,
    to: *mut f32,
) -> Right<f32> {
    match matrix.b {
        Source::Packed { start, n } => packed::<I, f32>(start, n, matrix.k, cols),
        Source::PackedBf16 { .. } | Source::PackedF16 { .. } => {
            unreachable!("invariant: halves are never made floats")
        }
        Source::Strided { view, end } => {
            let part = view.at(cols.start, span.start);
            if reads_in_place::<I>(part, end, rows, cols.len(), span.len()) {
                let (start, step) = (part.start, part.k_stride);
                return Right {
                    start,
                    first_k: span.start,
                    first_col: 0,
                    step,
                    columns: step,
                    in_place: true,
                    from_memory: matrix.k * cols.len() > B_FLOATS,
                };
            }
            // SAFETY: the columns and steps exist in B; the area holds all of them.
            unsafe { pack::blocks::<I>(part, cols.len(), span.len(), to) };
            let columns = cols.len().next_multiple_of(I::PANEL);
            Right {
                start: to,
                first_k: span.start,
                first_col: 0,
                step: I::PANEL,
                columns,
                in_place: false,
                from_memory: false,
            }
        }
    }
}

/// Whether B can and should be read where it is: columns side by side, whole vectors inside the
/// slice, and too few rows of A for a copy to pay.
fn reads_in_place<I: Isa>(
    view: View,
    end: *const f32,
    rows: usize,
    cols: usize,
    depth: usize,
) -> bool {
    let reach = (depth - 1) * view.k_stride + cols.next_multiple_of(I::Vector::LANES);
    let room = (end as usize).saturating_sub(view.start as usize) / size_of::<f32>();
    let is_spread = view.k_stride > 2 * FEW_ROWS;
    let pays = match cols.cmp(&I::PANEL) {
        Ordering::Greater => rows > FEW_ROWS && (rows > 2 * FEW_ROWS || is_spread),
        // One panel that has gaps in memory: heads side by side.
        Ordering::Equal => rows > 2 * FEW_ROWS && is_spread,
        Ordering::Less => false,
    };
    view.row_stride == 1 && reach <= room && !pays
}

/// Every micro-tile of a block, panels outermost so that a panel is read by all rows before the
/// next.
unsafe fn tiles<I: Isa, B: Kept>(block: &Tile<B>, b: &Right<B>, rows: usize, cols: usize) {
    let lanes = I::Vector::LANES;
    let vectors = cols.div_ceil(lanes);
    let mut v = 0;
    while v < vectors {
        let width = width::<I>(rows, vectors - v, b.is_spread());
        let last = if v + width == vectors {
            cols - (vectors - 1) * lanes
        } else {
            lanes
        };
        let strip = Tile {
            b: block
                .b
                .wrapping_add(v / I::Vector::PANEL * block.b_panel + v % I::Vector::PANEL * lanes),
            to: Target {
                c: block.to.c.wrapping_add(v * lanes),
                last,
                ..block.to
            },
            ..*block
        };
        let has_next = v + width < vectors;
        let ahead_last = if has_next && b.is_asked_for_by_strips(rows) {
            width * lanes
        } else {
            block.ahead
        };
        // SAFETY: the strip's columns are part of the block.
        unsafe { strip_of_tiles::<I, B>(&strip, ahead_last, rows, width) };
        v += width;
    }
}

/// Vectors of the next strip: several panels if the rows are few, else one, or what is left.
fn width<I: Isa>(rows: usize, left: usize, spread: bool) -> usize {
    let widest = I::widest(rows, spread);
    if left >= widest {
        widest
    } else {
        left.min(I::Vector::PANEL)
    }
}

/// Every micro-tile of `vectors` vectors of columns, of nearly equal heights; the last one asks for
/// B `ahead_last` ahead.
unsafe fn strip_of_tiles<I: Isa, B: Kept>(
    strip: &Tile<B>,
    ahead_last: usize,
    rows: usize,
    vectors: usize,
) {
    let count = rows.div_ceil(I::tallest(vectors));
    let a_row = if strip.a_layout == Layout::Rows {
        strip.a_stride
    } else {
        1
    };
    for i in 0..count {
        let (row, end) = (rows * i / count, rows * (i + 1) / count);
        let tile = Tile {
            a: strip.a.wrapping_add(row * a_row),
            ahead: if end < rows { strip.ahead } else { ahead_last },
            to: Target {
                c: strip.to.c.wrapping_add(row * strip.to.c_stride),
                ..strip.to
            },
            ..*strip
        };
        // SAFETY: the tile's rows are part of the strip.
        unsafe { I::tile(end - row, vectors, &tile) };
    }
}
