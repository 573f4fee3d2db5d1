//! Log-probabilities of given completions under fixed parameters: for reference policies and for checks.

use reproducible_ops::engine::{Engine, Session};
use reproducible_ops::program::{Program, Role};
use reproducible_ops::weights::Weights;

use super::assemble;
use super::batch::{Sequence, Slot, pack};
use super::inputs::Inputs;
use super::trainer::{TrainError, token_shape, write_role};

/// Scores completions under fixed parameters.
pub struct Scorer {
    session: Box<dyn Session>,
    rows: usize,
    length: usize,
}

impl Scorer {
    /// A scorer for a forward program of `[rows, length]` tokens.
    ///
    /// # Errors
    /// A tensor is missing or has another shape; the engine refuses the program.
    pub fn new(engine: &dyn Engine, forward: &Program, weights: &Weights) -> Result<Self, TrainError> {
        let (rows, length) = token_shape(forward)?;
        let mut session = engine.load(&assemble::scoring(forward)?)?;
        write_role(session.as_mut(), Role::Constant, weights)?;
        write_role(session.as_mut(), Role::Param, weights)?;
        Ok(Self { session, rows, length })
    }

    /// Log-probability of every token of every completion, by sequence, then completion.
    ///
    /// # Errors
    /// A completion is too long for a row.
    pub fn score(&mut self, sequences: &[Sequence<'_>]) -> Result<Vec<Vec<f32>>, TrainError> {
        let mut packing = pack(sequences, self.length)?;
        packing.pad_rows(self.rows);
        let inputs = Inputs::layout(&packing, self.rows * self.length);
        let mut logp: Vec<f32> = Vec::with_capacity(packing.rows * self.length);
        for microbatch in 0..packing.rows / self.rows {
            inputs.write(self.session.as_mut(), microbatch)?;
            self.session.run()?;
            logp.extend(self.session.read_words("logp")?.iter().map(|&word| f32::from_bits(word)));
        }
        let of = |slot: &Slot| logp.iter().skip(slot.start).take(slot.length).copied().collect();
        Ok(packing.slots.iter().map(of).collect())
    }
}

