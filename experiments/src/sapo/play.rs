//! One swarm from the base to its held-out score.

use std::sync::Arc;

use anyhow::{Context, Result, bail};
use reproducible_ops::engine::Engine;
use reproducible_ops::engine::cpu::CpuEngine;
use reproducible_ops::random::key_from;
use reproducible_ops::weights::Weights;
use swarm_identity::PeerId;
use swarm_learn::assemble::{Objective, OptimizerConfig};
use swarm_learn::driver::{Journal, Swarm};
use swarm_learn::eval::EvalSet;
use swarm_learn::grpo::GrpoConfig;
use swarm_learn::guard::GuardConfig;
use swarm_learn::judge::TaskJudge;
use swarm_learn::peer::{Peer, PeerConfig, PeerParts};
use swarm_learn::policy::Policy;
use swarm_learn::programs::Programs;
use swarm_learn::sapo::Mix;
use swarm_learn::setup;
use swarm_model::{Generator, ModelConfig, Tokenizer};
use swarm_round::sim::{Network, PeerSpec, Role, Simulation, Spec};
use swarm_round::{Agreement, Game, Membership, SwarmConfig, Weighting, Windows};
use swarm_task::prompt::Composer;
use swarm_task::{FamilyId, Library, charset};

use super::options::Options;

/// Completions of a group.
const GROUP: u8 = 8;
/// Longest completion in tokens: the longest answer and its end.
const MAX_NEW: usize = 9;
/// Rows and length of a microbatch: a prompt with its group fits a row.
const MICROBATCH: (usize, usize) = (8, 128);
/// Samples per held-out question at temperature 1.
const SAMPLES: u32 = 4;
/// Rounds at the end whose reward counts as the last.
const LAST_ROUNDS: u64 = 5;

/// What the swarms of all mixes and seeds share.
pub struct SwarmTrial {
    peers: u16,
    rounds: u64,
    learning_rate: f32,
    specialists: bool,
    threads: usize,
    model: ModelConfig,
    base: Weights,
    programs: Arc<Programs>,
    tokenizer: Arc<Tokenizer>,
    composer: Arc<Composer<'static>>,
    held_out: EvalSet,
}

/// What became of a swarm, the mean over its peers.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Held-out pass@1 of the most likely answers.
    pub greedy: f64,
    /// Held-out pass@1 at temperature 1.
    pub sampled: f64,
    /// Mean reward of own training answers in the last rounds.
    pub last_reward: f64,
    /// The same in all rounds.
    pub mean_reward: f64,
    /// Groups trained on per update.
    pub groups: f64,
    /// Completions that a peer generated.
    pub generated: f64,
}

fn families() -> Vec<(FamilyId, u8)> {
    FamilyId::NANO.map(|family| (family, 0)).to_vec()
}

impl SwarmTrial {
    /// Records and differentiates the model once.
    pub fn new(options: &Options, base: Weights) -> Result<Self> {
        let model = ModelConfig::preset("nano")?;
        let tokenizer = Arc::new(Tokenizer::characters(charset::CHARACTERS));
        let objective = Objective::OnPolicy(GrpoConfig::default());
        let (rows, length) = MICROBATCH;
        let programs =
            setup::training_programs(&model, rows, length, objective, &OptimizerConfig::default())?;
        let held_out = EvalSet::held_out(
            &families(),
            options.held_out,
            1,
            &Composer::nano(),
            &tokenizer,
            MAX_NEW,
        )?;
        Ok(Self {
            peers: options.peers,
            rounds: options.rounds,
            learning_rate: options.learning_rate,
            specialists: options.specialists,
            threads: options.threads,
            model,
            base,
            programs,
            tokenizer,
            composer: Arc::new(Composer::nano()),
            held_out,
        })
    }

    /// The base on the held-out questions.
    pub fn before(&self) -> Result<Outcome> {
        let mut generator = self.generator(Arc::new(CpuEngine::new(self.threads)))?;
        self.evaluate(&mut generator, 0)
    }

    /// Plays all rounds of a swarm and evaluates its peers.
    pub fn play(&self, mix: Mix, seed: u64) -> Result<Outcome> {
        let spec = self.spec(mix, seed);
        let judge = Arc::new(TaskJudge::new(Library::new(), families()));
        let peer = |index| self.peer(spec.key(index)?.peer(), mix, judge.clone());
        let peers = (0..spec.peers.len())
            .map(peer)
            .collect::<Result<Vec<_>>>()?;
        let mut swarm = Swarm::new(peers, self.threads)?;
        Simulation::new(spec, judge)?.run(&mut swarm);
        if let Some((peer, error)) = swarm.journal.failures.first() {
            bail!("peer {peer} failed: {error}");
        }
        let scores = swarm.each(|_, peer| self.evaluate(peer.policy(), seed));
        let scores = scores.into_iter().collect::<Result<Vec<_>>>()?;
        Ok(self.outcome(&scores, &swarm.journal))
    }

    fn outcome(&self, scores: &[Outcome], journal: &Journal) -> Outcome {
        let rewards = |from: u64| {
            let reports = journal
                .reports
                .iter()
                .filter(move |((round, _), _)| *round >= from);
            mean(
                reports
                    .filter_map(|(_, report)| report.reward)
                    .map(f64::from),
            )
        };
        let updates = journal
            .reports
            .values()
            .filter(|report| report.step.is_some());
        Outcome {
            greedy: mean(scores.iter().map(|score| score.greedy)),
            sampled: mean(scores.iter().map(|score| score.sampled)),
            last_reward: rewards(self.rounds.saturating_sub(LAST_ROUNDS)),
            mean_reward: rewards(0),
            groups: mean(updates.map(|report| report.groups.iter().sum::<usize>() as f64)),
            generated: journal
                .reports
                .values()
                .map(|report| report.generated as f64)
                .sum::<f64>()
                / f64::from(self.peers),
        }
    }

    fn evaluate(&self, policy: &mut dyn Policy, seed: u64) -> Result<Outcome> {
        let mut job = [0; 32];
        job[24..].copy_from_slice(&seed.to_be_bytes());
        let key = key_from("experiments/sapo held-out", &job, &[0; 32]);
        let greedy = self
            .held_out
            .greedy(policy, &self.tokenizer)?
            .mean()
            .share
            .into();
        let sampled = self
            .held_out
            .sampled(policy, &self.tokenizer, SAMPLES, key)?
            .mean()
            .share
            .into();
        Ok(Outcome {
            greedy,
            sampled,
            ..Outcome::default()
        })
    }

    fn generator(&self, engine: Arc<dyn Engine>) -> Result<Generator> {
        setup::generator(engine, &self.model, &self.tokenizer, self.base.clone())
            .context("--base holds another model's weights")
    }

    /// A peer at the base; each has an engine of one thread, because peers run beside each other.
    fn peer(&self, id: PeerId, mix: Mix, judge: Arc<TaskJudge>) -> Result<Peer> {
        let engine: Arc<dyn Engine> = Arc::new(CpuEngine::new(1));
        let trainer = setup::trainer(
            engine.as_ref(),
            &self.model,
            self.programs.clone(),
            &self.base,
        )?;
        let policy = Box::new(self.generator(engine)?);
        let (tokenizer, composer) = (self.tokenizer.clone(), self.composer.clone());
        let config = PeerConfig {
            mix,
            max_new: MAX_NEW,
            stage_samples: 1,
            learning_rate: self.learning_rate,
            // A peer that is rolled back would hide what its mix does.
            guard: GuardConfig {
                window: 1,
                drop: f32::INFINITY,
            },
            ..PeerConfig::default()
        };
        Ok(Peer::new(PeerParts {
            id,
            policy,
            trainer,
            tokenizer,
            judge,
            composer,
            config,
        })?)
    }

    /// As many practice questions as the mix has own groups for each peer, each answered by one
    /// peer. The seed changes all questions and all noise.
    fn spec(&self, mix: Mix, seed: u64) -> Spec {
        let game = Game {
            topics: FamilyId::NANO.len() as u16,
            practice: mix.own as u16 * self.peers,
            common: 0,
            group: GROUP,
            answerers: 1,
            common_answerers: 0,
            critics: 0,
            deciders: 0,
            text_bytes: 64,
            tokens: MAX_NEW as u16,
            weighting: Weighting::Plurality,
        };
        let swarm = SwarmConfig {
            name: format!("sapo {seed}"),
            tasks: "nano".into(),
            model: "nano".into(),
            numerics: "ro1".into(),
            settlement: String::new(),
            genesis_ms: 10_000,
            windows: Windows::uniform(1_000),
            game,
            agreement: Agreement::default(),
            membership: Membership::default(),
        };
        Spec {
            swarm: Arc::new(swarm),
            peers: (0..self.peers).map(|peer| self.peer_spec(peer)).collect(),
            rounds: self.rounds,
            seed,
            network: Network::default(),
            crashes: Vec::new(),
            compute_ms: 300,
        }
    }

    fn peer_spec(&self, peer: u16) -> PeerSpec {
        let own_topic = 1 << (usize::from(peer) % FamilyId::NANO.len());
        let topics = if self.specialists {
            own_topic
        } else {
            u64::MAX
        };
        PeerSpec {
            topics,
            ..PeerSpec::new(Role::Honest)
        }
    }
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0), |(sum, count), value| (sum + value, count + 1));
    sum / f64::from(count.max(1))
}
