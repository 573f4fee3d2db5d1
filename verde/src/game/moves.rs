//! What players say.

use reproducible_ops::program::Digest;

use crate::run::{OperandProof, RunHeader};
use crate::tensor::Opening;
use crate::tree::Position;

/// A move.
///
/// *Openings* show what is below a hash that stands already; they can be right or refused, but not
/// false, so the challenger may make them, too, where it knows the data. *Assertions* say what was
/// committed to nowhere before, and only the worker makes them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Move {
    /// Opening: the nodes [`super::levels_below`] the one in doubt.
    Reveal(Vec<Digest>),
    /// Assertion at a checkpoint: the states since the checkpoint before.
    Interval {
        /// Root of the state at the checkpoint before, and what proves it.
        before: (Digest, Vec<Digest>),
        /// Root of the state at the checkpoint in doubt.
        after: Digest,
        /// Top of the tree over the states from one to the other, and what proves the first and the
        /// last of them.
        states: (Digest, Vec<Digest>, Vec<Digest>),
    },
    /// Assertion after a state: the runs of the step that led to it.
    Step {
        /// Root of the state before, and what proves it.
        before: (Digest, Vec<Digest>),
        /// Root of the state in doubt.
        after: Digest,
        /// Top of the tree over the roots of the runs.
        runs: Digest,
    },
    /// Opening of a run: the top of the tree over its values.
    Run {
        /// The top.
        values: Digest,
    },
    /// Opening of a value: its tensor's root, by the top of the tree over its tiles.
    Value {
        /// The top.
        tiles: Digest,
    },
    /// Opening of a tile.
    Tile(Vec<u32>),
    /// Opening of the state after a step: the top of the tree over its tensors.
    State {
        /// The top.
        tensors: Digest,
    },
    /// Opening of a tensor of that state: its root.
    Slot {
        /// The root.
        root: Digest,
    },
    /// Assertion: the numbers that one of a reduction is made of.
    Numbers(Vec<u32>),

    /// The challenger doubts a node below the one in doubt: one of those shown, or below one.
    Pick {
        /// Which node.
        at: Position,
        /// Its hash.
        node: Digest,
        /// Hashes beside its path up to the one that was in doubt.
        siblings: Vec<Digest>,
    },
    /// The challenger finds all runs right, and the state that follows them wrong.
    ContestNext,
    /// A tensor of the next state is not what the plan binds it to.
    ProveNext(SourceProof),
    /// An input of a run is not what the plan binds it to.
    ProveInput(SourceProof),
    /// The challenger doubts an element of a long reduction.
    Ask {
        /// Its place in the tile.
        offset: usize,
        /// The operands of the node, which say how long the reduction is.
        operands: Vec<OperandProof>,
    },
    /// The challenger doubts one of the numbers shown, which is made of others.
    PickNumber(usize),
    /// An element, or a leaf block of one, is not what its operands make.
    Prove {
        /// In a tile: the element's place in it. Among numbers: which one.
        offset: usize,
        /// Of an argmax, the index of the row whose element beats the claimed one; otherwise 0.
        witness: usize,
        /// The operands of the node, in its order.
        operands: Vec<OperandProof>,
        /// The tiles read, in the order of reading.
        tiles: Vec<Opening>,
    },
}

/// What shows which tensor a source of the plan is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceProof {
    /// A tensor of the state before the step: its root, and hashes beside its path.
    State(Digest, Vec<Digest>),
    /// A constant: the plan names its root.
    Constant,
    /// An output of a run.
    Output {
        /// The run's program.
        header: RunHeader,
        /// Top of the tree over its values.
        values: Digest,
        /// Hashes beside the run's path.
        run: Vec<Digest>,
        /// Root of the output's tensor, and hashes beside its path.
        value: (Digest, Vec<Digest>),
    },
}
