//! The dispute game: from a claim about a whole job down to one element that anybody recomputes.
//!
//! ```text
//!            worker                                challenger
//! History    Reveal ◀───────────────────────────── Pick a checkpoint
//!            Interval (states between) ──────────▶ Pick a step
//!            Step (runs) ────────────────────────▶ Pick a run          or ContestNext
//! Runs       Run (its values) ───────────────────▶ Pick a value        State, Slot ─▶ ProveNext ■
//! Values     Value (its tiles) ──────────────────▶ Pick a tile         or, an input: ProveInput ■
//! Tiles      Tile (its elements) ────────────────▶ Prove an element ■  or, a long reduction: Ask
//! Numbers    Numbers (blocks, or sums of them) ──▶ PickNumber          or Prove a block ■
//! ```
//! In each tree the worker shows the nodes up to [`LEVELS`] below the one in doubt, and the
//! challenger picks one of them; who knows the data already picks many levels at once. Only the
//! worker claims, the challenger chooses where to look and shows a contradiction (■). A challenger
//! who is wrong comes to a true leaf, can show none, and loses by its clock; a worker who is wrong
//! comes to one that it cannot open, or to an element that is not what its operands make.
//!
//! [`Rules::apply`] is the whole game as a pure function. It takes what is well-formed and refuses
//! the rest without effect: a refusal decides nothing. `DisputeGame.sol` is the same function in
//! Solidity. What was shown is a commitment of the worker, so nothing that a challenger shows can
//! make a true claim false; sizes of trees follow from the plan and the programs that the claim
//! names.
//!
//! Of a step that the worker has signed ([`StepClaim`]), the challenger makes the worker's
//! assertions, too, and shows the whole game at once.
//!
//! The game always ends: every move leads down a finite tree, and clocks (not part of this
//! function) end the turn of who does not move.

mod moves;
pub mod numbers;
mod place;
mod rules;
mod step_claim;
mod words;

pub use crate::run::OperandProof;
pub use moves::{Move, SourceProof};
pub use place::{Branch, NumberContext, Place, RunContext, StepContext, ValueContext};
pub use rules::{Refusal, Rules};
pub use step_claim::StepClaim;

/// Most levels that one [`Move::Reveal`] shows: 64 nodes at most.
///
/// What a pair of moves costs beside the nodes is what some 70 of them do.
pub const LEVELS: usize = 6;

/// Levels that a [`Move::Reveal`] below a node of this height shows: as few as bring the game to
/// the leaves with as few of them.
pub fn levels_below(height: usize) -> usize {
    height.div_ceil(height.div_ceil(LEVELS).max(1))
}

/// The two sides of a game.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// Who claims.
    Worker,
    /// Who doubts.
    Challenger,
}

impl Side {
    /// The other one.
    pub fn other(self) -> Self {
        match self {
            Self::Worker => Self::Challenger,
            Self::Challenger => Self::Worker,
        }
    }
}
