//! What a check of a piece says, and what the roots of a step alone can be checked for.
//!
//! A plan binds each input of a run, and each tensor of the next state, to something that stands
//! elsewhere in the step. Whoever has nothing but the roots ([`StepRoots`]) finds there whether the
//! worker bound what the plan says: equal tensors have equal roots.

use std::fmt;

use reproducible_ops::program::Digest;

use crate::job::Job;
use crate::plan::Source;
use crate::step::StepRoots;

/// What a check of a piece says.
///
/// [`Wrong`](Verdict::Wrong) is said only where what was claimed contradicts what was recomputed;
/// where anything is missing it is [`CannotTell`](Verdict::CannotTell).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// The piece is what its operands give.
    Right,
    /// It is not.
    Wrong,
    /// Something is missing.
    CannotTell,
}

impl Verdict {
    /// The verdict in one word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Right => "right",
            Self::Wrong => "wrong",
            Self::CannotTell => "cannot-tell",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// The root of the tensor that a source of the plan is; none where the roots have none.
pub fn source_root(job: &Job, roots: &StepRoots, source: Source) -> Option<Digest> {
    match source {
        Source::State(place) => roots.before.get(place as usize).copied(),
        Source::Constant(place) => Some(job.plan().constants.get(place as usize)?.root),
        Source::Given(place) => roots.given.get(place as usize).copied(),
        Source::Output { run, output } => {
            let (_, program) = job.run(run as usize)?;
            let value = program.outputs().get(output as usize)?.value;
            roots.runs.get(run as usize)?.get(value.index()).copied()
        }
    }
}

/// The first input of a run, by its value, that is not what the plan binds it to. None where all
/// are, or where there is no such run.
pub fn misbound_input(job: &Job, roots: &StepRoots, run: usize) -> Option<usize> {
    let (bound, _) = job.run(run)?;
    let values = roots.runs.get(run)?;
    let mut pairs = bound.inputs.iter().zip(values);
    pairs.position(|(source, root)| source_root(job, roots, *source) != Some(*root))
}

/// The first tensor of the next state, by its place, that is not what the plan binds it to.
pub fn misbound_next(job: &Job, roots: &StepRoots) -> Option<usize> {
    let mut pairs = job.plan().next.iter().zip(&roots.after);
    pairs.position(|(source, root)| source_root(job, roots, *source) != Some(*root))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Fault, Kept, job};

    const STEP: u64 = 2;

    #[test]
    fn roots_show_what_is_not_bound_as_the_plan_says() {
        let honest = Kept::honest(1).roots(STEP);
        assert!((0..4).all(|run| misbound_input(job(), &honest, run).is_none()));
        assert_eq!(misbound_next(job(), &honest), None);
        // Input 1 of run 3 is the first output of run 2.
        let fault = Fault::Value {
            step: STEP,
            run: 3,
            value: 1,
            element: 2,
            bit: 9,
        };
        let roots = Kept::play(1, Some(fault)).roots(STEP);
        let found = (0..4).map(|run| misbound_input(job(), &roots, run));
        assert!(found.eq([None, None, None, Some(1)]));
        assert_eq!(misbound_next(job(), &roots), None);
        let fault = Fault::Next {
            step: STEP,
            slot: 2,
            element: 7,
            bit: 0,
        };
        let roots = Kept::play(1, Some(fault)).roots(STEP);
        assert_eq!(misbound_next(job(), &roots), Some(2));
    }
}
