//! Running a product, alone or split in parts over threads. Parts own disjoint outputs; sums are
//! never split.

use std::marker::PhantomData;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use super::blocking::COLUMN_UNIT;
use super::driver::{Region, compute};
use super::operand::GemmError;
use super::problem::{Gemm, Shape};
use super::scratch::GemmScratch;

/// A product bound to its output: what threads share.
#[derive(Clone, Copy)]
pub struct Bound<'a> {
    gemm: &'a Gemm<'a>,
    c: *mut f32,
    output: PhantomData<&'a mut [f32]>,
}

// SAFETY: the output is only written by `run_part`, whose callers keep parts apart; everything else
// is read.
unsafe impl Send for Bound<'_> {}
// SAFETY: as above.
unsafe impl Sync for Bound<'_> {}

impl Gemm<'_> {
    /// Computes every output on this thread.
    ///
    /// # Errors
    /// [`GemmError::OutOfBounds`] if `c` is shorter than [`Gemm::output_len`].
    pub fn run(&self, c: &mut [f32], scratch: &mut GemmScratch) -> Result<(), GemmError> {
        let bound = self.bind(c)?;
        // SAFETY: there is one part, and `c` is borrowed for the call.
        unsafe { bound.run_part(0, 1, scratch) };
        Ok(())
    }

    /// Computes every output in `scratches.len()` parts: `spawn` receives a task and calls it once
    /// for each part number, on any threads in any order, and returns when all calls have. The
    /// task panics for a number that is no part's.
    ///
    /// # Errors
    /// No scratch, or `c` is shorter than [`Gemm::output_len`].
    pub fn run_parallel(
        &self,
        c: &mut [f32],
        scratches: &[Mutex<GemmScratch>],
        spawn: impl FnOnce(&(dyn Fn(usize) + Sync)),
    ) -> Result<(), GemmError> {
        if scratches.is_empty() {
            return Err(GemmError::NoScratch);
        }
        let bound = self.bind(c)?;
        spawn(&|part| {
            // Scratch is overwritten before it is read, so what a panicking part left does no harm.
            let mut scratch = scratches[part]
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            // SAFETY: the lock keeps two calls for one part apart; other parts own other outputs.
            unsafe { bound.run_part(part, scratches.len(), &mut scratch) };
        });
        Ok(())
    }

    /// Binds the product to its output, so that threads can compute parts of it.
    ///
    /// # Errors
    /// [`GemmError::OutOfBounds`] if `c` is shorter than [`Gemm::output_len`].
    pub fn bind<'a>(&'a self, c: &'a mut [f32]) -> Result<Bound<'a>, GemmError> {
        let (needed, len) = (self.output_len(), c.len());
        if needed > len {
            let batch = self.batches.len().saturating_sub(1);
            return Err(GemmError::OutOfBounds {
                operand: "c",
                batch,
                needed,
                len,
            });
        }
        Ok(Bound {
            gemm: self,
            c: c.as_mut_ptr(),
            output: PhantomData,
        })
    }
}

impl Bound<'_> {
    /// Computes part `part` of `parts`; the parts together write every output once.
    ///
    /// # Safety
    /// While this runs, no other call with the same `part`, and no call with other `parts`, runs on
    /// the same output.
    pub unsafe fn run_part(&self, part: usize, parts: usize, scratch: &mut GemmScratch) {
        let Shape { m, n, .. } = self.gemm.shape;
        let count = self.gemm.batches.len();
        let shared = count % parts;
        let whole = Region {
            rows: 0..m,
            cols: 0..n,
        };
        let own = share(count - shared, part, parts);
        // SAFETY: matrices are disjoint, and so are the regions of the shared ones.
        unsafe {
            self.run_matrices(own, &whole, scratch);
            self.run_matrices(count - shared..count, &region(m, n, part, parts), scratch);
        }
    }

    unsafe fn run_matrices(
        &self,
        indices: Range<usize>,
        region: &Region,
        scratch: &mut GemmScratch,
    ) {
        if region.rows.is_empty() || region.cols.is_empty() {
            return;
        }
        let areas = scratch.areas();
        for offsets in &self.gemm.batches[indices] {
            let matrix = self.gemm.matrix(offsets, self.c);
            // SAFETY: shapes, bounds and instruction set were checked when the product was made.
            unsafe { compute(self.gemm.isa, &matrix, region, areas) };
        }
    }
}

/// The `part`-th of `parts` nearly equal ranges of `0..len`.
fn share(len: usize, part: usize, parts: usize) -> Range<usize> {
    let (each, more) = (len / parts, len % parts);
    let start = part * each + part.min(more);
    start..start + each + usize::from(part < more)
}

/// The part's region of an `m` x `n` output: columns if there are enough panels, which packs B
/// once, else rows.
fn region(m: usize, n: usize, part: usize, parts: usize) -> Region {
    let panels = n.div_ceil(COLUMN_UNIT);
    if panels >= parts && (m < 16 * parts || panels >= 4 * parts) {
        let share = share(panels, part, parts);
        return Region {
            rows: 0..m,
            cols: n.min(share.start * COLUMN_UNIT)..n.min(share.end * COLUMN_UNIT),
        };
    }
    Region {
        rows: share(m, part, parts),
        cols: 0..n,
    }
}
