//! How long an execution of a plan needs the outputs of its runs.
//!
//! Outputs are gradients and activations: whoever kept all of a step would need a multiple of the
//! memory. An output is kept from its run to the last run that reads it.

use std::collections::BTreeMap;

use crate::plan::{Plan, Source};

/// An output of a run: the run, and the output's place in its program.
pub(crate) type Place = (u32, u32);

/// A reader after the last run.
const END: usize = usize::MAX;

/// Which runs are needed, and which of their outputs until when.
#[derive(Clone, Debug)]
pub(crate) struct Lifetimes {
    /// The run that reads an output last, or [`END`].
    last: BTreeMap<Place, usize>,
    needed: Vec<bool>,
    released: Vec<Vec<Place>>,
}

impl Lifetimes {
    /// For a whole step: every run, and the next state at its end.
    pub fn of_step(plan: &Plan) -> Self {
        let ends = plan.next.iter().copied().filter_map(place);
        Self::new(plan, vec![true; plan.runs.len()], ends)
    }

    /// For one run alone: the runs before it that it depends on, and itself.
    pub fn of_run(plan: &Plan, run: usize) -> Self {
        let mut needed = vec![false; plan.runs.len()];
        needed[run] = true;
        for at in (0..=run).rev() {
            if !needed[at] {
                continue;
            }
            for (earlier, _) in plan.runs[at].inputs.iter().copied().filter_map(place) {
                needed[earlier as usize] = true;
            }
        }
        Self::new(plan, needed, std::iter::empty())
    }

    fn new(plan: &Plan, needed: Vec<bool>, ends: impl Iterator<Item = Place>) -> Self {
        let mut last = BTreeMap::new();
        for (at, run) in plan.runs.iter().enumerate().filter(|(at, _)| needed[*at]) {
            let read = run.inputs.iter().copied().filter_map(place);
            last.extend(read.map(|place| (place, at)));
        }
        last.extend(ends.map(|place| (place, END)));
        let mut released = vec![Vec::new(); plan.runs.len()];
        for (place, at) in last.iter().filter(|(_, at)| **at != END) {
            released[*at].push(*place);
        }
        Self {
            last,
            needed,
            released,
        }
    }

    /// Whether a run is made at all.
    pub fn needs(&self, run: usize) -> bool {
        self.needed[run]
    }

    /// Outputs of a run that something reads, in their order.
    pub fn kept(&self, run: usize) -> impl Iterator<Item = u32> {
        // A plan's limits keep the number far below what 4 bytes hold.
        let run = run as u32;
        let places = self.last.range((run, 0)..=(run, u32::MAX));
        places.map(|((_, output), _)| *output)
    }

    /// Outputs of earlier runs that nothing reads once this run has its inputs.
    pub fn released(&self, run: usize) -> &[Place] {
        &self.released[run]
    }
}

fn place(source: Source) -> Option<Place> {
    match source {
        Source::Output { run, output } => Some((run, output)),
        Source::State(_) | Source::Constant(_) | Source::Given(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::toy;

    #[test]
    fn outputs_live_from_their_run_to_their_last_reader() {
        let (plan, _) = toy::plan();
        let step = Lifetimes::of_step(&plan);
        let kept = |run| step.kept(run).collect::<Vec<_>>();
        assert_eq!([kept(0), kept(1), kept(2)], [[0, 1], [0, 1], [0, 1]]);
        // The counter after the second accumulation is part of the next state.
        assert_eq!(step.released(0), []);
        assert_eq!(step.released(1), [(0, 0), (0, 1)]);
        assert_eq!(step.released(2), [(1, 0)]);
    }

    #[test]
    fn a_run_needs_what_it_depends_on_alone() {
        let (mut plan, _) = toy::plan();
        plan.runs[2].inputs[0] = Source::Output { run: 0, output: 0 };
        let last = Lifetimes::of_run(&plan, 2);
        assert_eq!([0, 1, 2].map(|run| last.needs(run)), [true, false, true]);
        assert_eq!(last.kept(0).collect::<Vec<_>>(), [0]);
        assert_eq!(last.released(2), [(0, 0)]);
    }
}
