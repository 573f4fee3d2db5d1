//! A right operand packed once and used by many calls: the weights of a model.
//!
//! Weights that were trained or shipped as bfloat16 are floats whose lower halves are zero. Where
//! all of an operand are, the upper halves alone are kept, and made floats again in registers: the
//! same bits for half of the memory and of the time in which it is read.

use super::blocking::K_BLOCK;
use super::driver::Source;
use super::isa::Isa;
use super::lanes::Half;
use super::on_isa::on_isa;
use super::operand::{GemmError, Operand};
use super::pack::{self, View};
use super::scratch::Aligned;
use crate::engine::cpu::InstructionSet;

/// Panels that are packed as floats before they are halved: they stay in a cache.
const PANELS_AT_ONCE: usize = 8;

/// `B` in panels for one instruction set: per k-block, panels of two vectors of columns, side by
/// side per step of k.
///
/// It takes `k` times `n` rounded up to whole panels (at most 64 columns) floats, or half as much.
#[derive(Clone, Debug)]
pub struct PackedB {
    isa: InstructionSet,
    n: usize,
    k: usize,
    /// All numbers, or their upper halves, two to a float's place.
    panels: Aligned,
    are_halves: bool,
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
        n.next_multiple_of(panel_columns(isa))
            .checked_mul(k)
            .ok_or(GemmError::TooLarge { operand: "b" })?;
        let mut packed = Self {
            isa,
            n,
            k,
            panels: Aligned::zeros(0),
            are_halves: false,
        };
        packed.repack(operand)?;
        Ok(packed)
    }

    /// Packs other values of the same size, into the same memory if they are kept alike.
    ///
    /// # Errors
    /// The operand does not hold `n` rows of `k`.
    pub fn repack(&mut self, operand: Operand<'_>) -> Result<(), GemmError> {
        let view = operand.view("b", self.n, self.k, 0, 0)?;
        let (n, k) = (self.n, self.k);
        // SAFETY: the view was checked.
        let are_halves = unsafe { are_halves(view, n, k) };
        let numbers = n.next_multiple_of(panel_columns(self.isa)) * k;
        if self.panels.len() == 0 || self.are_halves != are_halves {
            let floats = if are_halves {
                numbers.div_ceil(2)
            } else {
                numbers
            };
            (self.panels, self.are_halves) = (Aligned::zeros(floats), are_halves);
        }
        let to = self.panels.as_mut_ptr();
        // SAFETY: the view was checked, the memory is large enough, and the instruction set was
        // required in `new`.
        on_isa!(self.isa, I => unsafe {
            if are_halves {
                halves::<I>(view, n, k, to.cast());
            } else {
                pack::blocks::<I>(view, n, k, to);
            }
        });
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

    /// As the driver takes it.
    pub(super) fn source(&self) -> Source {
        let (start, n) = (self.panels.as_ptr(), self.n);
        if self.are_halves {
            let start = start.cast();
            Source::PackedHalves { start, n }
        } else {
            Source::Packed { start, n }
        }
    }
}

/// Whether the lower halves of `n` rows of `k` are all zero.
///
/// # Safety
/// The view is readable for them.
unsafe fn are_halves(view: View, n: usize, k: usize) -> bool {
    (0..n).all(|row| {
        // SAFETY: the caller's contract.
        (0..k).all(|step| Half::is(unsafe { *view.at(row, step).start }))
    })
}

/// As [`pack::blocks`], of upper halves.
///
/// # Safety
/// As there; all of the view's numbers are halves.
unsafe fn halves<I: Isa>(view: View, n: usize, k: usize, to: *mut Half) {
    let columns = n.next_multiple_of(I::PANEL);
    let mut floats = Aligned::zeros(PANELS_AT_ONCE * I::PANEL * K_BLOCK);
    for first in (0..k).step_by(K_BLOCK) {
        let depth = K_BLOCK.min(k - first);
        for row in (0..n).step_by(PANELS_AT_ONCE * I::PANEL) {
            let rows = (PANELS_AT_ONCE * I::PANEL).min(n - row);
            let numbers = rows.next_multiple_of(I::PANEL) * depth;
            // SAFETY: these rows and steps exist in the view, and their panels in both memories.
            unsafe {
                pack::blocks::<I>(view.at(row, first), rows, depth, floats.as_mut_ptr());
                let panels = std::slice::from_raw_parts(floats.as_ptr(), numbers);
                let to = to.add(first * columns + row * depth);
                for (at, number) in panels.iter().enumerate() {
                    *to.add(at) = Half::upper(*number);
                }
            }
        }
    }
}

/// Columns of one panel.
fn panel_columns(isa: InstructionSet) -> usize {
    on_isa!(isa, I => I::PANEL)
}
