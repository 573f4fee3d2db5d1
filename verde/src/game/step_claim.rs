//! What a worker claims of one step, in words that it signs.

use reproducible_ops::program::Digest;

use super::Move;

/// What a worker claims of a step that its claim of the job passes over: all that only it can say
/// in a game down to an element of that step, long reductions apart.
///
/// A worker that is asked about a step signs it (`StepClaim` in `StepClaims.sol`). Whoever can show
/// that it is false then needs no game.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StepClaim {
    /// Root of the state before the step.
    pub before: Digest,
    /// Root of the state after it.
    pub after: Digest,
    /// Top of the tree over the states between the checkpoints around the step; zero where it is
    /// alone between them.
    pub states: Digest,
    /// Top of the tree over the roots of its runs.
    pub runs: Digest,
}

impl StepClaim {
    /// Whether the worker has said with it what an assertion says. What else an interval shows is
    /// proved in its tree.
    pub fn says(&self, made: &Move) -> bool {
        match made {
            Move::Interval { states, .. } => states.0 == self.states,
            Move::Step {
                before,
                after,
                runs,
            } => (before.0, *after, *runs) == (self.before, self.after, self.runs),
            _ => false,
        }
    }
}
