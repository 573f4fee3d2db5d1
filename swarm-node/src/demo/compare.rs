//! The comparison that a demo is: the swarm beside its controls, each measured alike.

use std::time::Instant;

use reproducible_ops::weights::Weights;
use swarm_identity::digest::hex;
use swarm_learn::sapo::Mix;
use swarm_settle::chain::{ChainConfig, Endpoint};

use super::arm::Arm;
use super::cheat::{CheatReport, cheat};
use super::context::DemoContext;
use super::controls::controls;
use super::ensemble::ensemble_accuracy;
use super::error::DemoError;
use super::live::lead_seconds;
use super::measure::Measure;
use super::plan::DemoPlan;
use super::play::{Together, TrainedPeer};
use super::report::{ArmReport, DemoReport, PeerReport};
use super::rewards::{DemoKeys, Funder, LiveRewards, RewardReport, RewardSettlement, RewardTerms};
use crate::config::{Config, path};
use crate::job::{Model, ModelFactory, Progress, Stop, engine};

/// Where the swarm's peers live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// In processes of their own, over the network of this machine, in its time.
    Processes,
    /// In this process, on virtual time: the same settings and seed give the same digests.
    Simulated,
}

/// Plays the demo from this base model; `funder` pays for the chain of the settings. A request to
/// stop ends it between two moments of the rounds.
///
/// # Errors
/// See [`DemoError`]. What goes wrong with the chain is no error but part of the report.
pub fn run(
    config: &Config,
    base: Model,
    funder: &Funder,
    mode: Mode,
    progress: &dyn Progress,
    stop: &Stop,
) -> Result<DemoReport, DemoError> {
    let started = Instant::now();
    let model = hex(&base.weights.digest());
    let factory = ModelFactory::new(base, config.learn.clone(), config.engine.memory_bytes())?;
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
    let report = match mode {
        Mode::Processes => context.report(|| context.in_processes(config, funder))?,
        Mode::Simulated => context.simulated(config, funder)?,
    };
    let cheat = match config.demo.cheat && !stop.is_requested() {
        true => context.cheat()?,
        false => None,
    };
    Ok(DemoReport {
        seconds: started.elapsed().as_secs_f64(),
        cheat,
        ..report
    })
}

impl DemoContext<'_> {
    /// What becomes of a worker that gets one bit wrong. That it cannot be shown is no reason to
    /// lose what was learned.
    fn cheat(&self) -> Result<Option<CheatReport>, DemoError> {
        let engine = engine(self.engine, self.threads)?;
        let played = cheat(engine.as_ref(), self.progress, self.stop);
        Ok(match played {
            Ok(report) => Some(report),
            Err(error) => {
                self.progress.warn(&format!("no cheat is shown: {error}"));
                None
            }
        })
    }

    /// The demo on virtual time; rewards are settled beside it.
    fn simulated(&self, config: &Config, funder: &Funder) -> Result<DemoReport, DemoError> {
        let mut rewards = self.settlement(&config.chain, funder)?;
        let played = self.report(|| self.on_virtual_time(rewards.as_mut().ok()));
        // Also for a demo that fails or is stopped: what was paid for must not be lost.
        let rewards = rewards.map_or_else(
            |report| report,
            |rewards| rewards.finish(self.progress, self.stop, played.is_ok()),
        );
        match played {
            Ok(report) => Ok(DemoReport { rewards, ..report }),
            Err(DemoError::Stopped { signal, .. }) => Err(DemoError::Stopped {
                signal,
                rewards: rewards.into(),
            }),
            Err(error) => {
                if let Some(folder) = rewards.folder {
                    self.progress.warn(&format!(
                        "what is pending can be settled: swarm-node settle {}",
                        folder.display()
                    ));
                }
                Err(error)
            }
        }
    }

    /// Who pays whom on which chain, or why nobody does.
    fn payer(
        &self,
        chain: &ChainConfig,
        funder: &Funder,
    ) -> Result<Result<(Endpoint, DemoKeys), String>, DemoError> {
        let endpoint = match Endpoint::of(chain) {
            Ok(Endpoint::None) => {
                return Ok(Err("no chain is set (chain.endpoint = none)".into()));
            }
            Ok(endpoint) => endpoint,
            Err(error) => return Ok(Err(error.to_string())),
        };
        let secret = match funder.secret() {
            Ok(secret) => secret,
            Err(reason) => {
                self.progress
                    .warn(&format!("rewards are not settled: {reason}"));
                return Ok(Err(reason));
            }
        };
        let spec = self.plan.together();
        let nodes = (0..spec.peers.len())
            .map(|peer| spec.key(peer))
            .collect::<Result<_, _>>()?;
        let keys = DemoKeys::new(&secret, self.plan.demo.seed, nodes)?;
        Ok(Ok((endpoint, keys)))
    }

    /// Begins to settle the swarm's rounds, or says why not.
    fn settlement(
        &self,
        chain: &ChainConfig,
        funder: &Funder,
    ) -> Result<Result<RewardSettlement, RewardReport>, DemoError> {
        let (endpoint, keys) = match self.payer(chain, funder)? {
            Ok(payer) => payer,
            Err(reason) => return Ok(Err(RewardReport::nothing(reason))),
        };
        let demo = self.plan.demo;
        let terms = RewardTerms::new(
            demo.peers,
            demo.rounds,
            demo.epoch,
            endpoint == Endpoint::Embedded,
        );
        Ok(Ok(RewardSettlement::begin(
            chain.clone(),
            terms,
            keys,
            path(&demo.run).map(Into::into),
        )?))
    }

    /// All peers in one swarm, in processes of their own.
    fn in_processes(&self, config: &Config, funder: &Funder) -> Result<Together, DemoError> {
        let demo = self.plan.demo;
        let windows = self.live_windows(self.mix())?;
        let terms = RewardTerms {
            peers: demo.peers,
            rounds: demo.rounds,
            rounds_per_epoch: demo.epoch,
            round_seconds: windows.round_ms() / 1_000,
            lead_seconds: lead_seconds(demo.peers),
        };
        let rewards = self.payer(&config.chain, funder)?.and_then(|(_, keys)| {
            let runs = path(&demo.run).map(Into::into);
            let chain = config.chain.clone();
            LiveRewards::open(chain, terms, keys, runs, self.progress, self.stop)
        });
        self.check_stop()?;
        self.live(config, windows, rewards)
    }

    /// All peers in one swarm, on virtual time.
    fn on_virtual_time(
        &self,
        rewards: Option<&mut RewardSettlement>,
    ) -> Result<Together, DemoError> {
        let demo = self.plan.demo;
        let base = vec![self.factory.model().weights.clone(); demo.peers];
        self.progress.begin("swarm", demo.rounds);
        let judge = self.judge(&self.plan.families());
        let (rounds, learned) = self.play(
            self.plan.together(),
            judge,
            self.mix(),
            &base,
            self.threads,
            rewards,
        )?;
        self.progress.end("");
        Ok(Together {
            decided: rounds.agreed(),
            transcript: rounds.transcript_digest(),
            learned,
            rewards: RewardReport::default(),
        })
    }

    /// What a peer of the swarm trains on.
    fn mix(&self) -> Mix {
        let demo = self.plan.demo;
        Mix {
            own: demo.own,
            external: demo.external,
            peer_percent: demo.peer_percent,
            filter: true,
        }
    }

    /// Plays everything and measures; the report lacks the seconds.
    fn report(
        &self,
        together: impl FnOnce() -> Result<Together, DemoError>,
    ) -> Result<DemoReport, DemoError> {
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
        let swarm = together()?;
        self.progress.begin("joint answers", 1);
        let weights = swarm.learned.iter().map(|learned| learned.weights.clone());
        let ensemble_after = ensemble_accuracy(self, &weights.collect::<Vec<Weights>>())?;
        self.check_stop()?;
        self.progress.end("");
        arms.push((Arm::Swarm, swarm.learned));
        arms.sort_by_key(|(arm, _)| *arm);
        Ok(DemoReport {
            seed: demo.seed,
            rounds: demo.rounds,
            rounds_decided: swarm.decided,
            rewards: swarm.rewards,
            before,
            arms: arms
                .into_iter()
                .map(|(arm, learned)| self.arm_report(arm, learned))
                .collect(),
            ensemble: [ensemble_before, ensemble_after],
            transcript_digest: hex(&swarm.transcript),
            seconds: 0.0,
            cheat: None,
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
}
