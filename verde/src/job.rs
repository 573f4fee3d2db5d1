//! What a job consists of, beside what a worker claims: its plan and programs, as everybody has
//! them.

use reproducible_ops::program::{Digest, Node, Program, TensorType, ValueId};

use crate::parts::Parts;
use crate::plan::{Plan, PlanError, Run};
use crate::state;
use thiserror::Error;

/// Why a plan with its programs is no job.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum JobError {
    /// The plan.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// What is given to a step is bound by no root that a contract knows.
    #[error(
        "the plan is given {0} tensors at every step; those of a job come from its state and constants"
    )]
    Given(usize),
    /// There is nothing to do, or to dispute.
    #[error("a plan without {0}")]
    Empty(&'static str),
}

/// A plan that was checked, with its programs and the trees over both.
#[derive(Clone, Debug)]
pub struct Job {
    plan: Plan,
    programs: Vec<Program>,
    digest: Digest,
    plan_parts: Parts,
    program_parts: Vec<Parts>,
}

impl Job {
    /// The job of a plan.
    ///
    /// # Errors
    /// [`JobError`].
    pub fn new(plan: Plan, programs: Vec<Program>) -> Result<Self, JobError> {
        plan.check(&programs)?;
        if !plan.given.is_empty() {
            return Err(JobError::Given(plan.given.len()));
        }
        if plan.runs.is_empty() {
            return Err(JobError::Empty("runs"));
        }
        if plan.state.is_empty() {
            return Err(JobError::Empty("a state"));
        }
        Ok(Self {
            digest: plan.digest(),
            plan_parts: Parts::of_plan(&plan),
            program_parts: programs.iter().map(Parts::of_program).collect(),
            plan,
            programs,
        })
    }

    /// The plan.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The programs, in the order of the plan.
    pub fn programs(&self) -> &[Program] {
        &self.programs
    }

    /// Digest of the plan: the job's name.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The parts of the plan.
    pub fn plan_parts(&self) -> &Parts {
        &self.plan_parts
    }

    /// The descriptors of a program, by its place in the plan.
    pub fn program_parts(&self) -> &[Parts] {
        &self.program_parts
    }

    /// A run of the plan, with its program; none where the plan has no such run.
    pub fn run(&self, run: usize) -> Option<(&Run, &Program)> {
        let run = self.plan.runs.get(run)?;
        Some((run, self.programs.get(run.program as usize)?))
    }

    /// A node of a run's program, by its value; none for an input, or where there is none.
    pub fn node(&self, run: usize, value: ValueId) -> Option<&Node> {
        self.run(run)?.1.node_of(value)
    }

    /// The type of a value of a run.
    pub fn type_of(&self, run: usize, value: ValueId) -> Option<&TensorType> {
        self.run(run)?.1.type_of(value)
    }

    /// The leaf of a tensor of the state, by its place; none where the state has no such place.
    #[expect(clippy::expect_used, reason = "a plan's names were checked")]
    pub fn state_leaf(&self, slot: usize, root: &Digest) -> Option<Digest> {
        let slot = self.plan.state.get(slot)?;
        let leaf = state::leaf(&slot.name, root);
        Some(leaf.expect("invariant: no name of a plan is longer than a state takes"))
    }
}
