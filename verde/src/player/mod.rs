//! The players: from a game and a record to the next move.
//!
//! ```text
//! worker      its record ──────────▶ opens what is asked for, asserts what was asserted nowhere yet
//! challenger  its own record ─┐
//!             what was shown ─┴────▶ the first difference ─▶ picks it, or shows the contradiction
//! ```
//! Both are functions of the transcript and a record, so a player that was restarted goes on with
//! the next move whatever the last one was. A challenger that cannot recompute what it needs says
//! so ([`PlayError::Record`]) and makes no move; one that finds nothing wrong says
//! [`PlayError::Agreed`].

mod challenger;
mod refutation;
#[cfg(test)]
mod smallest;
#[cfg(test)]
mod tests;
mod worker;

use reproducible_ops::program::Node;
use reproducible_ops::tensor::Tensor;
use thiserror::Error;

use crate::element::ElementError;
use crate::game::{Branch, Move, Place, Refusal, Rules, Side};
use crate::record::{Record, RecordError, RunRecord, state_tree};
use crate::tensor::TensorTree;
use crate::tree::Tree;

pub use challenger::{challenge, challenge_in_public};
pub use refutation::{refute, step_claim};
pub use worker::respond;

/// Why a player makes no move.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PlayError {
    /// The player's record has no answer: it cannot tell who is right.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The player finds nothing wrong with what was shown.
    #[error("what was shown is what it should be")]
    Agreed,
    /// It is not the player's turn.
    #[error("it is not the turn of this side")]
    Turn,
    /// The player's record is not one of the claim: it has no such thing.
    #[error("the record has no {0}")]
    Lacks(&'static str),
    /// The worker has not signed what it would have to say.
    #[error("the worker has not signed what it would have to say next; open a game")]
    NotSigned,
    /// An element.
    #[error(transparent)]
    Element(#[from] ElementError),
    /// The rules.
    #[error(transparent)]
    Refusal(#[from] Refusal),
}

/// A game as it was played: every place that it came to, and the moves between them.
#[derive(Clone, Debug)]
pub struct Game<'a> {
    rules: Rules<'a>,
    places: Vec<Place>,
    moves: Vec<Move>,
}

impl<'a> Game<'a> {
    /// A game that begins.
    pub fn new(rules: Rules<'a>) -> Self {
        Self {
            places: vec![rules.start()],
            moves: Vec::new(),
            rules,
        }
    }

    /// The rules.
    pub fn rules(&self) -> &Rules<'a> {
        &self.rules
    }

    /// Each move so far, with the place to which it led.
    pub fn moves(&self) -> impl ExactSizeIterator<Item = (&Move, &Place)> {
        self.moves.iter().zip(&self.places[1..])
    }

    /// Where the game stands.
    #[expect(
        clippy::expect_used,
        reason = "a game begins with a place and never loses one"
    )]
    pub fn place(&self) -> &Place {
        self.places.last().expect("invariant: a game has a place")
    }

    /// Makes a move.
    ///
    /// # Errors
    /// The move is refused; the game stands where it stood.
    pub fn play(&mut self, side: Side, made: &Move) -> Result<(), Refusal> {
        let next = self.rules.apply(self.place(), side, made)?;
        self.places.push(next);
        self.moves.push(made.clone());
        Ok(())
    }
}

/// The tree of a branch, as a record has it.
fn tree_of(rules: &Rules<'_>, branch: &Branch, record: &mut dyn Record) -> Result<Tree, PlayError> {
    Ok(match branch {
        Branch::History => record.history().tree().clone(),
        Branch::Interval { checkpoint, .. } => {
            crate::history::tree_of(&record.interval(*checkpoint)?)
        }
        Branch::Runs(step) => record.step(step.number)?.tree.clone(),
        Branch::State(step) => {
            let step = record.step(step.number)?;
            state_tree(rules.job, &step.after)?.tree().clone()
        }
        Branch::Values(run) => record.run(run.step.number, run.run)?.tree.tree().clone(),
        Branch::Tiles(value) => {
            let run = record.run(value.run.step.number, value.run.run)?;
            let tensor = run.values.get(value.value.index());
            TensorTree::new(tensor.ok_or(PlayError::Lacks("value"))?)
                .tree()
                .clone()
        }
    })
}

/// The operands of a node in a run, in the node's order.
fn operands<'r>(node: &Node, run: &'r RunRecord) -> Result<Vec<&'r Tensor>, PlayError> {
    let operands = node.inputs.iter().map(|id| run.values.get(id.index()));
    let operands: Option<_> = operands.collect();
    operands.ok_or(PlayError::Lacks("operand"))
}
