//! A right operand packed once and used by many calls: the weights of a model.
//!
//! Weights that were trained or shipped as bfloat16 are floats whose lower halves are zero. Where
//! all of an operand are, the upper halves alone are kept, and made floats again in registers: the
//! same bits for half of the memory and of the time in which it is read. An operand that comes at
//! two bytes a number, bf16 or f16, is packed without being widened, and can be read back row by
//! row: nothing else of it need be kept.
//!
//! ```text
//!           panel 0          panel 1                     number (row, k), of n rows padded to whole
//!   block 0 [k][PANEL rows]  [k][PANEL rows]  …          panels of P:
//!   block 1 [k][PANEL rows]  …                           first · padded + panel · P · depth
//!   …                                                        + (k − first) · P + row mod P
//! ```
//! with `first` the first step of k's block and `depth` the steps in it.

use super::blocking::K_BLOCK;
use super::driver::Source;
use super::isa::Isa;
use super::lanes::Bf16;
use super::on_isa::on_isa;
use super::operand::{GemmError, Operand};
use super::pack::{self, View};
use super::scratch::Aligned;
use crate::engine::cpu::InstructionSet;
use crate::tensor::{HalfFormat, Halves};

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
    /// All numbers as floats, or at two bytes, two to a float's place.
    panels: Aligned,
    /// How numbers of two bytes are kept; none of four.
    format: Option<HalfFormat>,
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
        numbers(isa, n, k)?;
        let mut packed = Self {
            isa,
            n,
            k,
            panels: Aligned::zeros(0),
            format: None,
        };
        packed.repack(operand)?;
        Ok(packed)
    }

    /// Packs `n` rows of `k` that come at two bytes a number, and stay so. Any NaN becomes the
    /// canonical one.
    ///
    /// # Errors
    /// The instruction set is not available, or there are not `n · k` numbers.
    pub fn of_halves(
        isa: InstructionSet,
        halves: &Halves,
        n: usize,
        k: usize,
    ) -> Result<Self, GemmError> {
        isa.require()?;
        let (operand, len) = ("b", halves.bits().len());
        let needed = n.checked_mul(k).ok_or(GemmError::TooLarge { operand })?;
        if len != needed {
            return Err(GemmError::OutOfBounds {
                operand,
                batch: 0,
                needed,
                len,
            });
        }
        let mut packed = Self {
            isa,
            n,
            k,
            panels: Aligned::zeros(numbers(isa, n, k)?.div_ceil(2)),
            format: Some(halves.format()),
        };
        if k > 0 {
            packed.fill(halves);
        }
        Ok(packed)
    }

    /// Copies rows of numbers to their places; columns of a panel that no row has stay zero.
    fn fill(&mut self, halves: &Halves) {
        let (panel, format) = (panel_columns(self.isa), halves.format());
        let padded = self.n.next_multiple_of(panel);
        let to = self.panels.halves_mut();
        // A panel of a block fits in a cache near the core, so its rows may be written one by one.
        for first in (0..self.k).step_by(K_BLOCK) {
            let depth = K_BLOCK.min(self.k - first);
            for (row, numbers) in halves.bits().chunks_exact(self.k).enumerate() {
                let start = first * padded + row / panel * panel * depth + row % panel;
                let places = to[start..].iter_mut().step_by(panel);
                for (to, &bits) in places.zip(&numbers[first..first + depth]) {
                    *to = format.canonical(bits);
                }
            }
        }
    }

    /// Writes the f32 bits of a row of the operand over the `k` words of `to`.
    ///
    /// # Panics
    /// There is no such row, or `to` has another length.
    pub fn row(&self, row: usize, to: &mut [u32]) {
        assert!(
            row < self.n && to.len() == self.k,
            "row {row} of {} x {}",
            self.n,
            self.k
        );
        let panel = panel_columns(self.isa);
        let padded = self.n.next_multiple_of(panel);
        for (block, to) in to.chunks_mut(K_BLOCK).enumerate() {
            let start = block * K_BLOCK * padded + row / panel * panel * to.len() + row % panel;
            let places = (start..).step_by(panel);
            match self.format {
                Some(format) => {
                    let halves = self.panels.halves();
                    let words = places.map(|place| format.widen(halves[place]));
                    to.iter_mut().zip(words).for_each(|(to, word)| *to = word);
                }
                None => {
                    let floats = self.panels.floats();
                    let words = places.map(|place| floats[place].to_bits());
                    to.iter_mut().zip(words).for_each(|(to, word)| *to = word);
                }
            }
        }
    }

    /// Writes the f32 bits of all rows of the operand, one after the other.
    ///
    /// # Panics
    /// `to` has another length.
    pub fn rows(&self, to: &mut [u32]) {
        assert_eq!(
            to.len(),
            self.n * self.k,
            "words of {} x {}",
            self.n,
            self.k
        );
        let rows = to.chunks_exact_mut(self.k.max(1));
        rows.enumerate().for_each(|(row, to)| self.row(row, to));
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
        let format = are_halves.then_some(HalfFormat::Bf16);
        if self.panels.len() == 0 || self.format != format {
            let floats = if are_halves {
                numbers.div_ceil(2)
            } else {
                numbers
            };
            (self.panels, self.format) = (Aligned::zeros(floats), format);
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
        match self.format {
            None => Source::Packed { start, n },
            Some(HalfFormat::Bf16) => Source::PackedBf16 {
                start: start.cast(),
                n,
            },
            Some(HalfFormat::F16) => Source::PackedF16 {
                start: start.cast(),
                n,
            },
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
        (0..k).all(|step| Bf16::is(unsafe { *view.at(row, step).start }))
    })
}

/// As [`pack::blocks`], of upper halves.
///
/// # Safety
/// As there; all of the view's numbers are halves.
unsafe fn halves<I: Isa>(view: View, n: usize, k: usize, to: *mut Bf16) {
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
                    *to.add(at) = Bf16::upper(*number);
                }
            }
        }
    }
}

/// Numbers of whole panels.
fn numbers(isa: InstructionSet, n: usize, k: usize) -> Result<usize, GemmError> {
    n.next_multiple_of(panel_columns(isa))
        .checked_mul(k)
        .ok_or(GemmError::TooLarge { operand: "b" })
}

/// Columns of one panel.
pub(in crate::engine::cpu) fn panel_columns(isa: InstructionSet) -> usize {
    on_isa!(isa, I => I::PANEL)
}
