//! What all parts of a demo share: the plan, the model, where progress is shown.

use std::sync::Arc;

use reproducible_ops::weights::Weights;
use swarm_learn::judge::TaskJudge;
use swarm_learn::peer::{Peer, PeerConfig};
use swarm_round::sim::Spec;
use swarm_task::{FamilyId, Library};

use super::error::DemoError;
use super::measure::Measure;
use super::plan::DemoPlan;
use crate::config::EngineConfig;
use crate::job::{ModelFactory, Progress, Stop, engine};

/// What all parts of a demo share.
pub(super) struct DemoContext<'a> {
    pub(super) plan: DemoPlan<'a>,
    pub(super) factory: &'a ModelFactory,
    pub(super) measure: Measure,
    pub(super) engine: &'a EngineConfig,
    pub(super) threads: usize,
    pub(super) progress: &'a dyn Progress,
    pub(super) stop: &'a Stop,
}

impl DemoContext<'_> {
    /// Fails if somebody has asked for the end.
    pub(super) fn check_stop(&self) -> Result<(), DemoError> {
        match self.stop.signal() {
            Some(signal) => Err(DemoError::Stopped {
                signal,
                rewards: Box::default(),
            }),
            None => Ok(()),
        }
    }

    /// Judges questions of these families that may be trained on.
    pub(super) fn judge(&self, families: &[(FamilyId, u8)]) -> Arc<TaskJudge> {
        Arc::new(TaskJudge::new(Library::new(), families.to_vec()))
    }

    /// Peers for a specification, each with an engine of one thread.
    pub(super) fn peers(
        &self,
        spec: &Spec,
        judge: &Arc<TaskJudge>,
        config: PeerConfig,
        weights: &[Weights],
    ) -> Result<Vec<Peer>, DemoError> {
        let peer = |(at, weights)| {
            let id = spec.key(at)?.peer();
            Ok(self
                .factory
                .peer(engine(self.engine, 1)?, id, judge.clone(), config, weights)?)
        };
        weights.iter().enumerate().map(peer).collect()
    }
}
