//! Copies of operand blocks in the order in which the micro-kernel reads them. Packing never
//! computes.

use std::ops::Range;

use super::blocking::{A_STRIDE, K_BLOCK};
use super::isa::Isa;
use super::lanes::Lanes;
use super::scratch::LINE;

/// A strided matrix: element `(row, k)` is at `row * row_stride + k * k_stride` from `start`.
#[derive(Clone, Copy)]
pub(super) struct View {
    pub(super) start: *const f32,
    pub(super) row_stride: usize,
    pub(super) k_stride: usize,
}

impl View {
    /// The view that begins at `(row, k)`.
    pub(super) fn at(self, row: usize, k: usize) -> Self {
        Self {
            start: self
                .start
                .wrapping_add(row * self.row_stride + k * self.k_stride),
            ..self
        }
    }
}

/// Packs every k-block of `rows` rows, one after the other, each as [`panels`] does; a step of k
/// takes whole panels.
///
/// # Safety
/// `view` is readable for `rows` rows of `len`, `to` writable for `len` steps of whole panels; the
/// instruction set is present.
pub(super) unsafe fn blocks<I: Isa>(view: View, rows: usize, len: usize, to: *mut f32) {
    let columns = rows.next_multiple_of(I::PANEL);
    for k in (0..len).step_by(K_BLOCK) {
        // SAFETY: the block's steps exist in both.
        unsafe {
            panels::<I>(
                view.at(0, k),
                rows,
                K_BLOCK.min(len - k),
                to.add(k * columns),
            )
        };
    }
}

/// Packs `rows` rows (columns of `Bᵀ`) of one k-block into panels of [`Isa::PANEL`], missing
/// columns as zeros.
///
/// Panel `p` holds `depth` steps of `PANEL` floats from `p * depth * PANEL`.
///
/// # Safety
/// `view` is readable for `rows` rows of `depth`, `to` writable for whole panels; the instruction
/// set is present.
unsafe fn panels<I: Isa>(view: View, rows: usize, depth: usize, to: *mut f32) {
    let side_by_side = if view.row_stride == 1 {
        rows / I::PANEL
    } else {
        0
    };
    // SAFETY: these panels are full, and their columns lie side by side.
    unsafe { I::copy_panels(view.start, view.k_stride, side_by_side, depth, to) };
    for first in (side_by_side * I::PANEL..rows).step_by(I::Vector::LANES) {
        let (panel, inside) = (first / I::PANEL, first % I::PANEL);
        // SAFETY: `first < rows`, and its vector lies in a whole panel.
        unsafe {
            let to = to.add(panel * depth * I::PANEL + inside);
            part_of_panel::<I>(
                view.at(first, 0),
                I::Vector::LANES.min(rows - first),
                depth,
                to,
            );
        }
    }
}

/// One vector of columns of a panel.
unsafe fn part_of_panel<I: Isa>(view: View, lanes: usize, depth: usize, to: *mut f32) {
    // SAFETY: the caller vouches for `lanes` rows of `depth` and for `depth` steps of a panel.
    unsafe {
        if view.k_stride == 1 {
            transpose_blocks::<I>(view, lanes, depth, to);
        } else if view.row_stride == 1 && lanes == I::Vector::LANES {
            copy_vectors::<I>(view, depth, to);
        } else {
            gather::<I>(view, lanes, depth, to);
        }
    }
}

/// Rows are read a few steps at a time, an order that the hardware does not foresee: each line asks
/// for the one that the next vector of rows needs in its place.
unsafe fn transpose_blocks<I: Isa>(view: View, lanes: usize, depth: usize, to: *mut f32) {
    for k in (0..depth).step_by(I::Vector::LANES) {
        let cols = I::Vector::LANES.min(depth - k);
        if k.is_multiple_of(LINE) {
            for row in lanes..2 * lanes {
                // SAFETY: a prefetch does not access memory.
                unsafe { I::Vector::prefetch(view.at(row, k).start) };
            }
        }
        // SAFETY: rows `..lanes` and steps `k..k + cols` exist in both.
        unsafe {
            I::transpose(
                view.at(0, k).start,
                view.row_stride,
                lanes,
                cols,
                to.add(k * I::PANEL),
                I::PANEL,
            )
        };
    }
}

unsafe fn copy_vectors<I: Isa>(view: View, depth: usize, to: *mut f32) {
    for k in 0..depth {
        // SAFETY: step `k` has a whole vector of columns side by side.
        unsafe {
            std::ptr::copy_nonoverlapping(
                view.at(0, k).start,
                to.add(k * I::PANEL),
                I::Vector::LANES,
            )
        };
    }
}

unsafe fn gather<I: Isa>(view: View, lanes: usize, depth: usize, to: *mut f32) {
    for k in 0..depth {
        for lane in 0..I::Vector::LANES {
            // SAFETY: lanes below `lanes` exist in the view, every lane in the panel.
            unsafe {
                *to.add(k * I::PANEL + lane) = if lane < lanes {
                    *view.at(lane, k).start
                } else {
                    0.0
                };
            }
        }
    }
}

/// Copies `rows` of one k-block as rows [`A_STRIDE`] apart.
///
/// # Safety
/// `view` is readable for those rows of `depth <= K_BLOCK`, `to` writable for
/// [`A_FLOATS`](super::blocking::A_FLOATS); the instruction set is present.
pub(super) unsafe fn rows<I: Isa>(view: View, rows: Range<usize>, depth: usize, to: *mut f32) {
    let view = view.at(rows.start, 0);
    // SAFETY: the caller's contract, with rows counted from the range's start.
    unsafe {
        if view.k_stride == 1 {
            copy_rows(view, rows.len(), depth, to);
        } else if view.row_stride == 1 {
            transpose_rows::<I>(view, rows.len(), depth, to);
        } else {
            gather_rows(view, rows.len(), depth, to);
        }
    }
}

unsafe fn copy_rows(view: View, rows: usize, depth: usize, to: *mut f32) {
    for row in 0..rows {
        // SAFETY: row `row` has `depth` floats in both.
        unsafe {
            std::ptr::copy_nonoverlapping(view.at(row, 0).start, to.add(row * A_STRIDE), depth)
        };
    }
}

unsafe fn transpose_rows<I: Isa>(view: View, rows: usize, depth: usize, to: *mut f32) {
    let lanes = I::Vector::LANES;
    for row in (0..rows).step_by(lanes) {
        let cols = lanes.min(rows - row);
        for k in (0..depth).step_by(lanes) {
            let steps = lanes.min(depth - k);
            // SAFETY: the block's rows and steps exist; a whole vector fits into the row's spare
            // line.
            unsafe {
                let to = to.add(row * A_STRIDE + k);
                I::transpose(
                    view.at(row, k).start,
                    view.k_stride,
                    steps,
                    cols,
                    to,
                    A_STRIDE,
                );
            }
        }
    }
}

unsafe fn gather_rows(view: View, rows: usize, depth: usize, to: *mut f32) {
    for row in 0..rows {
        for k in 0..depth {
            // SAFETY: element `(row, k)` exists in both.
            unsafe { *to.add(row * A_STRIDE + k) = *view.at(row, k).start };
        }
    }
}
