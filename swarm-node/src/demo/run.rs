//! The run of a demo, and what its parts share.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use reproducible_ops::weights::Weights;
use swarm_identity::digest::hex;
use swarm_identity::key::KeyError;
use swarm_learn::driver::Swarm;
use swarm_learn::eval::EvalError;
use swarm_learn::guard::Verdict;
use swarm_learn::judge::TaskJudge;
use swarm_learn::peer::{LearnReport, Peer, PeerConfig, PeerError};
use swarm_learn::programs::TrainError;
use swarm_learn::sapo::Mix;
use swarm_round::sim::run::SimulationError;
use swarm_round::sim::{Driver, Job, Simulation, SimulationReport, Spec};
use swarm_round::{Answers, Critiques, Decisions, RoundResult, Settlement};
use swarm_settle::chain::ChainConfig;
use swarm_settle::chain::Endpoint;
use swarm_task::{FamilyId, Library};

use super::arm::{Arm, Point, Rates};
use super::controls::controls;
use super::council::council;
use super::measure::Measure;
use super::money::{Cast, Economy, Funder, Money, MoneyReport};
use super::plan::Plan;
use super::report::{ArmReport, DemoReport, PeerReport};
use crate::config::{Config, EngineConfig, path};
use crate::job::{EngineError, Model, Stop, Watch, Workshop, WorkshopError, engine};

/// Why a demo fails.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DemoError {
    /// No such engine.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A peer cannot be made.
    #[error(transparent)]
    Workshop(#[from] WorkshopError),
    /// The rounds cannot be simulated.
    #[error(transparent)]
    Simulation(#[from] SimulationError),
    /// A simulated key.
    #[error("{0}; take another seed")]
    Key(#[from] KeyError),
    /// Held-out questions cannot be asked.
    #[error("held-out questions: {0}")]
    Eval(#[from] EvalError),
    /// A peer's parameters cannot be read.
    #[error(transparent)]
    Train(#[from] TrainError),
    /// A peer failed in a round.
    #[error("peer {peer} failed: {source}")]
    Peer {
        /// Its number, from 0.
        peer: usize,
        /// Why.
        source: PeerError,
    },
    /// The thread that settles.
    #[error("the thread that settles rewards did not start: {0}; settle nowhere with --chain none")]
    Thread(#[from] std::io::Error),
    /// Somebody asked for the end before it.
    #[error("the demo was stopped before its end")]
    Stopped {
        /// The signal's number.
        signal: usize,
        /// What became of the rewards until then.
        money: Box<MoneyReport>,
    },
    /// A demo without peers.
    #[error("there is no peer; set demo.peers to 2 or more")]
    NoPeer,
}

/// What a peer has learned.
pub(super) struct Learned {
    pub(super) weights: Weights,
    pub(super) rollbacks: usize,
    /// What it could after some rounds; the last point is that of all rounds.
    pub(super) curve: Vec<Point>,
}

/// What all parts of a demo share.
pub(super) struct Stand<'a> {
    pub(super) plan: Plan<'a>,
    pub(super) workshop: &'a Workshop,
    pub(super) measure: Measure,
    pub(super) engine: &'a EngineConfig,
    pub(super) threads: usize,
    pub(super) watch: &'a dyn Watch,
    pub(super) stop: &'a Stop,
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
    watch: &dyn Watch,
    stop: &Stop,
) -> Result<DemoReport, DemoError> {
    let started = Instant::now();
    let model = hex(&base.weights.digest());
    let workshop = Workshop::new(base, config.learn.clone())?;
    let plan = Plan {
        demo: &config.demo,
        learn: &config.learn,
        model,
    };
    let threads = config.engine.workers();
    let measure = Measure::new(&plan, &workshop)?;
    let stand = Stand {
        plan,
        workshop: &workshop,
        measure,
        engine: &config.engine,
        threads,
        watch,
        stop,
    };
    let mut money = stand.money(&config.chain, funder)?;
    let played = stand.report(money.as_mut().ok());
    // Also for a demo that fails or is stopped: what was paid for must not be lost.
    let money = money.map_or_else(
        |report| report,
        |money| money.finish(watch, stop, played.is_ok()),
    );
    match played {
        Ok(report) => Ok(DemoReport {
            money,
            seconds: started.elapsed().as_secs_f64(),
            ..report
        }),
        Err(DemoError::Stopped { signal, .. }) => Err(DemoError::Stopped {
            signal,
            money: money.into(),
        }),
        Err(error) => {
            if let Some(folder) = money.folder {
                watch.warn(&format!(
                    "what is pending can be settled: swarm-node settle {}",
                    folder.display()
                ));
            }
            Err(error)
        }
    }
}

/// Fails with the first failure of a swarm's peers.
pub(super) fn refuse_failures(swarm: &mut Swarm) -> Result<(), DemoError> {
    match swarm.journal.failures.drain(..).next() {
        Some((peer, source)) => Err(DemoError::Peer { peer, source }),
        None => Ok(()),
    }
}

/// What a swarm's rounds are reported to, beside its curves.
#[derive(Default)]
pub(super) struct Audience<'a> {
    pub(super) money: Option<&'a mut Money>,
}

impl Stand<'_> {
    /// Begins to settle the swarm's rounds, or says why not.
    fn money(
        &self,
        chain: &ChainConfig,
        funder: &Funder,
    ) -> Result<Result<Money, MoneyReport>, DemoError> {
        let nothing = |reason: String| MoneyReport {
            trouble: Some(reason),
            ..MoneyReport::default()
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
                self.watch
                    .warn(&format!("rewards are not settled: {reason}"));
                return Ok(Err(nothing(reason)));
            }
        };
        let spec = self.plan.together();
        let nodes = (0..spec.peers.len())
            .map(|peer| spec.key(peer))
            .collect::<Result<_, _>>()?;
        let demo = self.plan.demo;
        let economy = Economy::new(
            demo.peers,
            demo.rounds,
            demo.epoch,
            endpoint == Endpoint::Embedded,
        );
        let cast = Cast::new(&secret, demo.seed, nodes)?;
        Ok(Ok(Money::begin(
            chain.clone(),
            economy,
            cast,
            path(&demo.run).map(Into::into),
        )?))
    }

    /// Fails if somebody has asked for the end.
    pub(super) fn check_stop(&self) -> Result<(), DemoError> {
        match self.stop.signal() {
            Some(signal) => Err(DemoError::Stopped {
                signal,
                money: Box::default(),
            }),
            None => Ok(()),
        }
    }

    /// Plays everything and measures; the report lacks the money and the seconds.
    fn report(&self, money: Option<&mut Money>) -> Result<DemoReport, DemoError> {
        let demo = self.plan.demo;
        let base = &self.workshop.model().weights;
        self.watch.begin("base", 2);
        let mut generator = self
            .workshop
            .generator(engine(self.engine, self.threads)?, base.clone())?;
        let before = self.measure.rates(&mut generator)?;
        self.watch.step("held-out questions");
        self.check_stop()?;
        let council_before = council(self, &vec![base.clone(); demo.peers])?;
        self.watch.end("");
        let mut arms = controls(self)?;
        let (rounds, swarm) = self.together(money)?;
        self.watch.begin("joint answers", 1);
        let together: Vec<Weights> = swarm
            .iter()
            .map(|learned| learned.weights.clone())
            .collect();
        let council_after = council(self, &together)?;
        self.check_stop()?;
        self.watch.end("");
        arms.push((Arm::Swarm, swarm));
        arms.sort_by_key(|(arm, _)| *arm);
        Ok(DemoReport {
            seed: demo.seed,
            rounds: demo.rounds,
            rounds_settled: rounds.settled(),
            money: MoneyReport::default(),
            before,
            arms: arms
                .into_iter()
                .map(|(arm, learned)| self.arm_report(arm, learned))
                .collect(),
            council: [council_before, council_after],
            transcript_digest: hex(&rounds.transcript_digest()),
            seconds: 0.0,
        })
    }

    fn arm_report(&self, arm: Arm, learned: Vec<Learned>) -> ArmReport {
        let peer = |(peer, learned): (usize, Learned)| PeerReport {
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
        money: Option<&mut Money>,
    ) -> Result<(SimulationReport, Vec<Learned>), DemoError> {
        let demo = self.plan.demo;
        let mix = Mix {
            own: demo.own,
            external: demo.external,
            peer_percent: demo.peer_percent,
            filter: true,
        };
        let base = vec![self.workshop.model().weights.clone(); demo.peers];
        self.watch.begin("swarm", demo.rounds);
        let judge = self.judge(&self.plan.families());
        let played = self.play(
            self.plan.together(),
            judge,
            mix,
            &base,
            self.threads,
            Audience { money },
        )?;
        self.watch.end("");
        Ok(played)
    }

    /// Judges questions of these families that may be trained on.
    pub(super) fn judge(&self, families: &[(FamilyId, u8)]) -> Arc<TaskJudge> {
        Arc::new(TaskJudge::new(Library::new(), families.to_vec()))
    }

    /// Plays the rounds of a specification with learning peers.
    pub(super) fn play(
        &self,
        spec: Spec,
        judge: Arc<TaskJudge>,
        mix: Mix,
        weights: &[Weights],
        threads: usize,
        audience: Audience<'_>,
    ) -> Result<(SimulationReport, Vec<Learned>), DemoError> {
        let rounds = spec.rounds;
        let peers = self.peers(&spec, &judge, self.plan.learn.peer(mix), weights)?;
        let mut driver = Watched {
            curves: vec![Vec::new(); peers.len()],
            swarm: Swarm::new(peers, threads),
            stand: self,
            audience,
            results: BTreeMap::new(),
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
        let Watched { swarm, curves, .. } = driver;
        let learned = swarm.each(|peer, learner| {
            let reports = swarm
                .journal
                .reports
                .iter()
                .filter(|((_, who), _)| *who == peer);
            let rollbacks = reports
                .filter(|(_, report)| matches!(report.verdict, Verdict::RollBack { .. }))
                .count();
            Ok(Learned {
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
                .workshop
                .peer(engine(self.engine, 1)?, id, judge.clone(), config, weights)?)
        };
        weights.iter().enumerate().map(peer).collect()
    }
}

/// A swarm that tells after each round how it goes.
struct Watched<'a, 'b> {
    swarm: Swarm,
    stand: &'a Stand<'b>,
    audience: Audience<'a>,
    /// Points measured so far, by peer.
    curves: Vec<Vec<Point>>,
    /// What peers computed in rounds that are not settled yet.
    results: BTreeMap<(usize, u64), Arc<RoundResult>>,
    failure: Option<DemoError>,
}

impl Watched<'_, '_> {
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
        let every = self.stand.plan.demo.measure_every;
        every > 0 && rounds.is_multiple_of(every)
    }

    /// Adds a point to the curve of every peer; returns the mean greedy pass@1.
    fn measure(&mut self, rounds: u64) -> Result<f32, DemoError> {
        let stand = self.stand;
        let rates = self
            .swarm
            .each(|_, peer| stand.measure.rates(peer.policy()));
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

impl Driver for Watched<'_, '_> {
    fn answers(&mut self, jobs: &[Job]) -> Vec<Answers> {
        self.swarm.answers(jobs)
    }

    fn critiques(&mut self, jobs: &[Job]) -> Vec<Critiques> {
        self.swarm.critiques(jobs)
    }

    fn decisions(&mut self, jobs: &[Job]) -> Vec<Decisions> {
        self.swarm.decisions(jobs)
    }

    fn learn(&mut self, results: &[(usize, Arc<RoundResult>)]) {
        self.swarm.learn(results);
        if self.audience.money.is_some() {
            let by_round = results
                .iter()
                .map(|(peer, result)| ((*peer, result.transcript.plan.round), result.clone()));
            self.results.extend(by_round);
        }
        let Some((_, result)) = results.first() else {
            return;
        };
        let round = result.transcript.plan.round;
        let mut note = self.note(round);
        if self.is_due(round + 1) {
            match self.measure(round + 1) {
                Ok(greedy) => note += &format!(", held-out {greedy:.3}"),
                Err(error) => drop(self.failure.get_or_insert(error)),
            }
        }
        self.stand.watch.step(&note);
    }

    fn settled(&mut self, settlements: &[(usize, Settlement)]) {
        let Some(money) = &mut self.audience.money else {
            return;
        };
        for (peer, settlement) in settlements {
            let result = self
                .results
                .remove(&(*peer, settlement.round))
                .filter(|_| settlement.agrees);
            money.round_over(*peer, settlement.round, result, self.stand.watch);
        }
    }

    fn is_over(&self) -> bool {
        self.stand.stop.is_requested()
    }
}
