//! The 64 symbols of the character vocabulary that nano models read and write.
//!
//! Ids: 0 pads, 1 ends a completion, 2 to 63 are [`CHARACTERS`] in order. The order is part of
//! every nano checkpoint: changing it changes what a trained model reads.

use thiserror::Error;

/// Number of ids, specials included.
pub const SIZE: usize = 64;
/// Fills rows of a batch to equal length; never predicted.
pub const PAD: u32 = 0;
/// Ends a completion; trained and sampled like any symbol.
pub const EOS: u32 = 1;
/// The printable symbols; the id of the n-th is n + 2.
pub const CHARACTERS: &str = "0123456789abcdefghijklmnopqrstuvwxyz =+-*/.,:;?!|~<>()&^#_%[]'";
/// What a symbol outside the vocabulary is replaced with where a lossy text is acceptable.
pub const SUBSTITUTE: char = '_';

const FIRST: u32 = 2;

/// Why a text cannot be encoded.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "character {character:?} at position {position} is outside the nano vocabulary of {SIZE} \
     symbols; use a model with a tokenizer, or a task family with a nano level"
)]
pub struct CharsetError {
    /// The character.
    pub character: char,
    /// Its position in the text, counted in characters from 0.
    pub position: usize,
}

/// The id of `character`, if it is in the vocabulary.
pub fn id(character: char) -> Option<u32> {
    CHARACTERS
        .chars()
        .position(|known| known == character)
        .map(|at| at as u32 + FIRST)
}

/// The character of `id`; none for the specials and for ids beyond the vocabulary.
pub fn character(id: u32) -> Option<char> {
    CHARACTERS.chars().nth(id.checked_sub(FIRST)? as usize)
}

/// Ids of `text`, one per character, without specials.
pub fn encode(text: &str) -> Result<Vec<u32>, CharsetError> {
    text.chars()
        .enumerate()
        .map(|(position, character)| {
            id(character).ok_or(CharsetError {
                character,
                position,
            })
        })
        .collect()
}

/// Text of `ids` up to the first end mark; padding is skipped and unknown ids become
/// [`SUBSTITUTE`].
pub fn decode(ids: &[u32]) -> String {
    let visible = ids
        .iter()
        .take_while(|id| **id != EOS)
        .filter(|id| **id != PAD);
    visible
        .map(|id| character(*id).unwrap_or(SUBSTITUTE))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vocabulary_is_full_and_distinct() {
        let mut seen: Vec<char> = CHARACTERS.chars().collect();
        assert_eq!(seen.len() + FIRST as usize, SIZE);
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len() + FIRST as usize, SIZE);
    }

    #[test]
    fn text_survives_encoding() {
        assert_eq!(encode("0 z").unwrap(), [2, 38, 37]);
        assert_eq!(decode(&encode(CHARACTERS).unwrap()), CHARACTERS);
        assert_eq!(decode(&[2, PAD, 3, EOS, 4]), "01");
        assert_eq!(decode(&[99]), "_");
    }

    #[test]
    fn unknown_characters_are_named_with_their_place() {
        assert_eq!(
            encode("a@"),
            Err(CharsetError {
                character: '@',
                position: 1
            })
        );
    }
}
