//! Log-probabilities of given completions under fixed parameters: for reference policies and for
//! checks.

use reproducible_ops::engine::{Engine, Session};
use reproducible_ops::program::{Program, Role};
use reproducible_ops::weights::Weights;

use super::assemble;
use super::batch::{Sequence, Slot, pack};
use super::inputs::Inputs;
use super::programs::{TrainError, token_shape};
use super::trainer::write_role;

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
    pub fn new(
        engine: &dyn Engine,
        forward: &Program,
        weights: &Weights,
    ) -> Result<Self, TrainError> {
        let (rows, length) = token_shape(forward)?;
        let mut session = engine.load(&assemble::scoring(forward)?)?;
        write_role(session.as_mut(), Role::Constant, weights)?;
        write_role(session.as_mut(), Role::Param, weights)?;
        Ok(Self {
            session,
            rows,
            length,
        })
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
            let words = self.session.read_words("logp")?;
            logp.extend(words.into_iter().map(f32::from_bits));
        }
        let of = |slot: &Slot| {
            logp.iter()
                .skip(slot.start)
                .take(slot.length)
                .copied()
                .collect()
        };
        Ok(packing.slots.iter().map(of).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{forward, weights};
    use super::*;
    use reproducible_ops::engine::reference::ReferenceEngine;

    const PROMPTS: [&[u32]; 3] = [&[5, 6, 7, 8, 9], &[10, 11], &[12]];
    const COMPLETIONS: [&[u32]; 4] = [&[20, 21, 22, 1], &[20, 1], &[33, 34, 1], &[1]];

    fn score(rows: usize, length: usize, sequences: &[Sequence<'_>]) -> Vec<Vec<f32>> {
        Scorer::new(&ReferenceEngine, &forward(rows, length), &weights(3))
            .unwrap()
            .score(sequences)
            .unwrap()
    }

    fn packed() -> Vec<Sequence<'static>> {
        PROMPTS
            .map(|prompt| Sequence {
                prompt,
                completions: COMPLETIONS.to_vec(),
            })
            .to_vec()
    }

    fn bits(scores: &[Vec<f32>]) -> Vec<Vec<u32>> {
        scores
            .iter()
            .map(|row| row.iter().map(|x| x.to_bits()).collect())
            .collect()
    }

    #[test]
    fn a_shared_prompt_scores_like_separate_rows() {
        let together = score(2, 40, &packed());
        let alone = PROMPTS.iter().flat_map(|&prompt| {
            COMPLETIONS.iter().flat_map(move |&tokens| {
                score(
                    1,
                    9,
                    &[Sequence {
                        prompt,
                        completions: vec![tokens],
                    }],
                )
            })
        });
        for (together, alone) in together.iter().zip(alone) {
            assert_eq!(together.len(), alone.len());
            assert!(
                together
                    .iter()
                    .zip(&alone)
                    .all(|(a, b)| (a - b).abs() < 1e-5),
                "{together:?} {alone:?}"
            );
        }
    }

    #[test]
    fn completions_do_not_see_each_other() {
        let mut sequences = packed();
        let before = score(2, 40, &sequences);
        let other: &[u32] = &[40, 41, 42, 43];
        sequences[0].completions[0] = other;
        let after = score(2, 40, &sequences);
        assert_ne!(bits(&before[..1]), bits(&after[..1]));
        assert_eq!(bits(&before[1..]), bits(&after[1..]));
    }

    #[test]
    fn padding_changes_no_bit() {
        let sequences = vec![packed().remove(0)];
        let tight = bits(&score(1, 14, &sequences));
        assert_eq!(tight, bits(&score(1, 37, &sequences)));
        assert_eq!(tight, bits(&score(3, 80, &sequences)));
    }
}
