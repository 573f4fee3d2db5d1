//! Reinforcement learning without peers: one model, its own questions, the same learner as in a
//! swarm.
//!
//! ```text
//! questions ─▶ completions ─▶ rewards ─▶ informative groups ─▶ update ─▶ guard ─▶ checkpoint
//! ```
//! The questions of a step and the noise of their completions are functions of the seed and of the
//! number of steps done. A checkpoint holds that number, the optimizer's state, the guard and the
//! state that the guard would return to: with them, a run that is stopped anywhere and resumed has
//! the bits of one that was not, rollbacks included.

use std::path::PathBuf;
use std::sync::Arc;

use reproducible_ops::engine::Engine;
use reproducible_ops::random::key_from;
use reproducible_ops::weights::Weights;
use serde::{Deserialize, Serialize};
use swarm_identity::digest::hex;
use swarm_learn::advantage::mean;
use swarm_learn::checkpoint::{Checkpoint, CheckpointError};
use swarm_learn::group::{Group, Rollout};
use swarm_learn::guard::{Guard, Verdict};
use swarm_learn::inputs::Example;
use swarm_learn::peer::example;
use swarm_learn::policy::{Policy, PolicyError};
use swarm_learn::programs::TrainError;
use swarm_learn::run_folder::RunFolder;
use swarm_learn::sapo::Mix;
use swarm_learn::schedule::Schedule;
use swarm_learn::trainer::{StepReport, TrainState, Trainer};
use swarm_model::Generator;
use swarm_model::generate::{Generation, Prompt, Request};
use swarm_model::tokenizer::TextError;
use swarm_round::Stage;
use swarm_task::prompt::PromptError;
use swarm_task::{FamilyId, Library, Question, Split, TaskError};

use super::factory::{FactoryError, ModelFactory};

const DOMAIN: &str = "swarm-node solo";

/// What determines a run, beside the model and [`swarm_learn::LearnConfig`].
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
    ModelFactory(#[from] FactoryError),
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
    /// The guard would return to a state that the checkpoint lacks.
    #[error(
        "the newest checkpoint in {path} has a guard without the state to return to, or the \
         reverse; it was changed by hand: remove it to resume from the one before it",
        path = path.display()
    )]
    NoBest {
        /// The run's folder.
        path: PathBuf,
    },
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
    guard: Guard,
}

/// A run in progress.
pub struct Solo<'a> {
    config: SoloConfig,
    factory: &'a ModelFactory,
    library: &'a Library,
    generator: Generator,
    trainer: Trainer,
    guard: Guard,
    best: Option<TrainState>,
    folder: RunFolder,
    /// What a checkpoint must share with the run to be its own.
    identity: serde_json::Value,
    /// Steps of the run; the optimizer's own count lacks those without an informative group, and
    /// falls in a rollback.
    steps: u64,
    /// Steps that were done when the newest checkpoint was written or read.
    saved: Option<u64>,
}

impl<'a> Solo<'a> {
    /// A run from the factory's model; with `resume` it continues where the newest checkpoint of
    /// the folder stands. Damaged checkpoints that were passed over are returned as texts for
    /// people.
    ///
    /// # Errors
    /// See [`SoloError`].
    pub fn new(
        config: SoloConfig,
        factory: &'a ModelFactory,
        library: &'a Library,
        engine: Arc<dyn Engine>,
        folder: RunFolder,
        resume: bool,
    ) -> Result<(Self, Vec<String>), SoloError> {
        let weights = &factory.model().weights;
        let trainer = factory.trainer(engine.as_ref(), weights)?;
        let generator = factory.generator(engine, weights.clone())?;
        let guard = Guard::new(factory.learn().guard());
        let identity = serde_json::json!({
            "train": serde_json::to_value(&config)?,
            "learn": serde_json::to_value(factory.learn())?,
            "start": hex(&weights.digest()),
            "gsm8k_sha256": library.gsm8k_digest().map(hex),
        });
        let mut run = Self {
            config,
            factory,
            library,
            generator,
            trainer,
            guard,
            best: None,
            folder,
            identity,
            steps: 0,
            saved: None,
        };
        let damaged = if resume { run.resume()? } else { Vec::new() };
        Ok((run, damaged))
    }

    fn resume(&mut self) -> Result<Vec<String>, SoloError> {
        let (newest, damaged) = self.folder.resume(&self.identity)?;
        if let Some(checkpoint) = newest {
            let memory: Memory = serde_json::from_value(checkpoint.run)?;
            if memory.guard.has_best() != checkpoint.best.is_some() {
                return Err(SoloError::NoBest {
                    path: self.folder.root().into(),
                });
            }
            self.restore(&checkpoint.state)?;
            (self.steps, self.guard, self.best) = (checkpoint.steps, memory.guard, checkpoint.best);
            self.saved = Some(self.steps);
        }
        Ok(damaged.iter().map(ToString::to_string).collect())
    }

    fn restore(&mut self, state: &TrainState) -> Result<(), SoloError> {
        self.trainer.restore(state)?;
        Ok(self.generator.load(self.trainer.param_buffers()?)?)
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

    /// The folder of the checkpoint of this moment, which is written unless it is there.
    ///
    /// # Errors
    /// The system refuses.
    pub fn save(&mut self) -> Result<PathBuf, SoloError> {
        if self.saved == Some(self.steps) {
            return Ok(self.folder.path(self.steps));
        }
        let run = serde_json::to_value(Memory {
            guard: self.guard.clone(),
        })?;
        let (state, best, config) = (
            self.trainer.state()?,
            self.best.clone(),
            self.identity.clone(),
        );
        let path = self.folder.save(&Checkpoint {
            steps: self.steps,
            state,
            best,
            config,
            run,
        })?;
        self.saved = Some(self.steps);
        Ok(path)
    }

    /// One step: questions, completions, rewards, at most one update.
    ///
    /// # Errors
    /// See [`SoloError`].
    pub fn step(&mut self) -> Result<SoloStep, SoloError> {
        let groups = self.groups()?;
        let rewards: Vec<f32> = groups.iter().map(Group::mean_reward).collect();
        let reward = mean(&rewards);
        let drawn = Mix::alone(self.config.groups)
            .draw(&groups, &[], self.key("draw"), 0)
            .own;
        let batch: Vec<Example> = drawn
            .iter()
            .filter_map(|at| groups.get(*at))
            .map(example)
            .collect();
        let step = self.update(&batch)?;
        let verdict = self.observe(&rewards)?;
        self.steps += 1;
        Ok(SoloStep {
            reward,
            groups: batch.len(),
            step,
            verdict,
        })
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
        let model = self.factory.model();
        let prompt = |(index, question): (u32, &Question)| {
            let text = self.factory.composer().share(&question.prompt)?.text;
            Ok(Prompt {
                tokens: model.tokenizer.encode_prompt(&text)?,
                index,
            })
        };
        let prompts = (0..)
            .zip(&questions)
            .map(prompt)
            .collect::<Result<Vec<_>, SoloError>>()?;
        let (samples, max_new) = (
            self.factory.learn().group.into(),
            self.factory.learn().max_new,
        );
        let request = Request {
            prompts: &prompts,
            samples,
            max_new,
            key: self.key("sample"),
            temperature: 1.0,
        };
        let written = self.generator.write(&request)?;
        let groups = questions.iter().zip(prompts).zip(written);
        groups
            .map(|((question, prompt), written)| self.group(question, prompt, written))
            .collect()
    }

    /// The questions of this step: families in turn, rows of a data set drawn.
    fn questions(&self) -> Result<Vec<Question>, SoloError> {
        let first = self.steps.wrapping_mul(self.config.questions as u64);
        let families = self
            .config
            .families
            .iter()
            .cycle()
            .take(self.config.questions);
        let question = |(index, (family, difficulty)): (u64, &(FamilyId, u8))| {
            let task =
                self.library
                    .task(*family, *difficulty, Split::Train, self.config.seed, index)?;
            Ok(self.library.question(&task)?)
        };
        (first..).zip(families).map(question).collect()
    }

    fn group(
        &self,
        question: &Question,
        prompt: Prompt,
        written: Vec<Generation>,
    ) -> Result<Group, SoloError> {
        let rollout = |completion: Generation| {
            let reward =
                question.score(&self.factory.model().tokenizer.decode(&completion.tokens)?);
            Ok(Rollout {
                tokens: completion.tokens,
                reward,
                behaviour_logp: None,
            })
        };
        let rollouts = written
            .into_iter()
            .map(rollout)
            .collect::<Result<_, SoloError>>()?;
        Ok(Group {
            stage: Stage::Share,
            prompt: prompt.tokens,
            rollouts,
        })
    }

    fn update(&mut self, batch: &[Example]) -> Result<Option<StepReport>, SoloError> {
        if batch.is_empty() {
            return Ok(None);
        }
        let learn = self.factory.learn();
        let rate =
            Schedule::constant(learn.learning_rate, learn.warmup).rate(self.trainer.step_count());
        let report = self.trainer.step(batch, rate)?;
        self.generator.load(self.trainer.param_buffers()?)?;
        Ok(Some(report))
    }

    fn observe(&mut self, rewards: &[f32]) -> Result<Verdict, SoloError> {
        let verdict = self.guard.observe(rewards);
        match verdict {
            Verdict::Continue => {}
            Verdict::Best => self.best = Some(self.trainer.state()?),
            Verdict::RollBack { .. } => {
                #[expect(
                    clippy::expect_used,
                    reason = "the guard promises it, and `resume` checks what it reads"
                )]
                let best = self
                    .best
                    .clone()
                    .expect("invariant: a rollback comes after a best state");
                self.restore(&best)?;
            }
        }
        Ok(verdict)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use swarm_settings::Sources;

    use super::super::{Model, Silent, engine};
    use super::*;
    use crate::config::{self, Config};

    /// A rate at which the shipped base collapses within a few steps, and a guard that notices.
    fn unstable() -> Config {
        let settings = [
            ("learn.guard_window", "8"),
            ("learn.guard_drop", "0.02"),
            ("learn.warmup", "0"),
            ("learn.learning_rate", "0.01"),
            ("learn.group", "4"),
        ];
        let flags =
            settings.map(|(name, value)| (name.to_owned(), value.to_owned(), "a test".to_owned()));
        config::load(&Sources {
            flags: flags.to_vec(),
            ..Sources::default()
        })
        .unwrap()
        .config::<Config>()
        .unwrap()
    }

    fn config() -> SoloConfig {
        SoloConfig {
            seed: 1,
            families: vec![(FamilyId::Max, 0), (FamilyId::Count, 0)],
            questions: 4,
            groups: 4,
        }
    }

    fn open(root: &Path) -> RunFolder {
        RunFolder::open(root, 100, Arc::default()).unwrap()
    }

    fn copy(from: &Path, to: &Path) {
        std::fs::create_dir_all(to).unwrap();
        for entry in std::fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            let (path, to) = (entry.path(), to.join(entry.file_name()));
            if path.is_dir() {
                copy(&path, &to);
            } else {
                std::fs::copy(&path, &to).unwrap();
            }
        }
    }

    /// By induction over single steps: a run resumed after any number of steps is at each later
    /// step, in everything that a checkpoint holds, where the run is that never stopped.
    #[test]
    fn a_run_resumed_anywhere_is_the_run_that_never_stopped_rollbacks_included() {
        const STEPS: u64 = 12;
        let (config, temporary) = (unstable(), tempfile::tempdir().unwrap());
        let factory = ModelFactory::new(
            Model::load(None, &Silent).unwrap(),
            config.learn.clone(),
            None,
        )
        .unwrap();
        let library = Library::new();
        let start = |root: &Path, resume: bool| {
            let engine = engine(&config.engine, 1).unwrap();
            let (run, damaged) = Solo::new(
                self::config(),
                &factory,
                &library,
                engine,
                open(root),
                resume,
            )
            .unwrap();
            assert!(damaged.is_empty());
            run
        };
        let unbroken = temporary.path().join("unbroken");
        let mut run = start(&unbroken, false);
        let mut rollbacks = 0;
        let mut checkpoints = Vec::new();
        for steps in 1..=STEPS {
            rollbacks += usize::from(matches!(
                run.step().unwrap().verdict,
                Verdict::RollBack { .. }
            ));
            let path = run.save().unwrap();
            assert!(path.ends_with(format!("step-{steps:08}")));
            checkpoints.push((path.clone(), Checkpoint::load(&path).unwrap()));
            let newest = swarm_learn::run_folder::newest(&unbroken)
                .unwrap()
                .0
                .unwrap();
            assert_eq!(
                newest, path,
                "the newest checkpoint is not the one just saved"
            );
            let printed = run.params().unwrap();
            assert_eq!(
                Weights::load(newest.join("model.safetensors")).unwrap(),
                printed
            );
        }
        let fell = checkpoints
            .windows(2)
            .any(|pair| pair[1].1.state.step < pair[0].1.state.step);
        let waiting = checkpoints
            .iter()
            .any(|(_, one)| one.best.as_ref().is_some_and(|best| *best != one.state));
        assert!(
            rollbacks > 0 && fell && waiting,
            "{rollbacks} rollbacks; the run is too tame to test anything"
        );
        for (at, pair) in checkpoints.windows(2).enumerate() {
            let [(path, _), (_, expected)] = pair else {
                unreachable!("windows of two")
            };
            let root = temporary.path().join(format!("resumed-{at}"));
            copy(path, &root.join(path.file_name().unwrap()));
            let mut resumed = start(&root, true);
            assert_eq!(resumed.steps(), at as u64 + 1);
            resumed.step().unwrap();
            let found = Checkpoint::load(&resumed.save().unwrap()).unwrap();
            assert_eq!(found, *expected, "resumed after {} steps", at + 1);
        }
    }

    #[test]
    fn a_guard_without_its_state_is_refused() {
        let (config, temporary) = (unstable(), tempfile::tempdir().unwrap());
        let factory = ModelFactory::new(
            Model::load(None, &Silent).unwrap(),
            config.learn.clone(),
            None,
        )
        .unwrap();
        let library = Library::new();
        let engine = engine(&config.engine, 1).unwrap();
        let new = |resume| {
            Solo::new(
                self::config(),
                &factory,
                &library,
                engine.clone(),
                open(temporary.path()),
                resume,
            )
        };
        let mut run = new(false).unwrap().0;
        run.step().unwrap();
        run.step().unwrap();
        let path = run.save().unwrap();
        drop(run);
        let saved = Checkpoint::load(&path).unwrap();
        assert!(saved.best.is_some());
        let without = Checkpoint {
            best: None,
            ..saved
        };
        open(temporary.path()).save(&without).unwrap();
        assert!(matches!(
            new(true).map(|_| ()),
            Err(SoloError::NoBest { .. })
        ));
    }
}
