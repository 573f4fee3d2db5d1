//! What members of a pipeline in memory compute with.

use std::sync::Arc;

use reproducible_ops::engine::Engine;
use skippipe::testing::network::Make;
use swarm_learn::pipeline::worker::{Blueprint, StageWorker};

/// Makes a worker for each member, all on one engine.
///
/// # Panics
/// What it gives panics where the engine does not take a stage of the blueprint: make one before.
pub fn workers(blueprint: &Blueprint, engine: &Arc<dyn Engine>) -> Make<StageWorker> {
    let (blueprint, engine) = (blueprint.clone(), engine.clone());
    Box::new(move |stage| {
        let worker = StageWorker::new(blueprint.clone(), engine.clone(), stage);
        #[expect(clippy::expect_used, reason = "whoever calls has made a stage before")]
        let worker = worker.expect("invariant: the blueprint makes every stage");
        #[expect(clippy::expect_used, reason = "the stage was just made")]
        let state = worker
            .state()
            .expect("invariant: a new stage has its inputs");
        (worker, state)
    })
}
