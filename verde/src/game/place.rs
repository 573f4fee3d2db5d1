//! Where a game stands.

use reproducible_ops::program::{Digest, ValueId};

use super::Side;
use crate::run::RunHeader;
use crate::tree::Position;

/// A step in doubt: the states on both sides, and the tree over its runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepContext {
    /// Its number, from 0.
    pub number: u64,
    /// Root of the state before it.
    pub before: Digest,
    /// Root of the state after it.
    pub after: Digest,
    /// Top of the tree over its run roots.
    pub runs: Digest,
}

/// A run in doubt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunContext {
    /// Its step.
    pub step: StepContext,
    /// Its number in the plan.
    pub run: usize,
    /// Its program, and how many values that has.
    pub header: RunHeader,
    /// Top of the tree over its values.
    pub values: Digest,
}

/// A value in doubt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValueContext {
    /// Its run.
    pub run: RunContext,
    /// Its id.
    pub value: ValueId,
    /// Root of its tensor, as claimed.
    pub root: Digest,
}

/// The tree that a game descends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Branch {
    /// States at the checkpoints of the job.
    History,
    /// States between two checkpoints, both included.
    Interval {
        /// The later one.
        checkpoint: u64,
        /// Top of the tree.
        top: Digest,
    },
    /// Runs of a step.
    Runs(StepContext),
    /// Tensors of the state after a step whose runs are not in doubt.
    State(StepContext),
    /// Values of a run.
    Values(RunContext),
    /// Tiles of a node's result.
    Tiles(ValueContext),
}

/// A reduction in doubt: an element, and one of the numbers that it is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NumberContext {
    /// The value.
    pub value: ValueContext,
    /// The element, in row-major order.
    pub element: usize,
    /// Levels of the number above those of leaf blocks.
    pub level: usize,
    /// Its number among those of its level.
    pub index: usize,
    /// Its bits as claimed.
    pub claimed: u32,
}

/// Where a game stands; [`Place::turn`] says who has to move.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A node is in doubt, and the worker shows what is below it.
    Picked {
        /// The tree.
        branch: Branch,
        /// Which node.
        at: Position,
        /// Its hash.
        node: Digest,
    },
    /// Nodes were shown, and the challenger picks one, or one below it.
    Shown {
        /// The tree.
        branch: Branch,
        /// The node in doubt, below which they stand, or which alone is shown.
        at: Position,
        /// Its hash.
        node: Digest,
        /// The first of the nodes, which stand side by side.
        first: Position,
        /// Their hashes.
        nodes: Vec<Digest>,
    },
    /// The state after a step is in doubt, and the worker shows the top of its tree.
    NextState(StepContext),
    /// A tensor of the next state was shown; the challenger shows that the plan says otherwise.
    Slot {
        /// The step.
        step: StepContext,
        /// The tensor's place in the state.
        slot: usize,
        /// Its root.
        root: Digest,
    },
    /// An input of a run was shown; the challenger shows that the plan says otherwise.
    Input(ValueContext),
    /// A tile of a node's result was shown; the challenger shows that an element of it is wrong.
    Tile {
        /// The value.
        value: ValueContext,
        /// The tile's number.
        tile: usize,
        /// Its elements.
        words: Vec<u32>,
    },
    /// A number of a reduction is in doubt, and the worker shows what it is made of.
    Number(NumberContext),
    /// The numbers below one were shown, and the challenger picks one.
    Numbers {
        /// The number that they make.
        above: NumberContext,
        /// The numbers.
        numbers: Vec<u32>,
    },
    /// The game is over.
    Won(Side),
}

impl Place {
    /// Who has to move; none when the game is over.
    pub fn turn(&self) -> Option<Side> {
        match self {
            Self::Picked { .. } | Self::NextState(_) | Self::Number(_) => Some(Side::Worker),
            Self::Shown { .. }
            | Self::Slot { .. }
            | Self::Input(_)
            | Self::Tile { .. }
            | Self::Numbers { .. } => Some(Side::Challenger),
            Self::Won(_) => None,
        }
    }
}
