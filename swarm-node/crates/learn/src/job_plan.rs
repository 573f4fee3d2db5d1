//! A job's plan with all that it needs to begin, whatever kind of work it is.
//!
//! Whoever carries a job out, answers for it or checks it needs nothing else:
//! [`super::training_plan`] and [`super::generation_plan`] make plans, and
//! [`super::job_run`], [`super::job_record`] and [`super::job_audit`] take them.

use std::collections::BTreeSet;

use reproducible_ops::program::{Program, Role};
use reproducible_ops::tensor::Tensor;
use reproducible_ops::weights::Weights;
use verde::plan::{Plan, PlanError, Source};
use verde::step::Schedule;

use super::programs::TrainError;
use super::trainer::TrainState;
use super::wiring::Named;

/// Name of the counter of steps in the state of every job, i32 `[1]`.
pub const STEP: &str = "step";

/// A plan with all that it needs to begin.
#[derive(Clone, Debug, PartialEq)]
pub struct JobPlan {
    /// What a step is.
    pub plan: Plan,
    /// Its programs.
    pub programs: Vec<Program>,
    /// Its constants.
    pub constants: Vec<Tensor>,
    /// The state before the first step.
    pub state: Vec<Tensor>,
}

impl JobPlan {
    /// A plan with the tensors that it was wired to.
    ///
    /// # Errors
    /// The parts do not fit each other.
    pub(super) fn new(
        plan: Plan,
        programs: Vec<Program>,
        constants: Named,
        state: Named,
    ) -> Result<Self, PlanError> {
        let plan = Self {
            plan,
            programs,
            constants: constants.into_values().collect(),
            state: state.into_values().collect(),
        };
        plan.schedule()?;
        Ok(plan)
    }

    /// The plan checked against its programs.
    ///
    /// # Errors
    /// Somebody changed it.
    pub fn schedule(&self) -> Result<Schedule<'_>, PlanError> {
        Schedule::new(&self.plan, &self.programs)
    }

    /// The place of a tensor in the state; none where it has no such tensor.
    pub fn place_in_state(&self, name: &str) -> Option<usize> {
        self.plan.state.iter().position(|slot| slot.name == name)
    }

    /// A state as checkpoints have it: what programs read as parameters apart from the rest, by
    /// name. A job that trains nothing has no parameters in its state.
    ///
    /// # Panics
    /// The tensors are fewer than the state has.
    pub fn train_state(&self, step: u64, state: Vec<Tensor>) -> TrainState {
        assert_eq!(
            state.len(),
            self.plan.state.len(),
            "a state of another plan"
        );
        let trained = self.parameters();
        let (mut params, mut optimizer) = (Weights::default(), Weights::default());
        for (place, (slot, tensor)) in (0..).zip(self.plan.state.iter().zip(state)) {
            let part = match trained.contains(&place) {
                true => &mut params,
                false => &mut optimizer,
            };
            part.insert(&slot.name, tensor);
        }
        TrainState {
            step,
            params,
            optimizer,
        }
    }

    /// The tensors of a checkpoint's state, in the order of the plan.
    ///
    /// # Errors
    /// One is missing.
    pub fn tensors_of(&self, state: &TrainState) -> Result<Vec<Tensor>, TrainError> {
        let parts = [&state.params, &state.optimizer];
        let slots = self.plan.state.iter();
        slots
            .map(|slot| {
                let found = parts.iter().find_map(|part| part.get(&slot.name));
                found
                    .cloned()
                    .ok_or_else(|| TrainError::Missing(slot.name.clone()))
            })
            .collect()
    }

    /// Places in the state of what some program reads as a parameter.
    fn parameters(&self) -> BTreeSet<u32> {
        let mut places = BTreeSet::new();
        for run in &self.plan.runs {
            let inputs = self.programs[run.program as usize].inputs().iter();
            for (input, source) in inputs.zip(&run.inputs) {
                if let (Role::Param, Source::State(place)) = (input.role, source) {
                    places.insert(*place);
                }
            }
        }
        places
    }
}
