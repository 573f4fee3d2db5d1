//! The challenger: compares with its own record, and follows the first difference.
//!
//! Everything before the first difference is the same on both sides, so what the challenger needs
//! to show is in its own record, except for hashes of the worker's trees to the right of it. Those
//! were shown on the way down ([`Shown`]).

use std::collections::HashMap;

use reproducible_ops::program::{Digest, Operator, ValueId};

use super::{Game, PlayError, operands, respond, tree_of};
use crate::element;
use crate::game::{
    Branch, Move, NumberContext, OperandProof, Place, RunContext, Side, SourceProof, StepContext,
    ValueContext, levels_below, numbers,
};
use crate::plan::Source;
use crate::record::{Record, RunRecord, state_tree};
use crate::tensor::Tiling;
use crate::tree::{self, Position, Tree};

/// The challenger's next move.
///
/// # Errors
/// It is not the challenger's turn, its record has no answer, or nothing is wrong.
pub fn challenge(game: &Game<'_>, record: &mut dyn Record) -> Result<Move, PlayError> {
    match game.place() {
        Place::Shown {
            branch,
            first,
            nodes,
            ..
        } => pick(game, branch, *first, nodes, record),
        Place::Slot { step, slot, .. } => {
            let source = game.rules().job.plan().next.get(*slot).copied();
            let source = source.ok_or(PlayError::Lacks("tensor"))?;
            Ok(Move::ProveNext(prove_source(game, step, source, record)?))
        }
        Place::Input(value) => {
            let run = game.rules().job.run(value.run.run);
            let source = run.and_then(|(run, _)| run.inputs.get(value.value.index()).copied());
            let source = source.ok_or(PlayError::Lacks("input"))?;
            let step = &value.run.step;
            Ok(Move::ProveInput(prove_source(game, step, source, record)?))
        }
        Place::Tile { value, tile, words } => doubt_tile(game, value, *tile, words, record),
        Place::Numbers { above, numbers } => doubt_numbers(game, above, numbers, record),
        Place::Picked { .. } | Place::NextState(_) | Place::Number(_) | Place::Won(_) => {
            Err(PlayError::Turn)
        }
    }
}

/// The challenger's next moves where all data of the worker are public: it makes the worker's
/// openings itself and picks leaves at once, up to what only the worker can assert, or to the end.
///
/// `public` is what the worker published. Where it lacks something, or is not what the worker
/// claims, the worker has to show it: what it published can save moves, and cost none.
///
/// # Errors
/// See [`challenge`].
pub fn challenge_in_public(
    game: &Game<'_>,
    record: &mut dyn Record,
    public: &mut dyn Record,
) -> Result<Vec<Move>, PlayError> {
    let mut ahead = game.clone();
    let mut moves = Vec::new();
    while let Some(made) = next_in_public(&ahead, record, public)? {
        match ahead.play(Side::Challenger, &made) {
            Ok(()) => moves.push(made),
            Err(_) => break,
        }
    }
    Ok(moves)
}

/// The challenger's next move, or the opening that it makes for the worker; none where the worker
/// has to move, or the game is over.
pub(super) fn next_in_public(
    game: &Game<'_>,
    record: &mut dyn Record,
    public: &mut dyn Record,
) -> Result<Option<Move>, PlayError> {
    if game.place().turn() == Some(Side::Challenger) {
        return challenge(game, record).map(Some);
    }
    let made = match game.place() {
        Place::Picked { branch, at, .. } if at.height > 0 => {
            let mine = tree_of(game.rules(), branch, record)?;
            let Ok(theirs) = tree_of(game.rules(), branch, public) else {
                return Ok(None);
            };
            // Where all runs are right, the state that follows them is contested when they are
            // shown.
            let levels = levels_below(at.height);
            let all = || Move::Reveal(theirs.descendants(*at, levels).to_vec());
            leaf_below(*at, &mine, &theirs).unwrap_or_else(all)
        }
        Place::Won(_) => return Ok(None),
        _ => match respond(game, public) {
            Ok(made) => made,
            Err(_) => return Ok(None),
        },
    };
    let is_assertion = matches!(
        made,
        Move::Interval { .. } | Move::Step { .. } | Move::Numbers(_)
    );
    Ok((!is_assertion).then_some(made))
}

/// Picks the first leaf below a node in which two trees differ.
fn leaf_below(at: Position, mine: &Tree, theirs: &Tree) -> Option<Move> {
    let leaves = [mine, theirs].map(|tree| tree.descendants(at, at.height));
    let mut pairs = leaves[0].iter().zip(leaves[1]);
    let offset = pairs.position(|(mine, theirs)| mine != theirs)?;
    let leaf = Position {
        height: 0,
        index: (at.index << at.height) + offset,
    };
    Some(Move::Pick {
        at: leaf,
        node: *theirs.node(leaf)?,
        siblings: theirs.path_up(leaf, at.height)?,
    })
}

/// Picks the first node shown that is another in the challenger's tree.
fn pick(
    game: &Game<'_>,
    branch: &Branch,
    first: Position,
    nodes: &[Digest],
    record: &mut dyn Record,
) -> Result<Move, PlayError> {
    let mine = tree_of(game.rules(), branch, record)?;
    let position = |offset: usize| Position {
        index: first.index + offset,
        ..first
    };
    let mut shown = nodes.iter().enumerate();
    let differs = |(offset, node): &(usize, &Digest)| mine.node(position(*offset)) != Some(*node);
    match shown.find(differs) {
        Some((offset, node)) => {
            // What is below a node is a tree of its own.
            let path = Tree::new(nodes.to_vec()).path(offset);
            Ok(Move::Pick {
                at: position(offset),
                node: *node,
                siblings: path.ok_or(PlayError::Lacks("node"))?,
            })
        }
        None if matches!(branch, Branch::Runs(_)) => Ok(Move::ContestNext),
        None => Err(PlayError::Agreed),
    }
}

// ---- the worker's trees, as far as they were shown

/// Nodes of one tree of the worker, by what was shown of it.
struct Shown(HashMap<Position, Digest>);

impl Shown {
    /// What a game showed of the tree that `belongs` names.
    fn of(game: &Game<'_>, belongs: impl Fn(&Branch) -> bool) -> Self {
        let mut shown = Self(HashMap::new());
        for (made, place) in game.moves() {
            match (made, place) {
                (Move::Pick { siblings, .. }, Place::Picked { branch, at, node })
                    if belongs(branch) =>
                {
                    let leaves = game.rules().leaves(branch);
                    shown.insert_path(leaves, *at, *node, siblings);
                }
                (
                    _,
                    Place::Shown {
                        branch,
                        first,
                        nodes,
                        ..
                    },
                ) if belongs(branch) => {
                    shown.insert_with_parents(*first, nodes);
                }
                _ => {}
            }
        }
        shown
    }

    /// Nodes that stand side by side, and those above them that they make, up to the one below
    /// which they stand.
    fn insert_with_parents(&mut self, first: Position, nodes: &[Digest]) {
        let (mut first, mut level) = (first, nodes.to_vec());
        loop {
            let positions = (first.index..).map(|index| Position { index, ..first });
            self.0.extend(positions.zip(level.iter().copied()));
            // Where a single node is left, those above it are of other nodes, too, or it moves up
            // as it is and is nobody's sibling.
            if level.len() < 2 {
                return;
            }
            // The first of the nodes is the first child of its parent.
            let parents = level.chunks(2).filter_map(|pair| tree::join(pair, 1));
            level = parents.collect();
            first = Position {
                height: first.height + 1,
                index: first.index / 2,
            };
        }
    }

    /// A node, its siblings, and the nodes above it that they make.
    fn insert_path(&mut self, leaves: usize, at: Position, node: Digest, siblings: &[Digest]) {
        let (mut at, mut node) = (at, node);
        let mut siblings = siblings.iter();
        self.0.insert(at, node);
        while let Some(sibling) = siblings.as_slice().first() {
            let other = at.index ^ 1;
            if other < tree::width_at(leaves, at.height) {
                siblings.next();
                self.0.insert(Position { index: other, ..at }, *sibling);
                node = match at.index < other {
                    true => tree::node(&node, sibling),
                    false => tree::node(sibling, &node),
                };
            }
            at = Position {
                height: at.height + 1,
                index: at.index / 2,
            };
            self.0.insert(at, node);
        }
    }

    /// The path of a leaf to the left of the first difference: what was shown, and where nothing
    /// was, the challenger's own, which is the same there.
    fn path(&self, leaf: usize, own: &Tree) -> Option<Vec<Digest>> {
        let mut siblings = Vec::new();
        for height in 0..own.height() {
            let index = (leaf >> height) ^ 1;
            if index >= tree::width_at(own.leaves(), height) {
                continue;
            }
            let at = Position { height, index };
            siblings.push(*self.0.get(&at).or_else(|| own.node(at))?);
        }
        Some(siblings)
    }
}

fn path_of_value(
    game: &Game<'_>,
    run: &RunContext,
    id: ValueId,
    record: &RunRecord,
) -> Result<Vec<Digest>, PlayError> {
    let shown = Shown::of(
        game,
        |branch| matches!(branch, Branch::Values(other) if other == run),
    );
    let path = shown.path(id.index(), record.tree.tree());
    path.ok_or(PlayError::Lacks("value"))
}

// ---- what the plan binds

pub(super) fn prove_source(
    game: &Game<'_>,
    step: &StepContext,
    source: Source,
    record: &mut dyn Record,
) -> Result<SourceProof, PlayError> {
    let job = game.rules().job;
    match source {
        Source::Constant(_) => Ok(SourceProof::Constant),
        Source::Given(_) => Err(PlayError::Lacks("tensor that is given")),
        Source::State(slot) => {
            let before = &record.step(step.number)?.before;
            let root = *before
                .get(slot as usize)
                .ok_or(PlayError::Lacks("tensor"))?;
            let path = state_tree(job, before)?.tree().path(slot as usize);
            Ok(SourceProof::State(
                root,
                path.ok_or(PlayError::Lacks("tensor"))?,
            ))
        }
        Source::Output { run, output } => {
            let number = run as usize;
            let (_, program) = job.run(number).ok_or(PlayError::Lacks("run"))?;
            let output = program.outputs().get(output as usize);
            let id = output.ok_or(PlayError::Lacks("output"))?.value;
            let shown = Shown::of(
                game,
                |branch| matches!(branch, Branch::Runs(other) if other == step),
            );
            let own = record.step(step.number)?;
            let path = shown
                .path(number, &own.tree)
                .ok_or(PlayError::Lacks("run"))?;
            let (header, values) = *own.runs.get(number).ok_or(PlayError::Lacks("run"))?;
            let own = record.run(step.number, number)?;
            let root = *own.tree.value(id).ok_or(PlayError::Lacks("output"))?;
            // The whole run is right, so its tree is the challenger's own.
            let siblings = own.tree.tree().path(id.index());
            Ok(SourceProof::Output {
                header,
                values,
                run: path,
                value: (root, siblings.ok_or(PlayError::Lacks("output"))?),
            })
        }
    }
}

// ---- elements

fn doubt_tile(
    game: &Game<'_>,
    value: &ValueContext,
    tile: usize,
    words: &[u32],
    record: &mut dyn Record,
) -> Result<Move, PlayError> {
    let own = record.run(value.run.step.number, value.run.run)?;
    let mine = own
        .values
        .get(value.value.index())
        .ok_or(PlayError::Lacks("value"))?;
    let first = Tiling::of(mine.shape()).first(tile);
    let mut pairs = words.iter().zip(&mine.words()[first..]);
    let offset = pairs.position(|(theirs, mine)| theirs != mine);
    let offset = offset.ok_or(PlayError::Agreed)?;
    if game.rules().blocks(value)? > 1 {
        let operands = operand_proofs(game, value, &own)?;
        return Ok(Move::Ask { offset, operands });
    }
    let (element, claimed) = (first + offset, words[offset]);
    let witness = match game.rules().job.node(value.run.run, value.value) {
        Some(node) if node.operator == Operator::Argmax => {
            let operand = own.values.get(node.inputs[0].index());
            let operand = operand.ok_or(PlayError::Lacks("operand"))?;
            let length = operand.shape().last();
            let row = &operand.words()[element * length..][..length];
            element::witness(row, claimed).ok_or(PlayError::Agreed)?
        }
        _ => 0,
    };
    let place = element::Place {
        element,
        part: witness,
    };
    prove(game, value, (place, claimed), offset, &own)
}

fn doubt_numbers(
    game: &Game<'_>,
    above: &NumberContext,
    shown: &[u32],
    record: &mut dyn Record,
) -> Result<Move, PlayError> {
    let run = &above.value.run;
    let own = record.run(run.step.number, run.run)?;
    let (operation, node) = game.rules().operation(&above.value)?;
    let operands = operands(node, &own)?;
    let (level, index) = (above.level - 1, above.index);
    let mine = numbers::numbers(&operation, &operands, above.element, level, index)?;
    let offset = shown
        .iter()
        .zip(&mine)
        .position(|(theirs, mine)| theirs != mine);
    let offset = offset.ok_or(PlayError::Agreed)?;
    if above.level > 1 {
        return Ok(Move::PickNumber(offset));
    }
    let part = above.index * numbers::FAN + offset;
    let place = element::Place {
        element: above.element,
        part,
    };
    prove(game, &above.value, (place, shown[offset]), offset, &own)
}

pub(super) fn operand_proofs(
    game: &Game<'_>,
    value: &ValueContext,
    record: &RunRecord,
) -> Result<Vec<OperandProof>, PlayError> {
    let (_, node) = game.rules().operation(value)?;
    let tensors = operands(node, record)?;
    let proofs = node.inputs.iter().zip(tensors).map(|(id, tensor)| {
        let siblings = path_of_value(game, &value.run, *id, record)?;
        Ok(OperandProof::new(tensor, siblings))
    });
    proofs.collect()
}

fn prove(
    game: &Game<'_>,
    value: &ValueContext,
    claim: (element::Place, u32),
    offset: usize,
    record: &RunRecord,
) -> Result<Move, PlayError> {
    match proof(game, value, claim, offset, record)? {
        (true, made) => Ok(made),
        (false, _) => Err(PlayError::Agreed),
    }
}

/// What the operands give at a place, shown: whether it contradicts the claimed bits, and the move.
pub(super) fn proof(
    game: &Game<'_>,
    value: &ValueContext,
    (place, claimed): (element::Place, u32),
    offset: usize,
    record: &RunRecord,
) -> Result<(bool, Move), PlayError> {
    let (operation, node) = game.rules().operation(value)?;
    let tensors = operands(node, record)?;
    let (contradicted, tiles) = operation.prove(place, claimed, &tensors)?;
    let is_argmax = node.operator == Operator::Argmax;
    let made = Move::Prove {
        offset,
        witness: if is_argmax { place.part } else { 0 },
        operands: operand_proofs(game, value, record)?,
        tiles,
    };
    Ok((contradicted, made))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tree(count: usize, wrong_from: usize) -> Tree {
        let leaf = |number: usize| {
            let content = [number as u64, u64::from(number >= wrong_from)];
            tree::leaf(
                &content
                    .map(u64::to_le_bytes)
                    .each_ref()
                    .map(|bytes| &bytes[..]),
            )
        };
        Tree::new((0..count).map(leaf).collect())
    }

    proptest! {
        /// What is shown on the way down to a leaf, with the challenger's own tree, proves every
        /// leaf before it in the worker's tree.
        #[test]
        fn what_was_shown_proves_what_is_left_of_the_difference(
            count in 1_usize..5_000,
            target in any::<prop::sample::Index>(),
            other in any::<prop::sample::Index>(),
        ) {
            let target = target.index(count);
            let (theirs, own) = (tree(count, target), tree(count, count));
            let mut shown = Shown(HashMap::new());
            let mut at = Position { height: theirs.height(), index: 0 };
            while at.height > 0 {
                let levels = levels_below(at.height);
                let first = Position { height: at.height - levels, index: at.index << levels };
                shown.insert_with_parents(first, theirs.descendants(at, levels));
                at = Position { height: first.height, index: target >> first.height };
            }
            let leaf = other.index(target + 1);
            let path = shown.path(leaf, &own).unwrap();
            prop_assert_eq!(path, theirs.path(leaf).unwrap());
            // The same where the leaf was picked at once.
            let mut shown = Shown(HashMap::new());
            let picked = Position { height: 0, index: target };
            let siblings = theirs.path(target).unwrap();
            shown.insert_path(count, picked, *theirs.node(picked).unwrap(), &siblings);
            prop_assert_eq!(shown.path(leaf, &own), theirs.path(leaf));
        }
    }
}
