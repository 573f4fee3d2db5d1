//! A data set as tensors: examples packed once into rows of one length.
//!
//! ```text
//! examples ─pack─▶ tokens, positions, segment, parent, targets   i32[rows, length]
//!                  loss_weight                                   f32[rows, length]
//! ```
//! A trainer packs the examples of each batch; a plan cannot, because packing is work of its host.
//! So rows are made before the job begins, and a step picks whole rows. Layout and names are those
//! of [`super::batch`] and of the inputs of training programs.

use std::collections::BTreeMap;

use reproducible_ops::tensor::{Tensor, TensorError};

use super::batch::{PADDING_SEGMENT, PackError, Packing, Sequence, pack};
use super::inputs::{Example, Inputs};
use super::programs::{Programs, TrainError};

/// The channel with the weight of each query in the loss.
pub const LOSS_WEIGHT: &str = "loss_weight";

/// What supervised training reads of each position: every data set has these channels.
pub const CHANNELS: [&str; 6] = [
    "tokens",
    "positions",
    "segment",
    "parent",
    "targets",
    LOSS_WEIGHT,
];

/// Why examples are no data set.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataSetError {
    /// There are none.
    #[error("the data has no example; give at least one")]
    Empty,
    /// An example fits no row.
    #[error("data: {0}")]
    Pack(#[from] PackError),
    /// There are more elements than a tensor has.
    #[error("data: {0}")]
    Tensor(#[from] TensorError),
}

/// Rows to train on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataSet {
    rows: usize,
    length: usize,
    tokens: usize,
    channels: BTreeMap<String, Tensor>,
}

impl DataSet {
    /// Packs examples into rows of `length` tokens.
    ///
    /// # Errors
    /// There are none, or one fits no row.
    pub fn pack(examples: &[Example], length: usize) -> Result<Self, DataSetError> {
        let sequences: Vec<Sequence<'_>> = examples.iter().map(Example::sequence).collect();
        let packing = pack(&sequences, length)?;
        if packing.token_count() == 0 {
            return Err(DataSetError::Empty);
        }
        let weights =
            packing.channel(|slot, _| examples[slot.sequence].samples[slot.completion].weight);
        let shape = [packing.rows, length];
        let mut channels = BTreeMap::new();
        channels.insert(LOSS_WEIGHT.to_owned(), Tensor::f32(shape, weights)?);
        let (rows, tokens) = (packing.rows, packing.token_count());
        for (name, values) in layout(packing) {
            channels.insert(name.to_owned(), Tensor::i32(shape, values)?);
        }
        Ok(Self {
            rows,
            length,
            tokens,
            channels,
        })
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Positions of a row.
    pub fn length(&self) -> usize {
        self.length
    }

    /// Trained tokens of all rows.
    pub fn tokens(&self) -> usize {
        self.tokens
    }

    /// Some rows as a supervised step reads them, and how many of their tokens are trained.
    ///
    /// # Errors
    /// They are not whole microbatches of the programs' shape, or are not in the data set.
    pub(super) fn inputs(
        &self,
        rows: &[usize],
        programs: &Programs,
    ) -> Result<(Inputs, usize), TrainError> {
        let length = self.length;
        let is_whole = rows.len().is_multiple_of(programs.rows) && length == programs.length;
        if !is_whole || rows.iter().any(|row| *row >= self.rows) {
            return Err(TrainError::Rows {
                found: [rows.len(), length],
                expected: [programs.rows, programs.length],
                available: self.rows,
            });
        }
        let gathered = |name: &'static str| {
            let words = self.channels[name].words();
            let rows = rows.iter();
            let words = rows.flat_map(|row| &words[row * length..(row + 1) * length]);
            (name, words.copied().collect::<Vec<u32>>())
        };
        let per_token: Vec<_> = CHANNELS.into_iter().map(gathered).collect();
        let weights = per_token.iter().find(|(name, _)| *name == LOSS_WEIGHT);
        let weights = weights.into_iter().flat_map(|(_, words)| words);
        let tokens = weights.filter(|word| f32::from_bits(**word) != 0.0).count();
        let elements = programs.rows * programs.length;
        Ok((Inputs::packed(per_token, tokens, elements), tokens))
    }

    /// Share of the positions of some rows that hold a token.
    ///
    /// # Panics
    /// A row is not there.
    pub fn utilisation(&self, rows: &[usize]) -> f32 {
        let segments = self.channels["segment"].words();
        let rows = rows.iter().map(|row| {
            let row = &segments[row * self.length..(row + 1) * self.length];
            let used = row
                .iter()
                .filter(|one| one.cast_signed() != PADDING_SEGMENT);
            (used.count(), row.len())
        });
        let (used, all) = rows.fold((0, 0), |sum, row| (sum.0 + row.0, sum.1 + row.1));
        used as f32 / all.max(1) as f32
    }

    /// What programs read of each position, `[rows, length]`, by the name of their input.
    pub fn channels(&self) -> &BTreeMap<String, Tensor> {
        &self.channels
    }
}

fn layout(packing: Packing) -> [(&'static str, Vec<i32>); 5] {
    [
        ("tokens", packing.tokens),
        ("positions", packing.positions),
        ("segment", packing.segment),
        ("parent", packing.parent),
        ("targets", packing.targets),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::inputs::Sample;
    use super::*;

    fn example(prompt: &[u32], tokens: &[u32], weight: f32) -> Example {
        let sample = Sample {
            tokens: tokens.to_vec(),
            weight,
            ..Sample::default()
        };
        Example {
            prompt: prompt.to_vec(),
            samples: vec![sample],
        }
    }

    #[test]
    fn rows_hold_what_a_trainer_would_write() {
        let examples = [example(&[5, 6, 7], &[8, 9], 0.5), example(&[3], &[4], 2.0)];
        let data = DataSet::pack(&examples, 6).unwrap();
        assert_eq!((data.rows(), data.length(), data.tokens()), (1, 6, 3));
        let ints = |name: &str| data.channels()[name].as_i32().unwrap().to_vec();
        assert_eq!(ints("tokens"), [5, 6, 7, 8, 3, 0]);
        assert_eq!(ints("targets"), [0, 0, 8, 9, 4, 0]);
        assert_eq!(ints("segment"), [0, 0, 1, 1, 3, -1]);
        let weights = data.channels()[LOSS_WEIGHT].as_f32().unwrap();
        assert_eq!(weights, [0.0, 0.0, 0.5, 0.5, 2.0, 0.0]);
    }

    #[test]
    fn nothing_and_too_much_are_refused() {
        assert!(matches!(DataSet::pack(&[], 6), Err(DataSetError::Empty)));
        let long = DataSet::pack(&[example(&[1, 2], &[3, 4], 1.0)], 2);
        assert!(matches!(long, Err(DataSetError::Pack(_))));
    }
}
