//! Sizes of the blocks that the loops cut operands into, chosen for caches; [`K_BLOCK`] alone is
//! part of the order of sums.

/// Elements of the reduced axis in one chain of `fma`, and numbers in one chain of `add` above it.
pub const K_BLOCK: usize = 256;
/// Longest reduction of two levels: 256 blocks of 256.
pub(super) const TWO_LEVELS: usize = K_BLOCK * K_BLOCK;
/// Rows of an output tile of a deeper reduction.
pub(super) const DEEP_ROWS: usize = 56;
/// Columns of an output tile of a deeper reduction: a whole number of panels on every instruction
/// set.
pub(super) const DEEP_COLS: usize = 128;
/// Partial results that are alive at once when every address is reduced: one per level above the
/// second.
pub(super) const DEEP_LEVELS: usize = usize::BITS as usize / K_BLOCK.ilog2() as usize - 2;

/// Most columns of B packed at once.
pub(super) const B_COLS: usize = 512;
/// Most rows of A copied at once: one k-block of them stays in the second-level cache beside B.
pub(super) const A_ROWS: usize = 84;
/// Floats from one copied row of A to the next: one cache line past the block, so that rows fall in
/// different cache sets.
pub(super) const A_STRIDE: usize = K_BLOCK + 16;
/// Floats of a packed block of A.
pub(super) const A_FLOATS: usize = A_ROWS * A_STRIDE;
/// Floats of packed columns of B: 1 MiB, half of a second-level cache; fewer columns leave room for
/// more k-blocks.
pub(super) const B_FLOATS: usize = 2 * B_COLS * K_BLOCK;

/// Floats from one line to the next of the same set in a first-level cache with 64 sets of 64
/// bytes.
pub(super) const SET_STRIDE: usize = 1024;
/// Rows of A for which reading B in place is faster than packing it first.
pub(super) const FEW_ROWS: usize = 64;

/// Steps of k by which B in place is asked for ahead of its use.
pub(super) const AHEAD_STEPS: usize = 8;

/// Columns of the widest panel.
pub(super) const COLUMN_UNIT: usize = 64;
