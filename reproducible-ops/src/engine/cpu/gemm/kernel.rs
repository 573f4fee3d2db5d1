//! The micro-kernel: one tile of C held in registers over one block of the reduced axis.

use super::lanes::Lanes;

/// How the kernel finds `a[r][k]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    /// Neighbours along k lie side by side; rows are `Tile::a_stride` apart.
    Rows,
    /// Neighbours along the rows lie side by side; steps of k are `Tile::a_stride` apart.
    Columns,
}

/// One call of the micro-kernel. Distances are in floats.
#[derive(Clone, Copy)]
pub(super) struct Tile {
    /// Steps of k, at most 256.
    pub(super) depth: usize,
    /// `a[0][0]`.
    pub(super) a: *const f32,
    /// See [`Layout`].
    pub(super) a_stride: usize,
    pub(super) a_layout: Layout,
    /// First column of step 0.
    pub(super) b: *const f32,
    /// From one step of k to the next.
    pub(super) b_step: usize,
    /// From one pair of vectors to the next.
    pub(super) b_panel: usize,
    /// `c[0][0]`.
    pub(super) c: *mut f32,
    pub(super) c_stride: usize,
    /// Columns of the last vector that exist: 1 to `LANES`.
    pub(super) last: usize,
    /// Whether the tile is added to C; otherwise C is not read and the tile is added to +0.
    pub(super) accumulate: bool,
}

/// Runs the micro-kernel on a tile of `ROWS` rows and `VECTORS` vectors.
///
/// # Safety
/// Of A and B every element named by the tile must be readable, whole vectors of B; of C every row for its existing columns.
/// The instruction set of `V` must be present.
#[inline(always)]
pub(super) unsafe fn micro<V: Lanes, const ROWS: usize, const VECTORS: usize>(tile: &Tile) {
    // SAFETY: the caller's contract is the one of both callees.
    unsafe {
        prefetch_rows::<V, ROWS>(tile);
        let acc = match tile.a_layout {
            Layout::Rows => chains::<V, ROWS, VECTORS>(tile, tile.a_stride, 1),
            Layout::Columns => chains::<V, ROWS, VECTORS>(tile, 1, tile.a_stride),
        };
        store::<V, ROWS, VECTORS>(tile, &acc);
    }
}

#[inline(always)]
unsafe fn prefetch_rows<V: Lanes, const ROWS: usize>(tile: &Tile) {
    for r in 0..ROWS {
        // SAFETY: a prefetch does not access memory.
        unsafe { V::prefetch(tile.c.wrapping_add(r * tile.c_stride)) };
    }
}

/// One chain of `fma` per output, ascending in k, from +0.
#[inline(always)]
unsafe fn chains<V: Lanes, const ROWS: usize, const VECTORS: usize>(
    tile: &Tile,
    a_row: usize,
    a_step: usize,
) -> [[V; VECTORS]; ROWS] {
    // SAFETY: addresses stay inside the operands that the caller vouches for.
    unsafe {
        let mut acc = [[V::zero(); VECTORS]; ROWS];
        let (mut a, mut b) = (tile.a, tile.b);
        for _ in 0..tile.depth {
            let mut columns = [V::zero(); VECTORS];
            for (v, column) in columns.iter_mut().enumerate() {
                *column = V::load(b.add((v / 2) * tile.b_panel + (v % 2) * V::LANES));
            }
            for (r, sums) in acc.iter_mut().enumerate() {
                let scale = V::splat(a.add(r * a_row));
                for (sum, column) in sums.iter_mut().zip(columns) {
                    *sum = scale.fma(column, *sum);
                }
            }
            a = a.wrapping_add(a_step);
            b = b.wrapping_add(tile.b_step);
        }
        acc
    }
}

#[inline(always)]
unsafe fn store<V: Lanes, const ROWS: usize, const VECTORS: usize>(tile: &Tile, acc: &[[V; VECTORS]; ROWS]) {
    for (r, sums) in acc.iter().enumerate() {
        for (v, sum) in sums.iter().enumerate() {
            // SAFETY: the caller vouches for the existing columns of every row.
            unsafe {
                let c = tile.c.add(r * tile.c_stride + v * V::LANES);
                if v + 1 < VECTORS || tile.last == V::LANES {
                    let before = if tile.accumulate { V::load(c) } else { V::zero() };
                    before.add(*sum).canonical().store(c);
                } else {
                    let before = if tile.accumulate { V::load_first(c, tile.last) } else { V::zero() };
                    before.add(*sum).canonical().store_first(c, tile.last);
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
