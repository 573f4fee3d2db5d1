//! Plays rounds with learning peers, and measures them between rounds.

use std::sync::Arc;

use reproducible_ops::weights::Weights;
use swarm_identity::digest::Digest32;
use swarm_learn::driver::Swarm;
use swarm_learn::guard::Verdict;
use swarm_learn::judge::TaskJudge;
use swarm_learn::peer::LearnReport;
use swarm_learn::sapo::Mix;
use swarm_round::sim::{Driver, Job, Simulation, SimulationReport, Spec};
use swarm_round::{Answers, Critiques, DecidedRound, Decisions};

use super::arm::{Point, Rates};
use super::context::DemoContext;
use super::error::DemoError;
use super::rewards::{RewardReport, RewardSettlement};

/// What a peer has learned.
pub(super) struct TrainedPeer {
    pub(super) weights: Weights,
    pub(super) rollbacks: usize,
    /// What it could after some rounds; the last point is that of all rounds.
    pub(super) curve: Vec<Point>,
}

/// What became of the swarm, and of its rewards where it has settled itself.
pub(super) struct Together {
    /// Rounds that all peers decided alike.
    pub(super) decided: usize,
    /// Digest over the results of the rounds.
    pub(super) transcript: Digest32,
    pub(super) learned: Vec<TrainedPeer>,
    pub(super) rewards: RewardReport,
}

/// Fails with the first failure of a swarm's peers.
pub(super) fn refuse_failures(swarm: &mut Swarm) -> Result<(), DemoError> {
    match swarm.journal.failures.drain(..).next() {
        Some((peer, source)) => Err(DemoError::Peer { peer, source }),
        None => Ok(()),
    }
}

impl DemoContext<'_> {
    /// Plays the rounds of a specification with learning peers.
    pub(super) fn play(
        &self,
        spec: Spec,
        judge: Arc<TaskJudge>,
        mix: Mix,
        weights: &[Weights],
        threads: usize,
        rewards: Option<&mut RewardSettlement>,
    ) -> Result<(SimulationReport, Vec<TrainedPeer>), DemoError> {
        let rounds = spec.rounds;
        let peers = self.peers(&spec, &judge, self.plan.learn.peer(mix), weights)?;
        let mut driver = Training {
            curves: vec![Vec::new(); peers.len()],
            swarm: Swarm::new(peers, threads)?,
            context: self,
            rewards,
            failure: None,
        };
        let report = Simulation::new(spec, judge)?.run(&mut driver);
        driver.failure.take().map_or(Ok(()), Err)?;
        self.check_stop()?;
        refuse_failures(&mut driver.swarm)?;
        // A curve ends with the last round, which the settings may not have asked to measure.
        if driver
            .curves
            .iter()
            .any(|curve| curve.last().map(|point| point.round) != Some(rounds))
        {
            driver.measure(rounds)?;
        }
        let Training { swarm, curves, .. } = driver;
        let learned = swarm.each(|peer, learner| {
            let reports = swarm
                .journal
                .reports
                .iter()
                .filter(|((_, who), _)| *who == peer);
            let rollbacks = reports
                .filter(|(_, report)| matches!(report.verdict, Verdict::RollBack { .. }))
                .count();
            Ok(TrainedPeer {
                weights: learner.trainer().params()?,
                rollbacks,
                curve: curves[peer].clone(),
            })
        });
        Ok((
            report,
            learned.into_iter().collect::<Result<_, DemoError>>()?,
        ))
    }
}

/// A swarm that learns, and tells after each round how it goes.
struct Training<'a, 'b> {
    swarm: Swarm,
    context: &'a DemoContext<'b>,
    /// Where the rounds' results are settled, if anywhere.
    rewards: Option<&'a mut RewardSettlement>,
    /// Points measured so far, by peer.
    curves: Vec<Vec<Point>>,
    failure: Option<DemoError>,
}

impl Training<'_, '_> {
    fn note(&self, round: u64) -> String {
        let reports = self
            .swarm
            .journal
            .reports
            .range((round, 0)..=(round, usize::MAX));
        let reports: Vec<&LearnReport> = reports.map(|(_, report)| report).collect();
        let rewards: Vec<f32> = reports.iter().filter_map(|report| report.reward).collect();
        let groups: usize = reports
            .iter()
            .map(|report| report.groups.iter().sum::<usize>())
            .sum();
        let reward = rewards.iter().sum::<f32>() / rewards.len().max(1) as f32;
        format!("round {}: reward {reward:.3}, {groups} groups", round + 1)
    }

    /// Whether the settings ask for a measurement after so many rounds.
    fn is_due(&self, rounds: u64) -> bool {
        let every = self.context.plan.demo.measure_every;
        every > 0 && rounds.is_multiple_of(every)
    }

    /// Adds a point to the curve of every peer; returns the mean greedy pass@1.
    fn measure(&mut self, rounds: u64) -> Result<f32, DemoError> {
        let context = self.context;
        let rates = self
            .swarm
            .each(|_, peer| context.measure.rates(peer.policy()));
        let rates = rates.into_iter().collect::<Result<Vec<_>, DemoError>>()?;
        let greedy = Rates::average(rates.iter()).greedy.mean().share;
        for (peer, (curve, rates)) in self.curves.iter_mut().zip(rates).enumerate() {
            let reports = self
                .swarm
                .journal
                .reports
                .iter()
                .filter(|((_, who), _)| *who == peer);
            let completions = reports.map(|(_, report)| report.generated).sum();
            curve.push(Point {
                round: rounds,
                completions,
                rates,
            });
        }
        Ok(greedy)
    }
}

impl Driver for Training<'_, '_> {
    fn answers(&mut self, jobs: &[Job]) -> Vec<Answers> {
        self.swarm.answers(jobs)
    }

    fn critiques(&mut self, jobs: &[Job]) -> Vec<Critiques> {
        self.swarm.critiques(jobs)
    }

    fn decisions(&mut self, jobs: &[Job]) -> Vec<Decisions> {
        self.swarm.decisions(jobs)
    }

    fn learn(&mut self, rounds: &[(usize, Arc<DecidedRound>)]) {
        self.swarm.learn(rounds);
        if let Some(rewards) = &mut self.rewards {
            for (peer, decided) in rounds {
                rewards.decided(*peer, decided.clone(), self.context.progress);
            }
        }
        let Some((_, decided)) = rounds.first() else {
            return;
        };
        let round = decided.round();
        let mut note = self.note(round);
        if self.is_due(round + 1) {
            match self.measure(round + 1) {
                Ok(greedy) => note += &format!(", held-out {greedy:.3}"),
                Err(error) => drop(self.failure.get_or_insert(error)),
            }
        }
        self.context.progress.step(&note);
    }

    fn is_over(&self) -> bool {
        self.context.stop.is_requested()
    }
}
