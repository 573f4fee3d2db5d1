//! Rows of tokens as the stages of a pipeline read them.

use serde::{Deserialize, Serialize};

use crate::batch::{PADDING_SEGMENT, PackError, Sequence, pack};
use crate::inputs::Example;

/// Numbers that a microbatch must fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MicrobatchShape {
    /// Rows.
    pub rows: usize,
    /// Positions of a row.
    pub length: usize,
    /// Token ids are below it.
    pub vocabulary: usize,
}

/// Who attends to whom, which every stage with layers needs. Lists are flattened `[rows, length]`;
/// see [`crate::batch`] for what they mean.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Layout {
    /// Position in its text, from 0 to below the row's length.
    pub positions: Vec<i32>,
    /// Segment; −1 for padding.
    pub segment: Vec<i32>,
    /// Segment that is attended besides the own.
    pub parent: Vec<i32>,
}

/// Rows with what is to be predicted in them. Lists are flattened `[rows, length]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Microbatch {
    /// Tokens.
    pub tokens: Vec<i32>,
    /// Who attends to whom.
    pub layout: Layout,
    /// Token that each query predicts.
    pub targets: Vec<i32>,
    /// Weight of each query in the loss; 0 for prompts and padding.
    pub loss_weight: Vec<f32>,
}

/// Why rows are no microbatch.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum MicrobatchError {
    /// A list has another length than the rows.
    #[error("`{list}` of a microbatch has {found} numbers; {expected} positions are computed")]
    Length {
        /// Which list.
        list: &'static str,
        /// Positions of all rows.
        expected: usize,
        /// Numbers given.
        found: usize,
    },
    /// A number is out of range.
    #[error("`{list}` of a microbatch is {value} at {index}; it must be from {least} to {most}")]
    Range {
        /// Which list.
        list: &'static str,
        /// Place.
        index: usize,
        /// The number.
        value: i32,
        /// The least that can be.
        least: i32,
        /// The most that can be.
        most: i32,
    },
    /// A weight is no weight.
    #[error(
        "`loss_weight` of a microbatch is {value} at {index}; it must be finite and not negative"
    )]
    Weight {
        /// Place.
        index: usize,
        /// The weight.
        value: f32,
    },
}

impl Layout {
    /// Each row is one text from its beginning.
    pub fn causal(rows: usize, length: usize) -> Self {
        let positions = (0..rows).flat_map(|_| 0..length as i32);
        Self {
            positions: positions.collect(),
            segment: vec![0; rows * length],
            parent: vec![0; rows * length],
        }
    }

    /// Checks it against the rows that are computed.
    ///
    /// # Errors
    /// A list has another length, or a number is out of range.
    pub fn check(&self, shape: &MicrobatchShape) -> Result<(), MicrobatchError> {
        let most = shape.length as i32 - 1;
        in_range("positions", &self.positions, shape, 0..=most)?;
        let segments = PADDING_SEGMENT..=i32::MAX;
        in_range("segment", &self.segment, shape, segments.clone())?;
        in_range("parent", &self.parent, shape, segments)
    }

    /// The data inputs of programs.
    pub(super) fn inputs(&self) -> [(&'static str, Vec<u32>); 3] {
        [
            ("positions", words(&self.positions)),
            ("segment", words(&self.segment)),
            ("parent", words(&self.parent)),
        ]
    }
}

impl Microbatch {
    /// Plain text: of each row of `length + 1` tokens, every token but the first is predicted, all
    /// with weight 1.
    ///
    /// # Errors
    /// A row has another length.
    pub fn text(rows: &[Vec<u32>], length: usize) -> Result<Self, MicrobatchError> {
        let (mut tokens, mut targets) = (Vec::new(), Vec::new());
        for row in rows {
            if row.len() != length + 1 {
                return Err(MicrobatchError::Length {
                    list: "tokens",
                    expected: length + 1,
                    found: row.len(),
                });
            }
            tokens.extend(row[..length].iter().map(|token| *token as i32));
            targets.extend(row[1..].iter().map(|token| *token as i32));
        }
        Ok(Self {
            loss_weight: vec![1.0; tokens.len()],
            layout: Layout::causal(rows.len(), length),
            tokens,
            targets,
        })
    }

    /// The microbatches that a [`crate::trainer::Trainer`] makes of a batch.
    ///
    /// # Errors
    /// A prompt is empty, or a completion too long for a row.
    pub fn of_batch(batch: &[Example], rows: usize, length: usize) -> Result<Vec<Self>, PackError> {
        let sequences: Vec<Sequence<'_>> = batch.iter().map(Example::sequence).collect();
        let mut packing = pack(&sequences, length)?;
        packing.pad_rows(rows);
        let weight =
            packing.channel(|slot, _| batch[slot.sequence].samples[slot.completion].weight);
        let elements = (rows * length).max(1);
        let microbatches = (0..packing.tokens.len() / elements).map(|number| {
            let range = number * elements..(number + 1) * elements;
            let part = |list: &[i32]| list[range.clone()].to_vec();
            Self {
                tokens: part(&packing.tokens),
                layout: Layout {
                    positions: part(&packing.positions),
                    segment: part(&packing.segment),
                    parent: part(&packing.parent),
                },
                targets: part(&packing.targets),
                loss_weight: weight[range.clone()].to_vec(),
            }
        });
        Ok(microbatches.collect())
    }

    /// Trained tokens: queries whose weight is not 0.
    pub fn token_count(&self) -> usize {
        self.loss_weight
            .iter()
            .filter(|weight| **weight != 0.0)
            .count()
    }

    /// Checks it against the rows that are computed.
    ///
    /// # Errors
    /// A list has another length, or a number is out of range.
    pub fn check(&self, shape: &MicrobatchShape) -> Result<(), MicrobatchError> {
        let most = i32::try_from(shape.vocabulary).unwrap_or(i32::MAX) - 1;
        in_range("tokens", &self.tokens, shape, 0..=most)?;
        in_range("targets", &self.targets, shape, 0..=most)?;
        of_length("loss_weight", self.loss_weight.len(), shape)?;
        let is_weight = |weight: &f32| weight.is_finite() && *weight >= 0.0;
        if let Some(index) = self
            .loss_weight
            .iter()
            .position(|weight| !is_weight(weight))
        {
            let value = self.loss_weight[index];
            return Err(MicrobatchError::Weight { index, value });
        }
        self.layout.check(shape)
    }

    /// The data inputs of programs, but the number of tokens.
    pub(super) fn inputs(&self) -> Vec<(&'static str, Vec<u32>)> {
        let weights = self.loss_weight.iter().map(|weight| weight.to_bits());
        let mut inputs = self.layout.inputs().to_vec();
        inputs.push(("tokens", words(&self.tokens)));
        inputs.push(("targets", words(&self.targets)));
        inputs.push(("loss_weight", weights.collect()));
        inputs
    }
}

fn words(values: &[i32]) -> Vec<u32> {
    values.iter().map(|value| value.cast_unsigned()).collect()
}

fn of_length(
    list: &'static str,
    found: usize,
    shape: &MicrobatchShape,
) -> Result<(), MicrobatchError> {
    let expected = shape.rows * shape.length;
    match found == expected {
        true => Ok(()),
        false => Err(MicrobatchError::Length {
            list,
            expected,
            found,
        }),
    }
}

fn in_range(
    list: &'static str,
    values: &[i32],
    shape: &MicrobatchShape,
    range: std::ops::RangeInclusive<i32>,
) -> Result<(), MicrobatchError> {
    of_length(list, values.len(), shape)?;
    match values.iter().position(|value| !range.contains(value)) {
        None => Ok(()),
        Some(index) => Err(MicrobatchError::Range {
            list,
            index,
            value: values[index],
            least: *range.start(),
            most: *range.end(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: MicrobatchShape = MicrobatchShape {
        rows: 2,
        length: 3,
        vocabulary: 10,
    };

    #[test]
    fn text_predicts_the_next_token() {
        let rows = [vec![1, 2, 3, 4], vec![9, 8, 7, 6]];
        let microbatch = Microbatch::text(&rows, 3).unwrap();
        microbatch.check(&SHAPE).unwrap();
        assert_eq!(microbatch.tokens, [1, 2, 3, 9, 8, 7]);
        assert_eq!(microbatch.targets, [2, 3, 4, 8, 7, 6]);
        assert_eq!(microbatch.layout.positions, [0, 1, 2, 0, 1, 2]);
        assert_eq!(microbatch.token_count(), 6);
        assert!(Microbatch::text(&rows, 4).is_err());
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let good = Microbatch::text(&[vec![1, 2, 3, 4], vec![9, 8, 7, 6]], 3).unwrap();
        let refused = |change: fn(&mut Microbatch), expected: &str| {
            let mut bad = good.clone();
            change(&mut bad);
            let error = bad.check(&SHAPE).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        };
        refused(
            |bad| bad.tokens[4] = 10,
            "`tokens` of a microbatch is 10 at 4",
        );
        refused(|bad| bad.tokens[4] = -1, "is -1 at 4");
        refused(|bad| bad.targets[0] = 77, "`targets`");
        refused(|bad| bad.targets.truncate(2), "has 2 numbers; 6 positions");
        refused(|bad| bad.layout.positions[2] = 3, "`positions`");
        refused(|bad| bad.layout.segment[2] = -2, "`segment`");
        refused(|bad| bad.layout.parent.push(0), "has 7 numbers");
        refused(|bad| bad.loss_weight[1] = -1.0, "-1 at 1");
        refused(|bad| bad.loss_weight[1] = f32::NAN, "NaN at 1");
        refused(|bad| bad.loss_weight.clear(), "has 0 numbers");
    }
}
