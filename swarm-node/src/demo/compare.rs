//! The comparison that a demo is: the swarm beside its controls, each measured alike.

use std::time::Instant;

use reproducible_ops::weights::Weights;
use swarm_identity::digest::hex;
use swarm_learn::sapo::Mix;
use swarm_round::sim::SimulationReport;
use swarm_settle::chain::{ChainConfig, Endpoint};

use super::arm::Arm;
use super::context::DemoContext;
use super::controls::controls;
use super::ensemble::ensemble_accuracy;
use super::error::DemoError;
use super::measure::Measure;
use super::plan::DemoPlan;
use super::play::TrainedPeer;
use super::report::{ArmReport, DemoReport, PeerReport};
use super::rewards::{DemoKeys, Funder, RewardReport, RewardSettlement, RewardTerms};
use crate::config::{Config, path};
use crate::job::{Model, ModelFactory, Progress, Stop, engine};

/// Plays the demo from this base model; `funder` pays for the chain of the settings. A request to
/// stop ends it between two moments of the rounds.
///
/// # Errors
/// See [`DemoError`]. What goes wrong with the chain is no error but part of the report.
pub fn run(
    config: &Config,
    base: Model,
    funder: &Funder,
    progress: &dyn Progress,
    stop: &Stop,
) -> Result<DemoReport, DemoError> {
    let started = Instant::now();
    let model = hex(&base.weights.digest());
    let factory = ModelFactory::new(base, config.learn.clone())?;
    let plan = DemoPlan::new(&config.demo, &config.learn, model)?;
    let threads = config.engine.workers();
    let measure = Measure::new(&plan, &factory)?;
    let context = DemoContext {
        plan,
        factory: &factory,
        measure,
        engine: &config.engine,
        threads,
        progress,
        stop,
    };
    let mut rewards = context.settlement(&config.chain, funder)?;
    let played = context.report(rewards.as_mut().ok());
    // Also for a demo that fails or is stopped: what was paid for must not be lost.
    let rewards = rewards.map_or_else(
        |report| report,
        |rewards| rewards.finish(progress, stop, played.is_ok()),
    );
    match played {
        Ok(report) => Ok(DemoReport {
            rewards,
            seconds: started.elapsed().as_secs_f64(),
            ..report
        }),
        Err(DemoError::Stopped { signal, .. }) => Err(DemoError::Stopped {
            signal,
            rewards: rewards.into(),
        }),
        Err(error) => {
            if let Some(folder) = rewards.folder {
                progress.warn(&format!(
                    "what is pending can be settled: swarm-node settle {}",
                    folder.display()
                ));
            }
            Err(error)
        }
    }
}

impl DemoContext<'_> {
    /// Begins to settle the swarm's rounds, or says why not.
    fn settlement(
        &self,
        chain: &ChainConfig,
        funder: &Funder,
    ) -> Result<Result<RewardSettlement, RewardReport>, DemoError> {
        let nothing = |reason: String| RewardReport {
            trouble: Some(reason),
            ..RewardReport::default()
        };
        let endpoint = match Endpoint::of(chain) {
            Ok(Endpoint::None) => {
                return Ok(Err(nothing(
                    "no chain is set (chain.endpoint = none)".into(),
                )));
            }
            Ok(endpoint) => endpoint,
            Err(error) => return Ok(Err(nothing(error.to_string()))),
        };
        let secret = match funder.secret() {
            Ok(secret) => secret,
            Err(reason) => {
                self.progress
                    .warn(&format!("rewards are not settled: {reason}"));
                return Ok(Err(nothing(reason)));
            }
        };
        let spec = self.plan.together();
        let nodes = (0..spec.peers.len())
            .map(|peer| spec.key(peer))
            .collect::<Result<_, _>>()?;
        let demo = self.plan.demo;
        let terms = RewardTerms::new(
            demo.peers,
            demo.rounds,
            demo.epoch,
            endpoint == Endpoint::Embedded,
        );
        let keys = DemoKeys::new(&secret, demo.seed, nodes)?;
        Ok(Ok(RewardSettlement::begin(
            chain.clone(),
            terms,
            keys,
            path(&demo.run).map(Into::into),
        )?))
    }

    /// Plays everything and measures; the report lacks the rewards and the seconds.
    fn report(&self, rewards: Option<&mut RewardSettlement>) -> Result<DemoReport, DemoError> {
        let demo = self.plan.demo;
        let base = &self.factory.model().weights;
        self.progress.begin("base", 2);
        let mut generator = self
            .factory
            .generator(engine(self.engine, self.threads)?, base.clone())?;
        let before = self.measure.rates(&mut generator)?;
        self.progress.step("held-out questions");
        self.check_stop()?;
        let ensemble_before = ensemble_accuracy(self, &vec![base.clone(); demo.peers])?;
        self.progress.end("");
        let mut arms = controls(self)?;
        let (rounds, swarm) = self.together(rewards)?;
        self.progress.begin("joint answers", 1);
        let together: Vec<Weights> = swarm
            .iter()
            .map(|learned| learned.weights.clone())
            .collect();
        let ensemble_after = ensemble_accuracy(self, &together)?;
        self.check_stop()?;
        self.progress.end("");
        arms.push((Arm::Swarm, swarm));
        arms.sort_by_key(|(arm, _)| *arm);
        Ok(DemoReport {
            seed: demo.seed,
            rounds: demo.rounds,
            rounds_decided: rounds.agreed(),
            rewards: RewardReport::default(),
            before,
            arms: arms
                .into_iter()
                .map(|(arm, learned)| self.arm_report(arm, learned))
                .collect(),
            ensemble: [ensemble_before, ensemble_after],
            transcript_digest: hex(&rounds.transcript_digest()),
            seconds: 0.0,
        })
    }

    fn arm_report(&self, arm: Arm, learned: Vec<TrainedPeer>) -> ArmReport {
        let peer = |(peer, learned): (usize, TrainedPeer)| PeerReport {
            family: self.plan.family(peer),
            rollbacks: learned.rollbacks,
            digest: hex(&learned.weights.digest()),
            curve: learned.curve,
        };
        ArmReport {
            arm,
            peers: learned.into_iter().enumerate().map(peer).collect(),
        }
    }

    /// All peers in one swarm.
    fn together(
        &self,
        rewards: Option<&mut RewardSettlement>,
    ) -> Result<(SimulationReport, Vec<TrainedPeer>), DemoError> {
        let demo = self.plan.demo;
        let mix = Mix {
            own: demo.own,
            external: demo.external,
            peer_percent: demo.peer_percent,
            filter: true,
        };
        let base = vec![self.factory.model().weights.clone(); demo.peers];
        self.progress.begin("swarm", demo.rounds);
        let judge = self.judge(&self.plan.families());
        let played = self.play(
            self.plan.together(),
            judge,
            mix,
            &base,
            self.threads,
            rewards,
        )?;
        self.progress.end("");
        Ok(played)
    }
}
