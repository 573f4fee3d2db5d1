//! What a worker claims to have done: the states of a job at its checkpoints.
//!
//! ```text
//! state 0 ── stride steps ──▶ state 1 ── … ──▶ state n      the last interval may be shorter
//! leaf = H(0x00 ‖ root of the state)   ─▶ tree ─▶ top
//! root = H(0x07 ‖ digest of the plan ‖ steps, 8 bytes ‖ stride, 4 bytes ‖ top)
//! ```
//! Numbers are little-endian. The states between two checkpoints are committed to when somebody
//! asks, by a tree of the same kind ([`tree_of`]). Because a root binds the whole history, any
//! single false transition refutes it, and no prefix needs to be agreed on.

use reproducible_ops::program::{Digest, tagged_hash};
use thiserror::Error;

use crate::tree::{self, Tree};

const HISTORY: u8 = 7;

/// Most steps of a job.
pub const MAX_STEPS: u64 = 1 << 32;

/// Why there is no such claim.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum HistoryError {
    /// A job has at least one step, and not too many.
    #[error("{0} steps; a job has 1 to {MAX_STEPS}")]
    Steps(u64),
    /// Checkpoints are at least one step apart.
    #[error("a stride of 0 steps; checkpoints are at least 1 step apart")]
    Stride,
    /// States do not belong to these numbers.
    #[error("{given} states; {steps} steps with a checkpoint every {stride} have {expected}")]
    States {
        /// States given.
        given: usize,
        /// States that belong to the numbers.
        expected: u64,
        /// Steps of the job.
        steps: u64,
        /// Steps between checkpoints.
        stride: u32,
    },
}

/// How long a job is, and how often its state is committed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Length {
    steps: u64,
    stride: u32,
}

impl Length {
    /// `steps` steps with a checkpoint every `stride`.
    ///
    /// # Errors
    /// [`HistoryError`].
    pub fn new(steps: u64, stride: u32) -> Result<Self, HistoryError> {
        if steps == 0 || steps > MAX_STEPS {
            return Err(HistoryError::Steps(steps));
        }
        match stride {
            0 => Err(HistoryError::Stride),
            _ => Ok(Self { steps, stride }),
        }
    }

    /// Steps of the job.
    pub fn steps(self) -> u64 {
        self.steps
    }

    /// Steps between checkpoints.
    pub fn stride(self) -> u32 {
        self.stride
    }

    /// Checkpoints, the initial state among them.
    pub fn checkpoints(self) -> u64 {
        self.steps.div_ceil(u64::from(self.stride)) + 1
    }

    /// The step after which a checkpoint stands; the number of steps for one that there is not.
    pub fn step_of(self, checkpoint: u64) -> u64 {
        checkpoint
            .saturating_mul(u64::from(self.stride))
            .min(self.steps)
    }

    /// Steps between the checkpoint before this one and it.
    pub fn steps_before(self, checkpoint: u64) -> u64 {
        self.step_of(checkpoint) - self.step_of(checkpoint.saturating_sub(1))
    }
}

/// A claim: that a plan made of a state another, in so many steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Digest of the plan.
    pub plan: Digest,
    /// Steps and stride.
    pub length: Length,
    /// Top of the tree over the states of checkpoints.
    pub top: Digest,
}

impl Claim {
    /// What names the claim.
    pub fn root(&self) -> Digest {
        let steps = self.length.steps.to_le_bytes();
        let stride = self.length.stride.to_le_bytes();
        tagged_hash(HISTORY, &[&self.plan, &steps, &stride, &self.top])
    }
}

/// The leaf of a state.
pub fn leaf(state: &Digest) -> Digest {
    tree::leaf(&[state])
}

/// The tree over consecutive states, by their roots.
pub fn tree_of(states: &[Digest]) -> Tree {
    Tree::new(states.iter().map(leaf).collect())
}

/// All checkpoints of a job, by the roots of their states.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct History {
    claim: Claim,
    states: Vec<Digest>,
    tree: Tree,
}

impl History {
    /// The history of a plan with these states at its checkpoints, the initial one first.
    ///
    /// # Errors
    /// There are more or fewer states than checkpoints.
    pub fn new(plan: Digest, length: Length, states: Vec<Digest>) -> Result<Self, HistoryError> {
        let expected = length.checkpoints();
        if u64::try_from(states.len()) != Ok(expected) {
            return Err(HistoryError::States {
                given: states.len(),
                expected,
                steps: length.steps,
                stride: length.stride,
            });
        }
        let tree = tree_of(&states);
        let claim = Claim {
            plan,
            length,
            top: tree.root(),
        };
        Ok(Self {
            claim,
            states,
            tree,
        })
    }

    /// What is claimed.
    pub fn claim(&self) -> &Claim {
        &self.claim
    }

    /// Roots of the states, by checkpoint.
    pub fn states(&self) -> &[Digest] {
        &self.states
    }

    /// The tree over them.
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// The first checkpoint at which another history of the same length has another state.
    pub fn first_difference(&self, other: &Self) -> Option<usize> {
        let mut pairs = self.states.iter().zip(&other.states);
        pairs.position(|(mine, theirs)| mine != theirs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_interval_may_be_shorter() {
        let length = Length::new(25, 10).unwrap();
        assert_eq!(length.checkpoints(), 4);
        let steps: Vec<u64> = (0..4).map(|at| length.step_of(at)).collect();
        assert_eq!(steps, [0, 10, 20, 25]);
        let intervals: Vec<u64> = (0..4).map(|at| length.steps_before(at)).collect();
        assert_eq!(intervals, [0, 10, 10, 5]);
        assert_eq!(Length::new(20, 10).unwrap().checkpoints(), 3);
        assert_eq!(Length::new(0, 1), Err(HistoryError::Steps(0)));
        assert_eq!(
            Length::new(MAX_STEPS + 1, 1),
            Err(HistoryError::Steps(MAX_STEPS + 1))
        );
        assert_eq!(Length::new(1, 0), Err(HistoryError::Stride));
    }

    #[test]
    fn plan_steps_stride_and_every_state_are_bound() {
        let states: Vec<Digest> = (0..4).map(|at| [at; 32]).collect();
        let of = |plan: u8, steps, stride, states: &[Digest]| {
            let length = Length::new(steps, stride).unwrap();
            History::new([plan; 32], length, states.to_vec()).map(|it| it.claim().root())
        };
        let known = of(1, 25, 10, &states).unwrap();
        for other in [
            of(2, 25, 10, &states),
            of(1, 26, 10, &states),
            of(1, 25, 9, &states),
        ] {
            assert_ne!(other.unwrap(), known);
        }
        for at in 0..4 {
            let mut other = states.clone();
            other[at][31] ^= 1;
            assert_ne!(of(1, 25, 10, &other).unwrap(), known, "{at}");
        }
        assert!(matches!(
            of(1, 25, 10, &states[1..]),
            Err(HistoryError::States {
                given: 3,
                expected: 4,
                ..
            })
        ));
    }
}
