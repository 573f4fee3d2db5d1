//! What can be claimed on a chain: a plan with what names it, be it of a whole job or of one step of
//! a pipeline's stage.

use std::sync::Arc;

use swarm_learn::job_plan::JobPlan;
use swarm_learn::job_run::JobIdentity;
use swarm_model::ModelFiles;

use super::assembled::{Job, Work};

/// A plan, what names it, and what is written beside its run.
#[derive(Clone, Copy, Debug)]
pub struct Claimable<'a> {
    /// Plan, programs, constants and the state before the first step.
    pub plan: &'a JobPlan,
    /// What names it.
    pub identity: &'a JobIdentity,
    /// The files of the model that it trains, which its checkpoints are saved with.
    pub files: Option<&'a Arc<ModelFiles>>,
    /// The job whose answers are written as text, where it generates.
    pub answers: Option<&'a Job>,
}

impl Job {
    /// What can be claimed of it.
    pub fn claimable(&self) -> Claimable<'_> {
        let (files, answers) = match self.work {
            Work::Training(_) => (Some(&self.model.files), None),
            Work::Generation(_) => (None, Some(self)),
        };
        Claimable {
            plan: self.plan(),
            identity: &self.identity,
            files,
            answers,
        }
    }
}
