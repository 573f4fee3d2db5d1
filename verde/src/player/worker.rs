//! The worker: shows what its record has.

use super::{Game, PlayError, operands, tree_of};
use crate::game::{Branch, Move, NumberContext, Place, Rules, Side, levels_below, numbers};
use crate::history;
use crate::record::{Record, state_tree};
use crate::tensor::{TensorTree, Tiling};
use crate::tree::Tree;

/// The worker's next move.
///
/// # Errors
/// It is not the worker's turn, or the record has no answer.
pub fn respond(game: &Game<'_>, record: &mut dyn Record) -> Result<Move, PlayError> {
    match game.place() {
        Place::Picked { branch, at, .. } if at.height > 0 => {
            let tree = tree_of(game.rules(), branch, record)?;
            Ok(Move::Reveal(
                tree.descendants(*at, levels_below(at.height)).to_vec(),
            ))
        }
        Place::Picked { branch, at, .. } => open(game.rules(), branch, at.index, record),
        Place::NextState(step) => {
            let step = record.step(step.number)?;
            let tensors = state_tree(game.rules().job, &step.after)?.tree().root();
            Ok(Move::State { tensors })
        }
        Place::Number(number) => show_numbers(game.rules(), number, record),
        place => {
            debug_assert_ne!(place.turn(), Some(Side::Worker));
            Err(PlayError::Turn)
        }
    }
}

/// Shows what a leaf is made of.
fn open(
    rules: &Rules<'_>,
    branch: &Branch,
    leaf: usize,
    record: &mut dyn Record,
) -> Result<Move, PlayError> {
    let length = rules.claim.length;
    match branch {
        Branch::History if length.steps_before(leaf as u64) > 1 => interval(leaf, record),
        Branch::History => {
            let states = record.history().states().to_vec();
            let tree = record.history().tree().clone();
            step(
                length.step_of(leaf as u64) - 1,
                (&states, &tree),
                leaf,
                record,
            )
        }
        Branch::Interval { checkpoint, .. } => {
            let states = record.interval(*checkpoint)?;
            let tree = history::tree_of(&states);
            let first = length.step_of(checkpoint - 1);
            step(first + leaf as u64 - 1, (&states, &tree), leaf, record)
        }
        Branch::Runs(step) => {
            let step = record.step(step.number)?;
            let (_, values) = *step.runs.get(leaf).ok_or(PlayError::Lacks("run"))?;
            Ok(Move::Run { values })
        }
        Branch::State(step) => {
            let step = record.step(step.number)?;
            let root = *step.after.get(leaf).ok_or(PlayError::Lacks("tensor"))?;
            Ok(Move::Slot { root })
        }
        Branch::Values(run) => {
            let run = record.run(run.step.number, run.run)?;
            let value = run.values.get(leaf).ok_or(PlayError::Lacks("value"))?;
            let tiles = TensorTree::new(value).tree().root();
            Ok(Move::Value { tiles })
        }
        Branch::Tiles(value) => {
            let run = record.run(value.run.step.number, value.run.run)?;
            let tensor = run.values.get(value.value.index());
            let tensor = tensor.ok_or(PlayError::Lacks("value"))?;
            let tiling = Tiling::of(tensor.shape());
            if leaf >= tiling.tiles() {
                return Err(PlayError::Lacks("tile"));
            }
            let first = tiling.first(leaf);
            let words = tensor.words().get(first..first + tiling.length(leaf));
            Ok(Move::Tile(words.ok_or(PlayError::Lacks("tile"))?.to_vec()))
        }
    }
}

fn interval(checkpoint: usize, record: &mut dyn Record) -> Result<Move, PlayError> {
    let states = record.interval(checkpoint as u64)?;
    let tree = history::tree_of(&states);
    let path = |tree: &Tree, at: usize| tree.path(at).ok_or(PlayError::Lacks("state"));
    let before = checkpoint - 1;
    let ends = (states.first(), states.last());
    let (Some(first), Some(last)) = ends else {
        return Err(PlayError::Lacks("interval"));
    };
    Ok(Move::Interval {
        before: (*first, path(record.history().tree(), before)?),
        after: *last,
        states: (tree.root(), path(&tree, 0)?, path(&tree, states.len() - 1)?),
    })
}

/// The step that led to the state at a leaf of a tree over states.
fn step(
    number: u64,
    (states, tree): (&[reproducible_ops::program::Digest], &Tree),
    leaf: usize,
    record: &mut dyn Record,
) -> Result<Move, PlayError> {
    let before = leaf
        .checked_sub(1)
        .ok_or(PlayError::Lacks("step before the first state"))?;
    let root = |at: usize| states.get(at).copied().ok_or(PlayError::Lacks("state"));
    let siblings = tree.path(before).ok_or(PlayError::Lacks("state"))?;
    Ok(Move::Step {
        before: (root(before)?, siblings),
        after: root(leaf)?,
        runs: record.step(number)?.tree.root(),
    })
}

/// The numbers of which one is made.
fn show_numbers(
    rules: &Rules<'_>,
    number: &NumberContext,
    record: &mut dyn Record,
) -> Result<Move, PlayError> {
    let run = &number.value.run;
    let record = record.run(run.step.number, run.run)?;
    let (operation, node) = rules.operation(&number.value)?;
    let operands = operands(node, &record)?;
    let (level, index) = (number.level - 1, number.index);
    Ok(Move::Numbers(numbers::numbers(
        &operation,
        &operands,
        number.element,
        level,
        index,
    )?))
}
