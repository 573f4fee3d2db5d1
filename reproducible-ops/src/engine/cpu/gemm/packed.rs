//! A right operand packed once and used by many calls: the weights of a model.

use super::driver::on_path;
use super::lanes::Isa;
use super::pack;
use super::problem::{GemmError, Operand};
use super::scratch::Aligned;
use crate::engine::cpu::Path;

/// `B` in panels for one path: per k-block, panels of two vectors of columns, side by side per step
/// of k.
///
/// It takes `k` times `n` rounded up to whole panels (at most 32 columns) floats.
#[derive(Clone, Debug)]
pub struct PackedB {
    path: Path,
    n: usize,
    k: usize,
    panels: Aligned,
}

impl PackedB {
    /// Packs `n` rows of `k` of `operand` for `path`.
    ///
    /// # Errors
    /// The path is not available, or the operand does not hold `n` rows of `k`.
    pub fn new(path: Path, operand: Operand<'_>, n: usize, k: usize) -> Result<Self, GemmError> {
        path.require()?;
        operand.view("b", n, k, 0, 0)?;
        let columns = n.next_multiple_of(panel_columns(path));
        let len = columns
            .checked_mul(k)
            .ok_or(GemmError::TooLarge { operand: "b" })?;
        let mut packed = Self {
            path,
            n,
            k,
            panels: Aligned::zeros(len),
        };
        packed.repack(operand)?;
        Ok(packed)
    }

    /// Packs other values of the same size into the same memory.
    ///
    /// # Errors
    /// The operand does not hold `n` rows of `k`.
    pub fn repack(&mut self, operand: Operand<'_>) -> Result<(), GemmError> {
        let view = operand.view("b", self.n, self.k, 0, 0)?;
        let (n, k, to) = (self.n, self.k, self.panels.as_mut_ptr());
        // SAFETY: the view was checked, the memory was sized in `new`, and the path was required
        // there.
        on_path!(self.path, I => unsafe { pack::blocks::<I>(view, n, k, to) });
        Ok(())
    }

    /// The path whose kernels read this packing.
    #[must_use]
    pub const fn path(&self) -> Path {
        self.path
    }

    /// Rows of the operand: columns of the product.
    #[must_use]
    pub const fn n(&self) -> usize {
        self.n
    }

    /// Length of the reduced axis.
    #[must_use]
    pub const fn k(&self) -> usize {
        self.k
    }

    /// Bytes of memory.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.panels.len() * size_of::<f32>()
    }

    pub(super) fn start(&self) -> *const f32 {
        self.panels.as_ptr()
    }
}

/// Columns of one panel.
fn panel_columns(path: Path) -> usize {
    on_path!(path, I => I::PANEL)
}
