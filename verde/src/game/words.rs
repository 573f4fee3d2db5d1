//! Moves and places in words, for people who follow a game.

use std::fmt;

use super::{Branch, Move, Place, RunContext, Side, StepContext, ValueContext};

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Worker => "worker",
            Self::Challenger => "challenger",
        })
    }
}

impl fmt::Display for Move {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reveal(nodes) => write!(f, "shows {} nodes below it", nodes.len()),
            Self::Interval { .. } => f.write_str("shows the states since the checkpoint before"),
            Self::Step { .. } => f.write_str("shows the runs of the step"),
            Self::Run { .. } => f.write_str("shows the values of the run"),
            Self::Value { .. } => f.write_str("shows the tiles of the value"),
            Self::Tile(words) => write!(f, "shows the tile, {} elements", words.len()),
            Self::State { .. } => f.write_str("shows the tensors of the next state"),
            Self::Slot { .. } => f.write_str("shows the root of the tensor"),
            Self::Numbers(words) => write!(f, "shows {} numbers that it is made of", words.len()),
            Self::Pick { at, .. } => {
                write!(f, "doubts node {} at height {}", at.index, at.height)
            }
            Self::ContestNext => f.write_str("doubts the next state, and no run"),
            Self::ProveNext(_) => f.write_str("shows what the plan binds the tensor to"),
            Self::ProveInput(_) => f.write_str("shows what the plan binds the input to"),
            Self::Ask { offset, .. } => {
                write!(f, "asks what element {offset} of the tile is made of")
            }
            Self::PickNumber(number) => write!(f, "doubts number {number}"),
            Self::Prove { offset, tiles, .. } => write!(
                f,
                "shows that element {offset} is not what its operands make, by {} tiles of them",
                tiles.len()
            ),
        }
    }
}

impl fmt::Display for StepContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "step {}", self.number)
    }
}

impl fmt::Display for RunContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "run {} of {}", self.run, self.step)
    }
}

impl fmt::Display for ValueContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "value {} of {}", self.value.0, self.run)
    }
}

impl fmt::Display for Branch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::History => f.write_str("the states at checkpoints"),
            Self::Interval { checkpoint, .. } => {
                write!(f, "the states before checkpoint {checkpoint}")
            }
            Self::Runs(step) => write!(f, "the runs of {step}"),
            Self::State(step) => write!(f, "the state after {step}"),
            Self::Values(run) => write!(f, "the values of {run}"),
            Self::Tiles(value) => write!(f, "the tiles of {value}"),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Picked { branch, at, .. } => {
                write!(f, "{branch}: node {} at height {}", at.index, at.height)
            }
            Self::Shown { branch, nodes, .. } => write!(f, "{branch}: {} nodes", nodes.len()),
            Self::NextState(step) => write!(f, "the state after {step}"),
            Self::Slot { step, slot, .. } => {
                write!(f, "tensor {slot} of the state after {step}")
            }
            Self::Input(value) => write!(f, "{value}, an input"),
            Self::Tile { value, tile, .. } => write!(f, "tile {tile} of {value}"),
            Self::Number(number) => write!(
                f,
                "number {} of element {} of {}",
                number.index, number.element, number.value
            ),
            Self::Numbers { above, numbers } => write!(
                f,
                "{} numbers of element {} of {}",
                numbers.len(),
                above.element,
                above.value
            ),
            Self::Won(side) => write!(f, "over: the {side} has won"),
        }
    }
}
