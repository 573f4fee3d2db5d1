//! The micro-kernel: one tile of C held in registers over one block of the reduced axis.

use super::lanes::{Kept, Lanes};
use super::scratch::LINE;

/// How the kernel finds `a[r][k]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    /// Neighbours along k lie side by side; rows are `Tile::a_stride` apart.
    Rows,
    /// Neighbours along the rows lie side by side; steps of k are `Tile::a_stride` apart.
    Columns,
}

/// One call of the micro-kernel. Distances are in numbers.
#[derive(Clone, Copy)]
pub(super) struct Tile<B> {
    /// Steps of k, at most 256.
    pub(super) depth: usize,
    /// `a[0][0]`.
    pub(super) a: *const f32,
    /// See [`Layout`].
    pub(super) a_stride: usize,
    pub(super) a_layout: Layout,
    /// First column of step 0.
    pub(super) b: *const B,
    /// From one step of k to the next.
    pub(super) b_step: usize,
    /// From one panel to the next.
    pub(super) b_panel: usize,
    /// From where B is read to where it is asked for meanwhile.
    pub(super) ahead: usize,
    pub(super) to: Target,
}

/// Where a kernel leaves its sums.
#[derive(Clone, Copy)]
pub(super) struct Target {
    /// `c[0][0]`.
    pub(super) c: *mut f32,
    pub(super) c_stride: usize,
    /// Columns of the last vector that exist: 1 to `LANES`.
    pub(super) last: usize,
    /// Whether the sums are added to C; otherwise C is not read and they are added to +0.
    pub(super) accumulate: bool,
}

/// Runs the micro-kernel on a tile of `ROWS` rows and `VECTORS` vectors.
///
/// # Safety
/// Of A and B every element named by the tile must be readable, whole vectors of B; of C every row
/// for its existing columns. The instruction set of `V` must be present.
#[inline(always)]
pub(super) unsafe fn micro<V: Lanes, B: Kept, const ROWS: usize, const VECTORS: usize>(
    tile: &Tile<B>,
) {
    // SAFETY: the caller's contract is the one of the callees.
    unsafe {
        prefetch_c::<V, ROWS, VECTORS>(&tile.to);
        let acc = match tile.a_layout {
            Layout::Rows => chains_by_rows::<V, B, ROWS, VECTORS>(tile),
            Layout::Columns => chains_by_columns::<V, B, ROWS, VECTORS>(tile),
        };
        store(&tile.to, &acc);
    }
}

#[inline(always)]
unsafe fn prefetch_c<V: Lanes, const ROWS: usize, const VECTORS: usize>(to: &Target) {
    for r in 0..ROWS {
        for v in 0..VECTORS {
            // SAFETY: a prefetch does not access memory.
            unsafe { V::prefetch(to.c.wrapping_add(r * to.c_stride + v * V::LANES)) };
        }
    }
}

/// The chains of a tile whose steps of k lie side by side in A.
///
/// Rows are short and far apart, so the hardware does not foresee the next tile's: each line asks
/// for the one below.
#[inline(always)]
unsafe fn chains_by_rows<V: Lanes, B: Kept, const ROWS: usize, const VECTORS: usize>(
    tile: &Tile<B>,
) -> [[V; VECTORS]; ROWS] {
    // SAFETY: steps stay below `depth`; a prefetch does not access memory.
    unsafe {
        let mut acc = [[V::zero(); VECTORS]; ROWS];
        let (mut a, mut b) = (tile.a, tile.b);
        let mut left = tile.depth;
        while left > 0 {
            for r in ROWS..2 * ROWS {
                V::prefetch(a.wrapping_add(r * tile.a_stride));
            }
            let line = left.min(LINE);
            for _ in 0..line {
                step(&mut acc, tile, a, tile.a_stride, b);
                (a, b) = (a.wrapping_add(1), b.wrapping_add(tile.b_step));
            }
            left -= line;
        }
        acc
    }
}

/// The chains of a tile whose rows lie side by side in A.
#[inline(always)]
unsafe fn chains_by_columns<V: Lanes, B: Kept, const ROWS: usize, const VECTORS: usize>(
    tile: &Tile<B>,
) -> [[V; VECTORS]; ROWS] {
    // SAFETY: steps stay below `depth`; a prefetch does not access memory.
    unsafe {
        let mut acc = [[V::zero(); VECTORS]; ROWS];
        let (mut a, mut b) = (tile.a, tile.b);
        for _ in 0..tile.depth {
            V::prefetch(a.wrapping_add(LINE * tile.a_stride));
            step(&mut acc, tile, a, 1, b);
            (a, b) = (a.wrapping_add(tile.a_stride), b.wrapping_add(tile.b_step));
        }
        acc
    }
}

/// One `fma` in the chain of every output.
#[inline(always)]
unsafe fn step<V: Lanes, B: Kept, const ROWS: usize, const VECTORS: usize>(
    acc: &mut [[V; VECTORS]; ROWS],
    tile: &Tile<B>,
    a: *const f32,
    a_row: usize,
    b: *const B,
) {
    // SAFETY: the caller vouches for this step of the tile.
    unsafe {
        // What is read more often stays in registers.
        if ROWS < VECTORS {
            let mut scales = [V::zero(); ROWS];
            for (r, scale) in scales.iter_mut().enumerate() {
                *scale = V::splat(a.add(r * a_row));
            }
            for v in 0..VECTORS {
                let column = column(tile, b, v);
                for (sums, scale) in acc.iter_mut().zip(scales) {
                    sums[v] = scale.fma(column, sums[v]);
                }
            }
        } else {
            let mut columns = [V::zero(); VECTORS];
            for (v, to) in columns.iter_mut().enumerate() {
                *to = column(tile, b, v);
            }
            for (r, sums) in acc.iter_mut().enumerate() {
                let scale = V::splat(a.add(r * a_row));
                for (sum, column) in sums.iter_mut().zip(columns) {
                    *sum = scale.fma(column, *sum);
                }
            }
        }
    }
}

/// Vector `v` of the columns of one step; asks, once per cache line, for what is needed later.
#[inline(always)]
unsafe fn column<V: Lanes, B: Kept>(tile: &Tile<B>, b: *const B, v: usize) -> V {
    let at = (v / V::PANEL) * tile.b_panel + (v % V::PANEL) * V::LANES;
    // SAFETY: the caller vouches for this step of the tile; a prefetch does not access memory.
    unsafe {
        if (v * V::LANES).is_multiple_of(LINE) {
            V::prefetch(b.wrapping_add(at + tile.ahead).cast());
        }
        B::load(b.add(at))
    }
}

/// Adds sums to C, or to +0.
#[inline(always)]
pub(super) unsafe fn store<V: Lanes, const ROWS: usize, const VECTORS: usize>(
    to: &Target,
    acc: &[[V; VECTORS]; ROWS],
) {
    for (r, sums) in acc.iter().enumerate() {
        for (v, sum) in sums.iter().enumerate() {
            // SAFETY: the caller vouches for the existing columns of every row.
            unsafe {
                let c = to.c.add(r * to.c_stride + v * V::LANES);
                if v + 1 < VECTORS || to.last == V::LANES {
                    let before = if to.accumulate { V::load(c) } else { V::zero() };
                    before.add(*sum).canonical().store(c);
                } else {
                    let before = if to.accumulate {
                        V::load_first(c, to.last)
                    } else {
                        V::zero()
                    };
                    before.add(*sum).canonical().store_first(c, to.last);
                }
            }
        }
    }
}

/// Picks the compiled kernel: `dispatch!(kernel, (rows, vectors, tile), vectors: [rows ...], ...)`.
macro_rules! dispatch {
    ($kernel:ident, ($rows:expr, $vectors:expr, $tile:expr), $($v:literal: [$($r:literal)*]),* $(,)?) => {
        match ($vectors, $rows) {
            $($(($v, $r) => $kernel::<$r, $v>($tile),)*)*
            (vectors, rows) => unreachable!("no kernel for {rows} rows and {vectors} vectors"),
        }
    };
}
pub(super) use dispatch;
