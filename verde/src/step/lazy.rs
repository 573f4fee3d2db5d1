//! A step in the memory of one run: its values run by run, and its roots without its values.
//!
//! A dispute is about one run of a step. What that run reads of earlier runs is computed and kept,
//! their other values are not. Constants and the state are borrowed, and the roots of constants are
//! those of the plan.

use std::borrow::Cow;
use std::collections::BTreeMap;

use reproducible_ops::engine::reference::evaluate_operator;
use reproducible_ops::program::{Digest, Program, TypeError};
use reproducible_ops::tensor::Tensor;

use super::{Schedule, StepError, StepHeader, StepInputs, StepTree, named_root};
use crate::lifetimes::{Lifetimes, Place};
use crate::plan::Source;
use crate::run::RunTree;
use crate::tensor;

impl Schedule<'_> {
    /// The values of one run, by id: what [`Schedule::trace`] has for it. Of the other runs only
    /// those are made that it depends on.
    ///
    /// # Errors
    /// Tensors that are not those of the plan, or no such run.
    pub fn run_values<'t>(
        &self,
        inputs: StepInputs<'t>,
        run: usize,
    ) -> Result<Vec<Cow<'t, Tensor>>, StepError> {
        self.check_inputs(&inputs)?;
        self.require_run(run)?;
        let lifetimes = Lifetimes::of_run(self.plan, run);
        let mut replay = LazyReplay::new(self, inputs, &lifetimes);
        for earlier in (0..run).filter(|at| lifetimes.needs(*at)) {
            let values = replay.run(earlier)?;
            replay.keep(earlier, values);
        }
        replay.run(run)
    }

    /// The tree of a step, and the next state: what [`StepTree::new`] makes of [`Schedule::trace`],
    /// in the memory of one run.
    ///
    /// # Errors
    /// Tensors that are not those of the plan.
    pub fn step_tree(&self, inputs: StepInputs<'_>) -> Result<(StepTree, Vec<Tensor>), StepError> {
        self.check_inputs(&inputs)?;
        let lifetimes = Lifetimes::of_step(self.plan);
        let mut replay = LazyReplay::new(self, inputs, &lifetimes);
        let mut roots = Roots::new(self, inputs);
        for run in 0..self.plan.runs.len() {
            let values = replay.run(run)?;
            roots.add(run, &values)?;
            replay.keep(run, values);
        }
        let next = self.plan.next.iter();
        let next = next.map(|source| replay.read(*source).into_owned());
        let next: Vec<Tensor> = next.collect();
        let tree = StepTree {
            header: StepHeader {
                plan: self.digest,
                state: self.state_root(inputs.state)?,
                given: named_root(&self.plan.given, inputs.given, "what is given")?,
                next: self.state_root(&next)?,
            },
            runs: roots.runs,
        };
        Ok((tree, next))
    }

    /// The program of a run.
    fn program_of(&self, run: usize) -> &Program {
        &self.programs[self.plan.runs[run].program as usize]
    }

    pub(crate) fn require_run(&self, run: usize) -> Result<(), StepError> {
        let runs = self.plan.runs.len();
        match run < runs {
            true => Ok(()),
            false => Err(StepError::NoSuchRun { run, runs }),
        }
    }
}

/// Every value of a run of a program from its inputs.
pub(crate) fn values_of<'t>(
    program: &Program,
    inputs: Vec<Cow<'t, Tensor>>,
) -> Result<Vec<Cow<'t, Tensor>>, TypeError> {
    let mut values = inputs;
    for node in program.nodes() {
        let operands = node.inputs.iter().map(|id| values[id.index()].as_ref());
        let operands: Vec<&Tensor> = operands.collect();
        values.push(Cow::Owned(evaluate_operator(&node.operator, &operands)?));
    }
    Ok(values)
}

/// Runs of a step, one after another.
struct LazyReplay<'s, 't> {
    schedule: &'s Schedule<'s>,
    inputs: StepInputs<'t>,
    lifetimes: &'s Lifetimes,
    outputs: BTreeMap<Place, Tensor>,
}

impl<'s, 't> LazyReplay<'s, 't> {
    fn new(schedule: &'s Schedule<'_>, inputs: StepInputs<'t>, lifetimes: &'s Lifetimes) -> Self {
        Self {
            schedule,
            inputs,
            lifetimes,
            outputs: BTreeMap::new(),
        }
    }

    /// The values of a run. What nothing reads later is kept no longer.
    fn run(&mut self, run: usize) -> Result<Vec<Cow<'t, Tensor>>, StepError> {
        let sources = &self.schedule.plan.runs[run].inputs;
        let inputs = sources.iter().map(|source| self.read(*source)).collect();
        for place in self.lifetimes.released(run) {
            self.outputs.remove(place);
        }
        Ok(values_of(self.schedule.program_of(run), inputs)?)
    }

    /// Keeps those outputs of a run that something reads.
    fn keep(&mut self, run: usize, values: Vec<Cow<'t, Tensor>>) {
        let program = self.schedule.program_of(run);
        for output in self.lifetimes.kept(run) {
            let value = program.outputs()[output as usize].value;
            // Two outputs may be one value.
            let tensor = values[value.index()].clone().into_owned();
            self.outputs.insert((run as u32, output), tensor);
        }
    }

    fn read(&self, source: Source) -> Cow<'t, Tensor> {
        match source {
            Source::State(place) => Cow::Borrowed(&self.inputs.state[place as usize]),
            Source::Constant(place) => Cow::Borrowed(&self.inputs.constants[place as usize]),
            Source::Given(place) => Cow::Borrowed(&self.inputs.given[place as usize]),
            Source::Output { run, output } => Cow::Owned(self.outputs[&(run, output)].clone()),
        }
    }
}

/// The trees of runs, each tensor hashed once.
struct Roots<'s> {
    schedule: &'s Schedule<'s>,
    state: Vec<Digest>,
    given: Vec<Digest>,
    runs: Vec<RunTree>,
}

impl<'s> Roots<'s> {
    fn new(schedule: &'s Schedule<'_>, inputs: StepInputs<'_>) -> Self {
        Self {
            schedule,
            state: inputs.state.iter().map(tensor::root).collect(),
            given: inputs.given.iter().map(tensor::root).collect(),
            runs: Vec::new(),
        }
    }

    fn add(&mut self, run: usize, values: &[Cow<'_, Tensor>]) -> Result<(), StepError> {
        let sources = &self.schedule.plan.runs[run].inputs;
        let mut roots: Vec<Digest> = sources.iter().map(|source| self.of(*source)).collect();
        let computed = values.iter().skip(sources.len());
        roots.extend(computed.map(|value| tensor::root(value)));
        let program = self.schedule.program_of(run);
        self.runs.push(RunTree::from_roots(program, roots)?);
        Ok(())
    }

    fn of(&self, source: Source) -> Digest {
        match source {
            Source::State(place) => self.state[place as usize],
            Source::Constant(place) => self.schedule.plan.constants[place as usize].root,
            Source::Given(place) => self.given[place as usize],
            Source::Output { run, output } => {
                let program = self.schedule.program_of(run as usize);
                let value = program.outputs()[output as usize].value;
                self.runs[run as usize].values()[value.index()]
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::toy;

    #[test]
    fn one_run_alone_has_the_values_of_the_trace() {
        let (plan, programs) = toy::plan();
        let schedule = Schedule::new(&plan, &programs).unwrap();
        let (state, constants) = (toy::state(), toy::constants());
        let given = toy::given(1);
        let inputs = StepInputs {
            state: &state,
            constants: &constants,
            given: &given,
        };
        let trace = schedule.trace(inputs).unwrap();
        for (run, values) in trace.runs.iter().enumerate() {
            let alone = schedule.run_values(inputs, run).unwrap();
            let alone: Vec<Tensor> = alone.into_iter().map(Cow::into_owned).collect();
            assert_eq!(alone, *values, "run {run}");
        }
        let missing = schedule.run_values(inputs, 3);
        assert_eq!(missing, Err(StepError::NoSuchRun { run: 3, runs: 3 }));
    }

    #[test]
    fn a_lazy_tree_is_that_of_the_trace() {
        let (plan, programs) = toy::plan();
        let schedule = Schedule::new(&plan, &programs).unwrap();
        let (mut state, constants) = (toy::state(), toy::constants());
        for step in 0..toy::STEPS {
            let given = toy::given(step);
            let inputs = StepInputs {
                state: &state,
                constants: &constants,
                given: &given,
            };
            let trace = schedule.trace(inputs).unwrap();
            let (tree, next) = schedule.step_tree(inputs).unwrap();
            assert_eq!(next, trace.next);
            assert_eq!(tree, StepTree::new(&schedule, inputs, &trace).unwrap());
            state = next;
        }
    }
}
