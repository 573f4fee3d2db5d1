//! Reinforcement learning without peers: one model, its own questions, the same learner as in a swarm.
//!
//! ```text
//! step ─▶ questions ─▶ completions ─▶ rewards ─▶ groups that tell apart ─▶ optimizer step ─▶ guard ─▶ checkpoint
//! ```
//! The questions of a step and the noise of their completions are functions of seed and step, so a run that is stopped
//! and resumed has the bits of one that was not.

use std::path::PathBuf;
use std::sync::Arc;

use reproducible_ops::engine::Engine;
use reproducible_ops::random::key_from;
use reproducible_ops::weights::Weights;
use serde::{Deserialize, Serialize};

use super::workshop::{Workshop, WorkshopError};
use crate::learn::advantage::mean;
use crate::learn::checkpoint::{Checkpoint, CheckpointError, Store};
use crate::learn::group::{Group, Rollout};
use crate::learn::guard::{Guard, Verdict};
use crate::learn::inputs::Example;
use crate::learn::peer::example;
use crate::learn::policy::{Policy, PolicyError};
use crate::learn::sapo::Mix;
use crate::learn::schedule::Schedule;
use crate::learn::trainer::{StepReport, TrainError, TrainState, Trainer};
use crate::model::Generator;
use crate::model::generate::{Completion, Prompt, Request};
use crate::model::tokenizer::TextError;
use crate::round::Stage;
use crate::round::digest::hex;
use crate::task::prompt::PromptError;
use crate::task::{FamilyId, Library, Question, Split, TaskError};

const DOMAIN: &str = "swarm-node solo";

/// What determines a run, beside the model and [`crate::config::LearnConfig`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SoloConfig {
    /// Seed of questions and sampling.
    pub seed: u64,
    /// Families with difficulties, in turn.
    pub families: Vec<(FamilyId, u8)>,
    /// Questions per step.
    pub questions: usize,
    /// Most groups per step.
    pub groups: usize,
}

/// Why a run stops.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SoloError {
    /// The model cannot be put to work.
    #[error(transparent)]
    Workshop(#[from] WorkshopError),
    /// A question cannot be had.
    #[error(transparent)]
    Task(#[from] TaskError),
    /// A prompt does not fit.
    #[error(transparent)]
    Prompt(#[from] PromptError),
    /// A text cannot be read.
    #[error(transparent)]
    Text(#[from] TextError),
    /// The model cannot write.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// A step fails.
    #[error(transparent)]
    Train(#[from] TrainError),
    /// A checkpoint cannot be written or read.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// What is stored beside a checkpoint cannot be written or read.
    #[error("the run's state: {0}; start in an empty folder")]
    State(#[from] serde_json::Error),
}

/// What a step did.
#[derive(Clone, Debug, PartialEq)]
pub struct SoloStep {
    /// Mean reward over all completions.
    pub reward: f32,
    /// Groups trained on.
    pub groups: usize,
    /// The optimizer step; none if no group told completions apart.
    pub step: Option<StepReport>,
    /// What the guard made of it.
    pub verdict: Verdict,
}

/// What is stored beside parameters and moments.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Memory {
    /// Steps of the run; the optimizer's own count lacks those without an informative group.
    steps: u64,
    guard: Guard,
}

/// A run in progress.
pub struct Solo<'a> {
    config: SoloConfig,
    workshop: &'a Workshop,
    library: &'a Library,
    generator: Generator,
    trainer: Trainer,
    guard: Guard,
    best: Option<TrainState>,
    store: Store,
    steps: u64,
}

impl<'a> Solo<'a> {
    /// A run from the workshop's model; with `resume` it continues where the newest checkpoint of the store stands.
    /// Damaged checkpoints that were passed over are returned as texts for people.
    ///
    /// # Errors
    /// See [`SoloError`].
    pub fn new(
        config: SoloConfig,
        workshop: &'a Workshop,
        library: &'a Library,
        engine: Arc<dyn Engine>,
        store: Store,
        resume: bool,
    ) -> Result<(Self, Vec<String>), SoloError> {
        let weights = &workshop.model().weights;
        let trainer = workshop.trainer(engine.as_ref(), weights)?;
        let generator = workshop.generator(engine, weights.clone())?;
        let guard = Guard::new(workshop.learn().guard());
        let mut run = Self { config, workshop, library, generator, trainer, guard, best: None, store, steps: 0 };
        let damaged = if resume { run.resume()? } else { Vec::new() };
        Ok((run, damaged))
    }

    fn resume(&mut self) -> Result<Vec<String>, SoloError> {
        let (newest, damaged) = self.store.latest()?;
        if let Some(checkpoint) = newest {
            checkpoint.require_config(&self.identity()?, &self.store.path(checkpoint.state.step))?;
            let memory: Memory = serde_json::from_value(checkpoint.run)?;
            (self.steps, self.guard) = (memory.steps, memory.guard);
            self.restore(&checkpoint.state)?;
        }
        Ok(damaged.into_iter().map(|damaged| damaged.error.to_string()).collect())
    }

    fn restore(&mut self, state: &TrainState) -> Result<(), SoloError> {
        self.trainer.restore(state)?;
        Ok(self.generator.load(state.params.clone())?)
    }

    /// What a checkpoint must share with the run to be its own.
    fn identity(&self) -> Result<serde_json::Value, SoloError> {
        let start = hex(&self.workshop.model().weights.digest());
        let learn = format!("{:?}", self.workshop.learn());
        Ok(serde_json::json!({ "solo": serde_json::to_value(&self.config)?, "learn": learn, "start": start }))
    }

    /// Steps done.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// The model as it stands, for evaluation.
    pub fn generator(&mut self) -> &mut Generator {
        &mut self.generator
    }

    /// The parameters.
    ///
    /// # Errors
    /// Only where the engine lost an input.
    pub fn params(&self) -> Result<Weights, SoloError> {
        Ok(self.trainer.params()?)
    }

    /// Writes a checkpoint.
    ///
    /// # Errors
    /// The system refuses.
    pub fn save(&self) -> Result<PathBuf, SoloError> {
        let run = serde_json::to_value(Memory { steps: self.steps, guard: self.guard.clone() })?;
        let checkpoint = Checkpoint { state: self.trainer.state()?, config: self.identity()?, run };
        Ok(self.store.save(&checkpoint)?)
    }

    /// One step: questions, completions, rewards, at most one update.
    ///
    /// # Errors
    /// See [`SoloError`].
    pub fn step(&mut self) -> Result<SoloStep, SoloError> {
        let groups = self.groups()?;
        let rewards: Vec<f32> = groups.iter().map(Group::mean_reward).collect();
        let reward = mean(&rewards);
        let mix = Mix { own: self.config.groups, external: 0, filter: true };
        let drawn = mix.draw(&groups, &[], self.key("draw"), 0).own;
        let batch: Vec<Example> = drawn.iter().filter_map(|at| groups.get(*at)).map(example).collect();
        let step = self.update(&batch)?;
        let verdict = self.observe(reward)?;
        self.steps += 1;
        Ok(SoloStep { reward, groups: batch.len(), step, verdict })
    }

    /// A Philox key of this step.
    fn key(&self, purpose: &str) -> [u32; 2] {
        let (mut job, mut beacon) = ([0; 32], [0; 32]);
        job[24..].copy_from_slice(&self.config.seed.to_be_bytes());
        beacon[24..].copy_from_slice(&self.steps.to_be_bytes());
        key_from(&format!("{DOMAIN} {purpose}"), &job, &beacon)
    }

    fn groups(&mut self) -> Result<Vec<Group>, SoloError> {
        let questions = self.questions()?;
        let model = self.workshop.model();
        let prompt = |(index, question): (u32, &Question)| {
            let text = self.workshop.composer().share(&question.prompt)?.text;
            Ok(Prompt { tokens: model.tokenizer.encode_prompt(&text)?, index })
        };
        let prompts = (0..).zip(&questions).map(prompt).collect::<Result<Vec<_>, SoloError>>()?;
        let (samples, max_new) = (self.workshop.learn().group.into(), self.workshop.learn().max_new);
        let request = Request { prompts: &prompts, samples, max_new, key: self.key("sample"), temperature: 1.0 };
        let written = self.generator.write(&request)?;
        let groups = questions.iter().zip(prompts).zip(written);
        groups.map(|((question, prompt), written)| self.group(question, prompt, written)).collect()
    }

    /// The questions of this step: families in turn, rows of a data set drawn.
    fn questions(&self) -> Result<Vec<Question>, SoloError> {
        let first = self.steps.wrapping_mul(self.config.questions as u64);
        let families = self.config.families.iter().cycle().take(self.config.questions);
        let question = |(index, (family, difficulty)): (u64, &(FamilyId, u8))| {
            let task = self.library.task(*family, *difficulty, Split::Train, self.config.seed, index)?;
            Ok(self.library.question(&task)?)
        };
        (first..).zip(families).map(question).collect()
    }

    fn group(&self, question: &Question, prompt: Prompt, written: Vec<Completion>) -> Result<Group, SoloError> {
        let rollout = |completion: Completion| {
            let reward = question.score(&self.workshop.model().tokenizer.decode(&completion.tokens)?);
            Ok(Rollout { tokens: completion.tokens, reward, behaviour_logp: None })
        };
        let rollouts = written.into_iter().map(rollout).collect::<Result<_, SoloError>>()?;
        Ok(Group { stage: Stage::Share, prompt: prompt.tokens, rollouts })
    }

    fn update(&mut self, batch: &[Example]) -> Result<Option<StepReport>, SoloError> {
        if batch.is_empty() {
            return Ok(None);
        }
        let learn = self.workshop.learn();
        let rate = Schedule::constant(learn.learning_rate, learn.warmup).rate(self.trainer.step_count());
        let report = self.trainer.step(batch, rate)?;
        self.generator.load(self.trainer.params()?)?;
        Ok(Some(report))
    }

    fn observe(&mut self, reward: f32) -> Result<Verdict, SoloError> {
        let verdict = self.guard.observe(reward);
        match (&verdict, self.best.take()) {
            (Verdict::Best, _) => self.best = Some(self.trainer.state()?),
            (Verdict::RollBack { .. }, Some(best)) => {
                self.restore(&best)?;
                self.best = Some(best);
            }
            (_, best) => self.best = best,
        }
        Ok(verdict)
    }
}
