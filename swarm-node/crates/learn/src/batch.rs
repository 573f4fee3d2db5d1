//! Packs prompts and their completions into rows of one length, each prompt stored once for all its
//! completions.
//!
//! ```text
//! prompt p0 p1 p2, completions a0 a1 and b0
//! tokens     p0 p1 | p2 a0 | p2 | …padding
//! positions   0  1 |  2  3 |  2 | 0
//! segment     0  0 |  1  1 |  2 | -1
//! parent      0  0 |  0  0 |  0 | -1
//! targets     -  - | a0 a1 | b0 | -
//! ```
//! A completion's segment begins with a copy of the prompt's last token, at that token's position,
//! so every completion has its own query for its first token and the mathematics is that of
//! separate rows. A query attends the keys of its own and of its parent's segment that are not at a
//! later position.
//!
//! Invariants: the layout is a function of the sequences alone; sequences are placed longest first
//! (ties by index) in the first row with room; a prompt whose completions do not fit one row is
//! repeated.

use std::cmp::Reverse;

/// Marks positions that belong to nothing.
pub const PADDING_SEGMENT: i32 = -1;

/// A prompt and the completions to be scored or trained.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sequence<'a> {
    /// At least one token.
    pub prompt: &'a [u32],
    /// Completions, each at least one token.
    pub completions: Vec<&'a [u32]>,
}

/// Where a completion lies in the packed rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    /// Index of the sequence.
    pub sequence: usize,
    /// Index of the completion in its sequence.
    pub completion: usize,
    /// Index of the first query in the flattened `[rows, length]` arrays.
    pub start: usize,
    /// Number of queries: the tokens of the completion.
    pub length: usize,
}

/// Why sequences cannot be packed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PackError {
    /// A prompt without tokens has no query for the first token of a completion.
    #[error("sequence {sequence} has an empty prompt; give it at least one token")]
    EmptyPrompt {
        /// Index of the sequence.
        sequence: usize,
    },
    /// A completion does not fit a row together with its prompt.
    #[error(
        "completion {completion} of sequence {sequence} needs {needed} positions and a row has \
         {length}; use longer rows or drop it"
    )]
    TooLong {
        /// Index of the sequence.
        sequence: usize,
        /// Index of the completion.
        completion: usize,
        /// Positions that prompt and completion take.
        needed: usize,
        /// Positions of a row.
        length: usize,
    },
}

/// Packed rows, flattened `[rows, length]`, and where each completion went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Packing {
    /// Positions of a row.
    pub length: usize,
    /// Number of rows.
    pub rows: usize,
    /// Input token of each position; 0 in padding.
    pub tokens: Vec<i32>,
    /// Position in prompt and completion, for rotary embedding and causal order; 0 in padding.
    pub positions: Vec<i32>,
    /// Segment of each position.
    pub segment: Vec<i32>,
    /// Segment whose keys are attended besides the own.
    pub parent: Vec<i32>,
    /// Token that each query predicts; 0 where nothing is predicted.
    pub targets: Vec<i32>,
    /// One per completion, by sequence, then completion.
    pub slots: Vec<Slot>,
}

/// Some completions of a sequence, to be laid out beside each other.
struct Piece {
    sequence: usize,
    completions: std::ops::Range<usize>,
    /// Positions it takes.
    length: usize,
}

/// Lays the sequences out in rows of `length` positions.
///
/// # Errors
/// An empty prompt, or a completion that is too long for a row.
pub fn pack(sequences: &[Sequence<'_>], length: usize) -> Result<Packing, PackError> {
    let mut pieces = Vec::with_capacity(sequences.len());
    for (index, sequence) in sequences.iter().enumerate() {
        split(index, sequence, length, &mut pieces)?;
    }
    pieces.sort_by_key(|piece| {
        (
            Reverse(piece.length),
            piece.sequence,
            piece.completions.start,
        )
    });
    let rows = first_fit(&pieces, length);
    let mut packing = Packing::padding(rows.len(), length);
    for (row, members) in rows.iter().enumerate() {
        packing.write_row(row, members.iter().map(|&at| &pieces[at]), sequences);
    }
    packing
        .slots
        .sort_by_key(|slot| (slot.sequence, slot.completion));
    Ok(packing)
}

/// Cuts a sequence into pieces that fit a row each.
fn split(
    index: usize,
    sequence: &Sequence<'_>,
    length: usize,
    pieces: &mut Vec<Piece>,
) -> Result<(), PackError> {
    let shared = sequence
        .prompt
        .len()
        .checked_sub(1)
        .ok_or(PackError::EmptyPrompt { sequence: index })?;
    let mut piece = Piece {
        sequence: index,
        completions: 0..0,
        length: shared,
    };
    for (completion, tokens) in sequence.completions.iter().enumerate() {
        let needed = shared + tokens.len();
        if needed > length {
            return Err(PackError::TooLong {
                sequence: index,
                completion,
                needed,
                length,
            });
        }
        if piece.length + tokens.len() > length {
            let next = Piece {
                sequence: index,
                completions: completion..completion,
                length: shared,
            };
            pieces.push(std::mem::replace(&mut piece, next));
        }
        piece.completions.end = completion + 1;
        piece.length += tokens.len();
    }
    if !piece.completions.is_empty() {
        pieces.push(piece);
    }
    Ok(())
}

/// Indices of pieces per row: each goes to the first row with room.
fn first_fit(pieces: &[Piece], length: usize) -> Vec<Vec<usize>> {
    let mut rows: Vec<(usize, Vec<usize>)> = Vec::new();
    for (at, piece) in pieces.iter().enumerate() {
        match rows
            .iter_mut()
            .find(|(used, _)| used + piece.length <= length)
        {
            Some((used, members)) => {
                *used += piece.length;
                members.push(at);
            }
            None => rows.push((piece.length, vec![at])),
        }
    }
    rows.into_iter().map(|(_, members)| members).collect()
}

impl Packing {
    fn padding(rows: usize, length: usize) -> Self {
        let (zeros, outside) = (vec![0; rows * length], vec![PADDING_SEGMENT; rows * length]);
        Self {
            length,
            rows,
            tokens: zeros.clone(),
            positions: zeros.clone(),
            segment: outside.clone(),
            parent: outside,
            targets: zeros,
            slots: Vec::new(),
        }
    }

    fn write_row<'a>(
        &mut self,
        row: usize,
        pieces: impl Iterator<Item = &'a Piece>,
        sequences: &[Sequence<'_>],
    ) {
        let (mut at, mut segment) = (row * self.length, 0);
        for piece in pieces {
            let Some(sequence) = sequences.get(piece.sequence) else {
                continue;
            };
            let Some((&last, prefix)) = sequence.prompt.split_last() else {
                continue;
            };
            let parent = segment;
            self.write_segment(at, 0, prefix.iter().copied(), segment, parent);
            at += prefix.len();
            for completion in piece.completions.clone() {
                let Some(&tokens) = sequence.completions.get(completion) else {
                    continue;
                };
                segment += 1;
                let inputs = std::iter::once(last)
                    .chain(tokens.iter().copied())
                    .take(tokens.len());
                self.write_segment(at, prefix.len(), inputs, segment, parent);
                self.targets
                    .iter_mut()
                    .skip(at)
                    .zip(tokens)
                    .for_each(|(target, &token)| *target = token as i32);
                self.slots.push(Slot {
                    sequence: piece.sequence,
                    completion,
                    start: at,
                    length: tokens.len(),
                });
                at += tokens.len();
            }
            segment += 1;
        }
    }

    /// Writes tokens with ascending positions from `first` at index `at`.
    fn write_segment(
        &mut self,
        at: usize,
        first: usize,
        tokens: impl Iterator<Item = u32>,
        segment: i32,
        parent: i32,
    ) {
        let places = self
            .tokens
            .iter_mut()
            .zip(&mut self.positions)
            .zip(self.segment.iter_mut().zip(&mut self.parent));
        for (offset, (((token, position), (own, attended)), value)) in
            places.skip(at).zip(tokens).enumerate()
        {
            (*token, *position) = (value as i32, (first + offset) as i32);
            (*own, *attended) = (segment, parent);
        }
    }

    /// Adds rows of padding until their number is a multiple of `multiple`.
    pub fn pad_rows(&mut self, multiple: usize) {
        self.rows = self.rows.next_multiple_of(multiple.max(1));
        let elements = self.rows * self.length;
        for zeros in [&mut self.tokens, &mut self.positions, &mut self.targets] {
            zeros.resize(elements, 0);
        }
        for outside in [&mut self.segment, &mut self.parent] {
            outside.resize(elements, PADDING_SEGMENT);
        }
    }

    /// One number per position: `value(slot, index of the token in its completion)`, 0 outside
    /// completions.
    pub fn channel(&self, value: impl Fn(&Slot, usize) -> f32) -> Vec<f32> {
        let mut channel = vec![0.0; self.rows * self.length];
        for slot in &self.slots {
            let places = channel.iter_mut().skip(slot.start).take(slot.length);
            places
                .enumerate()
                .for_each(|(token, place)| *place = value(slot, token));
        }
        channel
    }

    /// Trained tokens: those of all completions.
    pub fn token_count(&self) -> usize {
        self.slots.iter().map(|slot| slot.length).sum()
    }

    /// Share of positions that hold a token.
    pub fn utilisation(&self) -> f32 {
        let used = self
            .segment
            .iter()
            .filter(|&&segment| segment != PADDING_SEGMENT)
            .count();
        used as f32 / self.segment.len().max(1) as f32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sequence<'a>(prompt: &'a [u32], completions: &[&'a [u32]]) -> Sequence<'a> {
        Sequence {
            prompt,
            completions: completions.to_vec(),
        }
    }

    #[test]
    fn the_layout_of_the_diagram() {
        let packing = pack(&[sequence(&[10, 11, 12], &[&[20, 21], &[30]])], 7).unwrap();
        assert_eq!(packing.tokens, [10, 11, 12, 20, 12, 0, 0]);
        assert_eq!(packing.positions, [0, 1, 2, 3, 2, 0, 0]);
        assert_eq!(packing.segment, [0, 0, 1, 1, 2, -1, -1]);
        assert_eq!(packing.parent, [0, 0, 0, 0, 0, -1, -1]);
        assert_eq!(packing.targets, [0, 0, 20, 21, 30, 0, 0]);
        let starts: Vec<_> = packing
            .slots
            .iter()
            .map(|slot| (slot.completion, slot.start, slot.length))
            .collect();
        assert_eq!(starts, [(0, 2, 2), (1, 4, 1)]);
        assert_eq!(
            packing.channel(|slot, token| (10 * slot.completion + token) as f32 + 1.0)[2..5],
            [1.0, 2.0, 11.0]
        );
    }

    #[test]
    fn rows_are_shared_longest_first() {
        let (long, short) = ([1u32; 6], [2u32; 3]);
        let sequences = [
            sequence(&short, &[&[9]]),
            sequence(&long, &[&[9]]),
            sequence(&short, &[&[9]]),
        ];
        let packing = pack(&sequences, 9).unwrap();
        assert_eq!(packing.rows, 2);
        assert_eq!(packing.segment[..9], [0, 0, 0, 0, 0, 1, 2, 2, 3]);
        assert_eq!(packing.parent[6..9], [2, 2, 2]);
        assert_eq!(
            packing
                .slots
                .iter()
                .map(|slot| slot.start)
                .collect::<Vec<_>>(),
            [8, 5, 11]
        );
    }

    #[test]
    fn a_group_too_long_for_a_row_repeats_its_prompt() {
        let completions: [&[u32]; 4] = [&[5, 6], &[7, 8], &[9], &[5]];
        let packing = pack(&[sequence(&[1, 2, 3], &completions)], 5).unwrap();
        assert_eq!(packing.rows, 3);
        assert_eq!(packing.slots.len(), 4);
        assert_eq!(packing.token_count(), 6);
        for slot in &packing.slots {
            assert_eq!(packing.tokens[slot.start], 3);
            let expected: Vec<i32> = completions[slot.completion]
                .iter()
                .map(|&token| token as i32)
                .collect();
            assert_eq!(packing.targets[slot.start..][..slot.length], expected);
        }
    }

    #[test]
    fn a_prompt_of_one_token_has_no_shared_part() {
        let packing = pack(&[sequence(&[4], &[&[5], &[6]])], 3).unwrap();
        assert_eq!(packing.tokens, [4, 4, 0]);
        assert_eq!(
            (&packing.positions[..2], &packing.segment[..2]),
            (&[0, 0][..], &[1, 2][..])
        );
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let error = pack(&[sequence(&[1, 2], &[&[3], &[3, 4, 5]])], 3).unwrap_err();
        assert_eq!(
            error,
            PackError::TooLong {
                sequence: 0,
                completion: 1,
                needed: 4,
                length: 3
            }
        );
        assert_eq!(
            pack(&[sequence(&[], &[&[3]])], 3).unwrap_err(),
            PackError::EmptyPrompt { sequence: 0 }
        );
    }

    #[test]
    fn padding_rows_change_no_slot() {
        let mut packing = pack(&[sequence(&[1, 2], &[&[3]])], 4).unwrap();
        let slots = packing.slots.clone();
        packing.pad_rows(4);
        assert_eq!(
            (packing.rows, packing.tokens.len(), &packing.slots),
            (4, 16, &slots)
        );
        assert!(
            packing.segment[2..]
                .iter()
                .all(|&segment| segment == PADDING_SEGMENT)
        );
        assert_eq!(packing.utilisation(), 2.0 / 16.0);
    }
}
