//! What is asked of a plan, and what makes it impossible.

use serde::{Deserialize, Serialize};

use crate::path::{Peer, Stage};
use crate::sim::{MAX_TASKS, SimError};
use crate::topology::{MAX_STAGES, Topology, TopologyError};

/// What is asked of a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// Stages of the model.
    pub stages: u16,
    /// Stages that every path visits, stage 0 among them. As many as there are: nothing is skipped.
    pub visits: u16,
    /// How far a path goes ahead at most: 1 is the next stage. The head counts as the stage after
    /// the last.
    #[serde(default = "default_jump")]
    pub max_jump: u16,
    /// Microbatches of a step at every peer of stage 0.
    pub microbatches: u32,
    /// Bytes of a hop.
    pub bytes: u64,
    /// Seed of everything random.
    #[serde(default)]
    pub seed: u64,
    /// How many plans to simulate; by default what takes well below a second for 20 peers, and half
    /// a minute for 1,000.
    #[serde(default)]
    pub evaluations: Option<u32>,
}

fn default_jump() -> u16 {
    4
}

/// Why there is no plan.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// The network.
    #[error(transparent)]
    Topology(#[from] TopologyError),
    /// The simulation.
    #[error(transparent)]
    Simulation(#[from] SimError),
    /// No stages, or more than [`MAX_STAGES`].
    #[error("{0} stages; a model has 1 to {MAX_STAGES}")]
    Stages(u16),
    /// Fewer than one stage, or more than there are.
    #[error("paths of {visits} stages in a model of {stages}; visit 1 to {stages}")]
    Visits {
        /// Asked for.
        visits: u16,
        /// There are.
        stages: u16,
    },
    /// Paths that must jump farther than they may.
    #[error(
        "paths of {visits} among {stages} stages must jump {needed} ahead, and may {max_jump}; \
         visit more stages, or allow longer jumps"
    )]
    Jump {
        /// Stages of a path.
        visits: u16,
        /// Stages of the model.
        stages: u16,
        /// The longest jump of the most even paths.
        needed: u16,
        /// The longest that is allowed.
        max_jump: u16,
    },
    /// A peer of a stage that the model does not have.
    #[error("{peer} serves {stage}; the model has {stages} stages")]
    Outside {
        /// Who.
        peer: Peer,
        /// Its stage.
        stage: Stage,
        /// Stages of the model.
        stages: u16,
    },
    /// A stage that nobody serves, and nobody is left to serve.
    #[error("nobody serves {stage}, and no peer without a stage is left; give a peer this stage")]
    Nobody {
        /// Which.
        stage: Stage,
    },
    /// No microbatches, or more than can be simulated.
    #[error("{microbatches} microbatches at each of {sources} peers of stage 0; plan 1 to {most}")]
    Microbatches {
        /// Asked for.
        microbatches: u32,
        /// Peers of stage 0.
        sources: usize,
        /// The most at each.
        most: usize,
    },
}

impl Request {
    /// Refuses what no topology can give.
    ///
    /// # Errors
    /// Numbers of stages, visits or jumps that do not fit each other.
    pub(super) fn check(&self) -> Result<(), PlanError> {
        let &Self {
            stages,
            visits,
            max_jump,
            ..
        } = self;
        if stages == 0 || stages > MAX_STAGES {
            return Err(PlanError::Stages(stages));
        }
        if visits == 0 || visits > stages {
            return Err(PlanError::Visits { visits, stages });
        }
        let needed = super::stages::longest_jump(stages, visits);
        if needed > max_jump {
            return Err(PlanError::Jump {
                visits,
                stages,
                needed,
                max_jump,
            });
        }
        Ok(())
    }

    /// Refuses stages of peers that the model does not have.
    pub(super) fn check_stages(&self, topology: &Topology) -> Result<(), PlanError> {
        for (node, stage) in topology.nodes().iter().map(|node| node.stage).enumerate() {
            if let Some(stage) = stage.filter(|stage| stage.0 >= self.stages) {
                return Err(PlanError::Outside {
                    peer: Peer(node as u32),
                    stage,
                    stages: self.stages,
                });
            }
        }
        Ok(())
    }

    /// Refuses a number of microbatches that cannot be simulated.
    pub(super) fn check_microbatches(&self, sources: usize) -> Result<(), PlanError> {
        let most = MAX_TASKS / self.tasks_of_a_path() / sources.max(1);
        let microbatches = self.microbatches;
        match (1..=most).contains(&(microbatches as usize)) {
            true => Ok(()),
            false => Err(PlanError::Microbatches {
                microbatches,
                sources,
                most,
            }),
        }
    }

    /// How many plans to simulate for so many microbatches.
    pub(super) fn budget(&self, microbatches: usize) -> u32 {
        /// Tasks to simulate in all: a quarter of a second's worth on one core …
        const TASKS: usize = 3_000_000;
        /// … and no fewer plans than this.
        const LEAST: usize = 2_000;
        let tasks = self.tasks_of_a_path() * microbatches.max(1);
        self.evaluations
            .unwrap_or((TASKS / tasks).clamp(LEAST, 20_000) as u32)
    }

    fn tasks_of_a_path(&self) -> usize {
        2 * usize::from(self.visits) + 1
    }
}
