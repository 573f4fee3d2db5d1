//! Memory for one thread's packed blocks, allocated once and reused by every call.

use bytemuck::{Pod, Zeroable};

use super::blocking::{A_FLOATS, B_FLOATS, DEEP_COLS, DEEP_LEVELS, DEEP_ROWS};

/// Floats of one cache line.
pub(super) const LINE: usize = 16;

/// A cache line: the alignment of packed panels.
#[derive(Clone, Copy, Debug, Zeroable, Pod)]
#[repr(C, align(64))]
struct CacheLine([f32; LINE]);

/// Floats that start on a cache line.
#[derive(Clone, Debug)]
pub(super) struct Aligned(Vec<CacheLine>);

impl Aligned {
    /// At least `len` zeros.
    pub(super) fn zeros(len: usize) -> Self {
        Self(vec![CacheLine([0.0; LINE]); len.div_ceil(LINE)])
    }

    pub(super) fn len(&self) -> usize {
        self.0.len() * LINE
    }

    /// The memory as numbers of two bytes.
    pub(super) fn halves(&self) -> &[u16] {
        bytemuck::cast_slice(&self.0)
    }

    /// The memory as numbers of two bytes, to be written.
    pub(super) fn halves_mut(&mut self) -> &mut [u16] {
        bytemuck::cast_slice_mut(&mut self.0)
    }

    /// The floats.
    pub(super) fn floats(&self) -> &[f32] {
        bytemuck::cast_slice(&self.0)
    }

    pub(super) fn as_ptr(&self) -> *const f32 {
        self.0.as_ptr().cast()
    }

    pub(super) fn as_mut_ptr(&mut self) -> *mut f32 {
        self.0.as_mut_ptr().cast()
    }
}

/// Packing memory of one thread: about 0.9 MiB, enough for every shape, so that a call allocates
/// nothing.
#[derive(Clone, Debug)]
pub struct GemmScratch {
    a: Aligned,
    b: Aligned,
    deep: Aligned,
}

/// Where the three areas of a [`GemmScratch`] begin.
#[derive(Clone, Copy)]
pub(super) struct Areas {
    /// Rows of A: [`A_FLOATS`].
    pub(super) a: *mut f32,
    /// Panels of B: [`B_FLOATS`].
    pub(super) b: *mut f32,
    /// Partial results of reductions deeper than two levels.
    pub(super) deep: *mut f32,
}

impl GemmScratch {
    /// Allocates the packing memory of one thread.
    #[must_use]
    pub fn new() -> Self {
        Self {
            a: Aligned::zeros(A_FLOATS),
            b: Aligned::zeros(B_FLOATS),
            deep: Aligned::zeros(DEEP_LEVELS * DEEP_ROWS * DEEP_COLS),
        }
    }

    /// Overwrites everything.
    #[cfg(test)]
    pub(super) fn fill(&mut self, value: f32) {
        for area in [&mut self.a, &mut self.b, &mut self.deep] {
            area.0.fill(CacheLine([value; LINE]));
        }
    }

    pub(super) fn areas(&mut self) -> Areas {
        Areas {
            a: self.a.as_mut_ptr(),
            b: self.b.as_mut_ptr(),
            deep: self.deep.as_mut_ptr(),
        }
    }
}

impl Default for GemmScratch {
    fn default() -> Self {
        Self::new()
    }
}
