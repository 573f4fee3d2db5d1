//! What can be claimed on a chain: a plan with what names it, be it of a whole training or of one
//! step of a pipeline's stage.

use std::sync::Arc;

use swarm_learn::job_run::JobIdentity;
use swarm_learn::training_plan::TrainingPlan;
use swarm_model::ModelFiles;

use super::spec::Job;

/// A plan, what names it, and what its checkpoints are saved with.
#[derive(Clone, Copy, Debug)]
pub struct Claimable<'a> {
    /// Plan, programs, constants and the state before the first step.
    pub training: &'a TrainingPlan,
    /// What names it.
    pub identity: &'a JobIdentity,
    /// The model's files.
    pub files: &'a Arc<ModelFiles>,
}

impl Job {
    /// What can be claimed of it.
    pub fn claimable(&self) -> Claimable<'_> {
        Claimable {
            training: &self.training,
            identity: &self.identity,
            files: &self.model.files,
        }
    }
}
