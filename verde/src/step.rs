//! The commitment to one step of a job: what its plan made of a state.
//!
//! ```text
//! state root ─┐                                    ┌─ next state root
//! given root ─┼── plan ── run root, run root, … ───┤
//! root = H(0x06 ‖ digest of the plan ‖ state root ‖ given root ‖ next state root
//!               ‖ number of runs, 4 bytes little-endian ‖ top of the tree over the run roots)
//! ```
//! A step root binds the states on both sides, so a chain of them binds a whole history, and any
//! single false transition refutes it. [`StepTree::first_difference`] is where a dispute ends up:
//! the first value, in the order of the plan, in which two workers differ. If that is an input of a
//! run, one of them did not bind what the plan says; if it is a node's result, one of them did not
//! compute it, which [`crate::run::check_node`] decides.

mod lazy;

use reproducible_ops::engine::reference::evaluate_operator;
use reproducible_ops::program::{Digest, Program, TypeError, ValueId, merkle_root, tagged_hash};
use reproducible_ops::tensor::Tensor;
use thiserror::Error;

use crate::plan::{Plan, PlanError, Slot, Source};
use crate::run::{RunError, RunTree};
use crate::state::{StateError, StateTree};
use crate::tensor;

const STEP: u8 = 6;

/// Why a step is not executed or committed to.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum StepError {
    /// The plan.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// Tensors are missing, or of other types than the plan says.
    #[error("{0}: not the tensors that the plan names")]
    Tensors(&'static str),
    /// A constant is another one.
    #[error("constant {0} is not the one that the plan names")]
    Constant(usize),
    /// The plan has fewer runs.
    #[error("run {run} of a plan of {runs}")]
    NoSuchRun {
        /// The run asked for.
        run: usize,
        /// Runs of the plan.
        runs: usize,
    },
    /// A node of a program that is none.
    #[error(transparent)]
    Node(#[from] TypeError),
    /// A run.
    #[error(transparent)]
    Run(#[from] RunError),
    /// A state.
    #[error(transparent)]
    State(#[from] StateError),
}

/// What a step starts from, in the order of the plan.
#[derive(Clone, Copy, Debug)]
pub struct StepInputs<'a> {
    /// The state.
    pub state: &'a [Tensor],
    /// The job's constants.
    pub constants: &'a [Tensor],
    /// What is given to this step.
    pub given: &'a [Tensor],
}

/// Everything that a step computed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepTrace {
    /// Values of each run, by id.
    pub runs: Vec<Vec<Tensor>>,
    /// The next state.
    pub next: Vec<Tensor>,
}

/// A plan that was checked, with its programs.
#[derive(Clone, Copy, Debug)]
pub struct Schedule<'a> {
    plan: &'a Plan,
    programs: &'a [Program],
    digest: Digest,
}

impl<'a> Schedule<'a> {
    /// Checks a plan once, for many steps.
    ///
    /// # Errors
    /// [`PlanError`].
    pub fn new(plan: &'a Plan, programs: &'a [Program]) -> Result<Self, PlanError> {
        plan.check(programs)?;
        Ok(Self {
            plan,
            programs,
            digest: plan.digest(),
        })
    }

    /// The plan.
    pub fn plan(&self) -> &'a Plan {
        self.plan
    }

    /// The programs, in the order of the plan.
    pub fn programs(&self) -> &'a [Program] {
        self.programs
    }

    /// Checks the constants, which do not change, against their roots.
    ///
    /// # Errors
    /// One is another, or missing.
    pub fn check_constants(&self, constants: &[Tensor]) -> Result<(), StepError> {
        let named = &self.plan.constants;
        if constants.len() != named.len() {
            return Err(StepError::Tensors("constants"));
        }
        let mut pairs = named.iter().zip(constants);
        match pairs.position(|(named, given)| named.root != tensor::root(given)) {
            Some(at) => Err(StepError::Constant(at)),
            None => Ok(()),
        }
    }

    /// Computes a step by the reference engine, with every value kept. The constants must have been
    /// checked before.
    ///
    /// # Errors
    /// Tensors that are not those of the plan.
    pub fn trace(&self, inputs: StepInputs<'_>) -> Result<StepTrace, StepError> {
        self.trace_with(inputs, |_, _, _| {})
    }

    /// The same, by a worker that may change each value once it is there.
    pub(crate) fn trace_with(
        &self,
        inputs: StepInputs<'_>,
        mut change: impl FnMut(usize, ValueId, &mut Tensor),
    ) -> Result<StepTrace, StepError> {
        self.check_inputs(&inputs)?;
        let mut runs: Vec<Vec<Tensor>> = Vec::with_capacity(self.plan.runs.len());
        for (number, run) in self.plan.runs.iter().enumerate() {
            let program = &self.programs[run.program as usize];
            let mut values: Vec<Tensor> = Vec::with_capacity(program.value_count());
            let mut keep = |values: &mut Vec<Tensor>, mut value: Tensor| {
                change(number, ValueId(values.len() as u32), &mut value);
                values.push(value);
            };
            for source in &run.inputs {
                keep(&mut values, self.read(&inputs, &runs, *source).clone());
            }
            for node in program.nodes() {
                let operands = node.inputs.iter().map(|id| &values[id.index()]);
                let operands: Vec<&Tensor> = operands.collect();
                let value = evaluate_operator(&node.operator, &operands)?;
                keep(&mut values, value);
            }
            runs.push(values);
        }
        let next = self.plan.next.iter();
        let next = next.map(|source| self.read(&inputs, &runs, *source).clone());
        Ok(StepTrace {
            next: next.collect(),
            runs,
        })
    }

    fn check_inputs(&self, inputs: &StepInputs<'_>) -> Result<(), StepError> {
        let plan = self.plan;
        let constants = plan.constants.iter().map(|constant| &constant.slot);
        let all = [
            ("the state", fit(plan.state.iter(), inputs.state)),
            ("constants", fit(constants, inputs.constants)),
            ("what is given", fit(plan.given.iter(), inputs.given)),
        ];
        match all.into_iter().find(|(_, fits)| !fits) {
            Some((what, _)) => Err(StepError::Tensors(what)),
            None => Ok(()),
        }
    }

    /// The tensor of a source, which the checked plan and inputs have.
    fn read<'t>(
        &self,
        inputs: &StepInputs<'t>,
        runs: &'t [Vec<Tensor>],
        source: Source,
    ) -> &'t Tensor {
        match source {
            Source::State(place) => &inputs.state[place as usize],
            Source::Constant(place) => &inputs.constants[place as usize],
            Source::Given(place) => &inputs.given[place as usize],
            Source::Output { run, output } => {
                let program = &self.programs[self.plan.runs[run as usize].program as usize];
                let value = program.outputs()[output as usize].value;
                &runs[run as usize][value.index()]
            }
        }
    }

    /// The root of a state: of these tensors, in the order of the plan.
    ///
    /// # Errors
    /// They are not as many as the plan has.
    pub fn state_root(&self, state: &[Tensor]) -> Result<Digest, StepError> {
        named_root(&self.plan.state, state, "the state")
    }
}

/// True if the tensors are those of the slots, by number and type.
pub(crate) fn fit<'a>(slots: impl Iterator<Item = &'a Slot>, tensors: &[Tensor]) -> bool {
    slots
        .map(|slot| &slot.ty)
        .eq(tensors.iter().map(Tensor::ty))
}

fn named_root(slots: &[Slot], tensors: &[Tensor], what: &'static str) -> Result<Digest, StepError> {
    if slots.len() != tensors.len() {
        return Err(StepError::Tensors(what));
    }
    let roots: Vec<Digest> = tensors.iter().map(tensor::root).collect();
    root_of(slots, &roots, what)
}

/// The root of tensors with these roots, in the order of the slots.
fn root_of(slots: &[Slot], roots: &[Digest], what: &'static str) -> Result<Digest, StepError> {
    if slots.len() != roots.len() {
        return Err(StepError::Tensors(what));
    }
    let named = slots.iter().zip(roots);
    let named = named.map(|(slot, root)| (slot.name.as_str(), *root));
    Ok(StateTree::new(named)?.root())
}

/// What the root of a step binds beside its runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StepHeader {
    /// Digest of the plan.
    pub plan: Digest,
    /// Root of the state before.
    pub state: Digest,
    /// Root of what is given.
    pub given: Digest,
    /// Root of the state after.
    pub next: Digest,
}

impl StepHeader {
    /// What the root of a step binds beside its runs, by the roots that somebody says the step has.
    ///
    /// # Errors
    /// There are more or fewer roots than the plan and its programs have.
    pub fn from_roots(schedule: &Schedule<'_>, roots: &StepRoots) -> Result<Self, StepError> {
        let plan = schedule.plan;
        if roots.runs.len() != plan.runs.len() {
            return Err(StepError::Tensors("the runs"));
        }
        for (run, values) in plan.runs.iter().zip(&roots.runs) {
            let program = &schedule.programs[run.program as usize];
            let (given, expected) = (values.len(), program.value_count());
            if given != expected {
                return Err(RunError::Values { given, expected }.into());
            }
        }
        Ok(Self {
            plan: schedule.digest,
            state: root_of(&plan.state, &roots.before, "the state")?,
            given: root_of(&plan.given, &roots.given, "what is given")?,
            next: root_of(&plan.state, &roots.after, "the next state")?,
        })
    }

    /// The root of a step of so many runs, whose roots have a tree with this top.
    pub fn bind(&self, runs: usize, top: &Digest) -> Digest {
        // A plan's limits keep the number far below what 4 bytes hold.
        let runs = (runs as u32).to_le_bytes();
        let parts: [&[u8]; 6] = [&self.plan, &self.state, &self.given, &self.next, &runs, top];
        tagged_hash(STEP, &parts)
    }
}

/// The tree of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepTree {
    header: StepHeader,
    runs: Vec<RunTree>,
}

/// The roots of everything that a step computed, in the order of the plan: what a worker asserts
/// about a step that is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StepRoots {
    /// Of the tensors of the state before.
    pub before: Vec<Digest>,
    /// Of the tensors given.
    pub given: Vec<Digest>,
    /// Of the tensors of the state after.
    pub after: Vec<Digest>,
    /// Of the values of each run, by id.
    pub runs: Vec<Vec<Digest>>,
}

/// Where two workers first differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Difference {
    /// They began with different plans, states, or tensors that were given.
    Before,
    /// In a value of a run.
    Value {
        /// The run.
        run: usize,
        /// The value.
        id: ValueId,
    },
    /// All values are the same, and what they call the next state is not.
    Next,
}

impl StepTree {
    /// The tree over what a step computed.
    ///
    /// # Errors
    /// The trace is not one of the plan.
    pub fn new(
        schedule: &Schedule<'_>,
        inputs: StepInputs<'_>,
        trace: &StepTrace,
    ) -> Result<Self, StepError> {
        let plan = schedule.plan;
        if trace.runs.len() != plan.runs.len() {
            return Err(StepError::Tensors("the runs"));
        }
        let runs =
            plan.runs.iter().zip(&trace.runs).map(|(run, values)| {
                RunTree::new(&schedule.programs[run.program as usize], values)
            });
        Ok(Self {
            header: StepHeader {
                plan: schedule.digest,
                state: schedule.state_root(inputs.state)?,
                given: named_root(&plan.given, inputs.given, "what is given")?,
                next: schedule.state_root(&trace.next)?,
            },
            runs: runs.collect::<Result<_, _>>()?,
        })
    }

    /// The tree over what somebody says that a step computed.
    ///
    /// # Errors
    /// There are more or fewer roots than the plan and its programs have.
    pub fn from_roots(schedule: &Schedule<'_>, roots: &StepRoots) -> Result<Self, StepError> {
        let header = StepHeader::from_roots(schedule, roots)?;
        let runs = schedule.plan.runs.iter().zip(&roots.runs);
        let runs = runs.map(|(run, values)| {
            let program = &schedule.programs[run.program as usize];
            RunTree::from_roots(program, values.clone())
        });
        Ok(Self {
            header,
            runs: runs.collect::<Result<_, _>>()?,
        })
    }

    /// What names the step.
    pub fn root(&self) -> Digest {
        let top = merkle_root(self.runs.iter().map(RunTree::root));
        self.header.bind(self.runs.len(), &top)
    }

    /// What the root binds beside the runs.
    pub fn header(&self) -> &StepHeader {
        &self.header
    }

    /// The root of the state after the step.
    pub fn next_state(&self) -> &Digest {
        &self.header.next
    }

    /// The runs.
    pub fn runs(&self) -> &[RunTree] {
        &self.runs
    }

    /// Where another worker's step first differs; none where it is the same.
    pub fn first_difference(&self, other: &Self) -> Option<Difference> {
        let before = |tree: &Self| (tree.header.plan, tree.header.state, tree.header.given);
        if before(self) != before(other) {
            return Some(Difference::Before);
        }
        let runs = self.runs.iter().zip(&other.runs).enumerate();
        let mut values = runs.filter_map(|(run, (mine, theirs))| {
            let id = mine.first_difference(theirs)?;
            Some(Difference::Value { run, id })
        });
        let next = (self.header.next != other.header.next).then_some(Difference::Next);
        values.next().or(next)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::run::{NodeVerdict, check_node};
    use crate::toy;

    /// Plays steps of the toy job; the worker may change a value of one step.
    fn play(
        steps: usize,
        mut change: impl FnMut(usize, usize, ValueId, &mut Tensor),
    ) -> Vec<(StepTree, StepTrace)> {
        let (plan, programs) = toy::plan();
        let schedule = Schedule::new(&plan, &programs).unwrap();
        let constants = toy::constants();
        schedule.check_constants(&constants).unwrap();
        let mut state = toy::state();
        let mut played = Vec::new();
        for step in 0..steps {
            let given = toy::given(step);
            let inputs = StepInputs {
                state: &state,
                constants: &constants,
                given: &given,
            };
            let trace = schedule
                .trace_with(inputs, |run, id, value| change(step, run, id, value))
                .unwrap();
            let tree = StepTree::new(&schedule, inputs, &trace).unwrap();
            state = trace.next.clone();
            played.push((tree, trace));
        }
        played
    }

    fn honest() -> Vec<(StepTree, StepTrace)> {
        play(toy::STEPS, |_, _, _, _| {})
    }

    #[test]
    fn a_plan_trains_as_the_arithmetic_says() {
        let steps = honest();
        let data = toy::constants()[0].as_f32().unwrap().to_vec();
        let mut weight = vec![1.0_f32, -1.0, 0.25];
        for (step, (_, trace)) in steps.iter().enumerate() {
            let rate = 0.5 / (step + 1) as f32;
            for (place, weight) in weight.iter_mut().enumerate() {
                let scale = 1.0 + step as f32;
                let example = |number: usize| data[number * 3 + place] * scale;
                let gradient = (0.0 + example(2 * step)) + example(2 * step + 1);
                *weight -= rate * gradient;
            }
            assert_eq!(trace.next[2].as_f32().unwrap(), weight);
            assert_eq!(trace.next[0].as_i32().unwrap(), [2 * (step as i32 + 1)]);
            assert_eq!(trace.next[1].as_i32().unwrap(), [step as i32 + 1]);
        }
    }

    #[test]
    fn a_step_begins_where_the_one_before_it_ended() {
        let steps = honest();
        for pair in steps.windows(2) {
            assert_eq!(pair[0].0.header.next, pair[1].0.header.state);
        }
        assert_eq!(steps, honest());
    }

    /// Whatever a step begins from is in its root.
    #[test]
    fn state_given_plan_and_constants_are_bound() {
        let (plan, programs) = toy::plan();
        let root = |plan: &Plan, state: &[Tensor], given: &[Tensor], constants: &[Tensor]| {
            let schedule = Schedule::new(plan, &programs).unwrap();
            let inputs = StepInputs {
                state,
                constants,
                given,
            };
            let trace = schedule.trace(inputs).unwrap();
            StepTree::new(&schedule, inputs, &trace).unwrap().root()
        };
        let (state, given, constants) = (toy::state(), toy::given(0), toy::constants());
        let known = root(&plan, &state, &given, &constants);
        for tensor in 0..state.len() {
            let mut other = state.clone();
            other[tensor].words_mut()[0] ^= 1;
            assert_ne!(
                root(&plan, &other, &given, &constants),
                known,
                "state {tensor}"
            );
        }
        assert_ne!(root(&plan, &state, &toy::given(1), &constants), known);
        let mut renamed = plan.clone();
        renamed.given[0].name.push('x');
        assert_ne!(root(&renamed, &state, &given, &constants), known);
        let mut others = constants.clone();
        others[0].words_mut()[17] ^= 1;
        let schedule = Schedule::new(&plan, &programs).unwrap();
        assert_eq!(
            schedule.check_constants(&others),
            Err(StepError::Constant(0))
        );
        assert!(schedule.check_constants(&others[1..]).is_err());
        let inputs = StepInputs {
            state: &state[1..],
            constants: &constants,
            given: &given,
        };
        assert_eq!(schedule.trace(inputs), Err(StepError::Tensors("the state")));
    }

    proptest! {
        /// A worker that changes one bit of one value, and goes on from it honestly, is found at
        /// that value: as a wrong input, or as a wrong element of a node.
        #[test]
        fn a_cheat_is_found_at_the_value_that_it_changed(
            step in 0..toy::STEPS,
            run in 0_usize..3,
            value in any::<prop::sample::Index>(),
            element in any::<prop::sample::Index>(),
            // Of a number, not of its sign or exponent: it stays a counter, and finite.
            bit in 0_u32..3,
        ) {
            let (plan, programs) = toy::plan();
            let program = &programs[plan.runs[run].program as usize];
            let target = ValueId(value.index(program.value_count()) as u32);
            let truth = honest();
            let mut changed = None;
            let lie = play(toy::STEPS, |at, of, id, tensor| {
                if (at, of, id) == (step, run, target) {
                    let element = element.index(tensor.words().len());
                    tensor.words_mut()[element] ^= 1 << bit;
                    changed = Some(element);
                }
            });
            for before in 0..step {
                prop_assert_eq!(truth[before].0.first_difference(&lie[before].0), None);
            }
            let found = truth[step].0.first_difference(&lie[step].0);
            prop_assert_eq!(found, Some(Difference::Value { run, id: target }));
            prop_assert_ne!(truth[step].0.root(), lie[step].0.root());
            let values = &lie[step].1.runs[run];
            let Some(node) = program.node_of(target) else {
                return Ok(());
            };
            let operands: Vec<&Tensor> = node.inputs.iter().map(|id| &values[id.index()]).collect();
            let verdict = check_node(program, target, &operands, &values[target.index()]);
            let is_there = matches!(
                verdict,
                NodeVerdict::Wrong { element, .. } if Some(element) == changed
            );
            prop_assert!(is_there, "{:?}", verdict);
        }
    }
}
