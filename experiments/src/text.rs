//! Real text for small models: its characters are the tokens, and its last tenth is held out.

use std::path::PathBuf;

use anyhow::{Context, Result};
use swarm_learn::data_set::DataSet;
use swarm_learn::inputs::{Example, Sample};

use crate::shared_data;

/// Where the text lies in `shared/data`.
const PLACE: &str = "text/tinyshakespeare.txt";

/// A text as tokens.
pub struct Text {
    tokens: Vec<u32>,
    vocabulary: usize,
}

impl Text {
    /// The text of the file that was named, else that of `shared/data`.
    ///
    /// # Errors
    /// There is no file, or it cannot be read.
    pub fn load(named: Option<PathBuf>) -> Result<Self> {
        let path = shared_data::find(named, PLACE)?;
        let text = std::fs::read_to_string(&path);
        Ok(Self::new(
            &text.with_context(|| path.display().to_string())?,
        ))
    }

    /// Characters that occur, in their order, as tokens from 0.
    pub fn new(text: &str) -> Self {
        let mut characters: Vec<char> = text.chars().collect();
        characters.sort_unstable();
        characters.dedup();
        let place = |character: char| characters.partition_point(|other| *other < character) as u32;
        Self {
            tokens: text.chars().map(place).collect(),
            vocabulary: characters.len(),
        }
    }

    /// Number of different tokens.
    pub fn vocabulary(&self) -> usize {
        self.vocabulary
    }

    /// Rows of `length` positions of the first nine tenths.
    ///
    /// # Errors
    /// The text is shorter than a row.
    pub fn training(&self, length: usize) -> Result<DataSet> {
        rows(&self.tokens[..self.held_out_from()], length)
    }

    /// Rows of `length` positions of the last tenth.
    ///
    /// # Errors
    /// The text is shorter than a row.
    pub fn held_out(&self, length: usize) -> Result<DataSet> {
        rows(&self.tokens[self.held_out_from()..], length)
    }

    /// The same rows as examples, for trainers that pack for themselves.
    pub fn training_examples(&self, length: usize) -> Vec<Example> {
        examples(&self.tokens[..self.held_out_from()], length)
    }

    /// See [`Text::training_examples`].
    pub fn held_out_examples(&self, length: usize) -> Vec<Example> {
        examples(&self.tokens[self.held_out_from()..], length)
    }

    fn held_out_from(&self) -> usize {
        self.tokens.len() / 10 * 9
    }
}

/// Pieces that follow each other; of each, every token but the first is predicted.
fn examples(tokens: &[u32], length: usize) -> Vec<Example> {
    let pieces = tokens.windows(length + 1).step_by(length.max(1));
    let example = |piece: &[u32]| Example {
        prompt: piece[..1].to_vec(),
        samples: vec![Sample {
            tokens: piece[1..].to_vec(),
            weight: 1.0,
            ..Sample::default()
        }],
    };
    pieces.map(example).collect()
}

fn rows(tokens: &[u32], length: usize) -> Result<DataSet> {
    DataSet::pack(&examples(tokens, length), length)
        .with_context(|| format!("{} tokens in rows of {length}", tokens.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_predict_every_token_once() {
        let text = Text::new("abcabcabcabcabcabcab");
        assert_eq!((text.vocabulary(), text.tokens.len()), (3, 20));
        let data = text.training(4).unwrap();
        assert_eq!((data.rows(), data.tokens()), (4, 16));
        let ints = |name: &str| data.channels()[name].as_i32().unwrap()[..8].to_vec();
        assert_eq!(ints("tokens"), [0, 1, 2, 0, 1, 2, 0, 1]);
        assert_eq!(ints("targets"), [1, 2, 0, 1, 2, 0, 1, 2]);
        assert_eq!(ints("positions"), [0, 1, 2, 3, 0, 1, 2, 3]);
        assert!(text.held_out(4).is_err());
    }
}
