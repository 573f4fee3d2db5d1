//! Products of few rows with a right operand whose steps of k lie side by side: the scores of a
//! token over a cache of keys.
//!
//! Packing would write every key once for the sake of a row or two. Here a block of B is turned
//! into columns in registers and multiplied at once:
//!
//! ```text
//!   B, in place, four steps at a time      registers                chains, one lane per key
//!     key 0   | 0 1 2 3 |                  step 0: key 0, 1, 2 …    acc = fma(a[0], step 0, acc)
//!     key 1   | 0 1 2 3 |    ──turned──▶   step 1: key 0, 1, 2 …    acc = fma(a[1], step 1, acc)
//!     key 2   | 0 1 2 3 |                  step 2: key 0, 1, 2 …    acc = fma(a[2], step 2, acc)
//!     …                                    step 3: key 0, 1, 2 …    acc = fma(a[3], step 3, acc)
//! ```
//!
//! Keys are read once and in an order that the hardware does not foresee, so every line asks for
//! the one that the next strip of keys needs in its place.

use super::kernel::{Target, store};
use super::lanes::Lanes;
use super::scratch::LINE;

/// One call of the kernel. Distances are in floats.
#[derive(Clone, Copy)]
pub(super) struct Strip {
    /// Steps of k, at most 256; they lie side by side in A and B.
    pub(super) depth: usize,
    /// `a[0][0]`.
    pub(super) a: *const f32,
    pub(super) a_stride: usize,
    /// Step 0 of the first column.
    pub(super) b: *const f32,
    /// From one column to the next.
    pub(super) b_stride: usize,
    /// All vectors are whole.
    pub(super) to: Target,
}

/// Steps of k that are turned into columns at once.
const STEPS: usize = 4;

/// Runs the kernel on a strip of `ROWS` rows and `VECTORS` vectors of columns.
///
/// # Safety
/// Of A and B every element named by the strip must be readable, of C every row for its columns.
/// The instruction set of `V` must be present.
#[inline(always)]
pub(super) unsafe fn strip<V: Lanes, const ROWS: usize, const VECTORS: usize>(strip: &Strip) {
    // SAFETY: steps stay below `depth`; a prefetch does not access memory.
    unsafe {
        let mut acc = [[V::zero(); VECTORS]; ROWS];
        let (mut a, mut b) = (strip.a, strip.b);
        let mut left = strip.depth;
        while left > 0 {
            let next = b.wrapping_add(VECTORS * V::LANES * strip.b_stride);
            for lane in 0..VECTORS * V::LANES {
                V::prefetch(next.wrapping_add(lane * strip.b_stride));
            }
            let line = left.min(LINE);
            for _ in 0..line / STEPS {
                steps(&mut acc, strip, a, b);
                (a, b) = (a.wrapping_add(STEPS), b.wrapping_add(STEPS));
            }
            for _ in 0..line % STEPS {
                step(&mut acc, strip, a, b);
                (a, b) = (a.wrapping_add(1), b.wrapping_add(1));
            }
            left -= line;
        }
        store(&strip.to, &acc);
    }
}

/// Four steps in the chain of every output.
#[inline(always)]
unsafe fn steps<V: Lanes, const ROWS: usize, const VECTORS: usize>(
    acc: &mut [[V; VECTORS]; ROWS],
    strip: &Strip,
    a: *const f32,
    b: *const f32,
) {
    for v in 0..VECTORS {
        // SAFETY: the caller vouches for these steps of the strip.
        unsafe {
            let rows = b.add(v * V::LANES * strip.b_stride);
            let columns = V::columns(rows, strip.b_stride);
            for (step, column) in columns.into_iter().enumerate() {
                for (r, sums) in acc.iter_mut().enumerate() {
                    let scale = V::splat(a.add(r * strip.a_stride + step));
                    sums[v] = scale.fma(column, sums[v]);
                }
            }
        }
    }
}

/// One step in the chain of every output.
#[inline(always)]
unsafe fn step<V: Lanes, const ROWS: usize, const VECTORS: usize>(
    acc: &mut [[V; VECTORS]; ROWS],
    strip: &Strip,
    a: *const f32,
    b: *const f32,
) {
    for v in 0..VECTORS {
        let mut column = [0.0; LINE];
        // SAFETY: the caller vouches for this step of the strip; no vector has more lanes than a
        // line has floats.
        unsafe {
            for (lane, x) in column.iter_mut().enumerate().take(V::LANES) {
                *x = *b.add((v * V::LANES + lane) * strip.b_stride);
            }
            let column = V::load(column.as_ptr());
            for (r, sums) in acc.iter_mut().enumerate() {
                sums[v] = V::splat(a.add(r * strip.a_stride)).fma(column, sums[v]);
            }
        }
    }
}
