//! A bit that a machine computes wrong, as a defective device would: for demonstrations and tests
//! of what follows from it.
//!
//! Everything after the bit is computed from it, so a worker on such a machine claims what it
//! computed, and only that one bit follows from nothing.

use reproducible_ops::engine::{Buffer, Engine, EngineError};
use reproducible_ops::tensor::Tensor;

/// One bit of one output of one run of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The place in the state of the counter of steps, a scalar i32; none of a plan that is of one
    /// step and counts none.
    pub counter: Option<u32>,
    /// The step: what the counter says before it.
    pub step: i32,
    /// The run.
    pub run: u32,
    /// The output's place in the run's program.
    pub output: u32,
    /// The element of the output, in row-major order.
    pub element: usize,
    /// The bit of the element's word, from the lowest.
    pub bit: u32,
}

impl Fault {
    /// The tensor with the bit flipped; the same where it has no such element.
    pub(crate) fn flip(&self, tensor: &mut Tensor) {
        if let Some(word) = tensor.words_mut().get_mut(self.element) {
            *word ^= 1_u32.wrapping_shl(self.bit);
        }
    }

    /// A buffer as the machine has it.
    pub(crate) fn of_buffer(
        &self,
        engine: &dyn Engine,
        buffer: &Buffer,
    ) -> Result<Buffer, EngineError> {
        let mut tensor = buffer.read()?;
        self.flip(&mut tensor);
        engine.upload(&tensor)
    }
}
