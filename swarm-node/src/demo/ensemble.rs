//! How well peers answer together: the accuracy of their ensemble.
//!
//! They play one round on held-out questions, in which nobody learns. Published side by side are
//! the five ways of choosing an answer that [`swarm_round::tally`] counts.

use std::sync::Arc;

use reproducible_ops::weights::Weights;
use serde::Serialize;
use swarm_learn::driver::Swarm;
use swarm_learn::judge::TaskJudge;
use swarm_learn::peer::PeerConfig;
use swarm_learn::sapo::Mix;
use swarm_round::sim::{Driver, Job, Simulation};
use swarm_round::{Answers, Choice, Choices, Critiques, DecidedRound, Decisions, QuestionTally};
use swarm_task::Library;

use super::context::DemoContext;
use super::error::DemoError;
use super::play::refuse_failures;

/// Shares of questions whose chosen answer was right, 0 to 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct EnsembleAccuracy {
    /// Questions asked.
    pub questions: usize,
    /// Most frequent first answer.
    pub plurality: f32,
    /// Answer with most endorsements of critics.
    pub critics: f32,
    /// Answer with most first answers and endorsements together.
    pub pooled: f32,
    /// Answer with most decisions.
    pub decided: f32,
    /// Answer with most completions, weighed by records; close ones by endorsements and decisions:
    /// the winner.
    pub weighed: f32,
}

/// Lets peers with these weights decide the held-out questions of the plan.
pub(super) fn ensemble_accuracy(
    context: &DemoContext<'_>,
    weights: &[Weights],
) -> Result<EnsembleAccuracy, DemoError> {
    let plan = &context.plan;
    if plan.demo.council == 0 {
        return Ok(EnsembleAccuracy::default());
    }
    let judge = Arc::new(TaskJudge::held_out(Library::new(), plan.families()));
    let config = PeerConfig {
        stage_samples: 1,
        ..plan.learn.peer(Mix::alone(0))
    };
    let spec = plan.ensemble();
    let peers = context.peers(&spec, &judge, config, weights)?;
    let mut listener = Listener(Swarm::new(peers, context.threads)?);
    let report = Simulation::new(spec, judge)?.run(&mut listener);
    refuse_failures(&mut listener.0)?;
    #[expect(
        clippy::expect_used,
        reason = "its peers are honest, and its network loses nothing"
    )]
    let result = report
        .rounds
        .values()
        .find_map(|round| round.result())
        .expect("invariant: a round of honest peers has a result");
    Ok(count(&result.tallies))
}

fn count(boards: &[QuestionTally]) -> EnsembleAccuracy {
    let asked = boards.iter().filter(|board| board.question.common);
    let choices: Vec<&Choices> = asked.map(|board| &board.choices).collect();
    let share = |pick: fn(&Choices) -> &Option<Choice>| {
        let right = choices
            .iter()
            .filter(|choices| pick(choices).as_ref().is_some_and(Choice::is_right))
            .count();
        right as f32 / choices.len().max(1) as f32
    };
    EnsembleAccuracy {
        questions: choices.len(),
        plurality: share(|choices| &choices.plurality),
        critics: share(|choices| &choices.critics),
        pooled: share(|choices| &choices.pooled),
        decided: share(|choices| &choices.decided),
        weighed: share(|choices| &choices.weighed),
    }
}

/// Works in all stages and learns nothing.
struct Listener(Swarm);

impl Driver for Listener {
    fn answers(&mut self, jobs: &[Job]) -> Vec<Answers> {
        self.0.answers(jobs)
    }

    fn critiques(&mut self, jobs: &[Job]) -> Vec<Critiques> {
        self.0.critiques(jobs)
    }

    fn decisions(&mut self, jobs: &[Job]) -> Vec<Decisions> {
        self.0.decisions(jobs)
    }

    fn learn(&mut self, _: &[(usize, Arc<DecidedRound>)]) {}
}
