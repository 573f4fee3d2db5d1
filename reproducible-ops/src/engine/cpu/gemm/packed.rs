//! A right operand packed once and used by many calls: the weights of a model.

use super::isa::Isa;
use super::on_isa::on_isa;
use super::operand::{GemmError, Operand};
use super::pack;
use super::scratch::Aligned;
use crate::engine::cpu::InstructionSet;

/// `B` in panels for one instruction set: per k-block, panels of two vectors of columns, side by
/// side per step of k.
///
/// It takes `k` times `n` rounded up to whole panels (at most 32 columns) floats.
#[derive(Clone, Debug)]
pub struct PackedB {
    isa: InstructionSet,
    n: usize,
    k: usize,
    panels: Aligned,
}

impl PackedB {
    /// Packs `n` rows of `k` of `operand` for `isa`.
    ///
    /// # Errors
    /// The instruction set is not available, or the operand does not hold `n` rows of `k`.
    pub fn new(
        isa: InstructionSet,
        operand: Operand<'_>,
        n: usize,
        k: usize,
    ) -> Result<Self, GemmError> {
        isa.require()?;
        operand.view("b", n, k, 0, 0)?;
        let columns = n.next_multiple_of(panel_columns(isa));
        let len = columns
            .checked_mul(k)
            .ok_or(GemmError::TooLarge { operand: "b" })?;
        let mut packed = Self {
            isa,
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
        // SAFETY: the view was checked, the memory was sized in `new`, and the instruction set was
        // required there.
        on_isa!(self.isa, I => unsafe { pack::blocks::<I>(view, n, k, to) });
        Ok(())
    }

    /// The instruction set whose kernels read this packing.
    #[must_use]
    pub const fn isa(&self) -> InstructionSet {
        self.isa
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
fn panel_columns(isa: InstructionSet) -> usize {
    on_isa!(isa, I => I::PANEL)
}
