//! The specification of a job of generation: which prompts a model answers, and how it draws.
//!
//! ```text
//! spec ─▶ model, prompts ─▶ GenerationPlan ─▶ plan digest, initial state root ─▶ job
//! ```
//! Seed and temperature mean what they mean in a receipt ([`swarm_learn::receipt`]): a job's answers
//! are those of `swarm-node receipt make`.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use swarm_learn::eval::EvalSet;
use swarm_learn::generation_plan::{MAX_NEW, MAX_ROWS};
use swarm_learn::receipt::{Quiz, Sampling};
use swarm_model::generate::Prompt;

use super::source::Model;
use super::spec::{self, JobError, ModelSpec, at, wrong};

/// A job of generation. It has as many steps as its answers take.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GenerationSpec {
    /// Seed of the noise, of held-out questions, and of the weights of a preset.
    pub seed: u64,
    /// Steps between two checkpoints; divides the steps.
    pub stride: u64,
    /// What answers.
    pub model: ModelSpec,
    /// What is asked.
    pub prompts: PromptSpec,
    /// How answers are drawn.
    pub generation: DrawSpec,
}

/// Where prompts come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum PromptSpec {
    /// Held-out questions of a family.
    Quiz(Quiz),
    /// A file with an object `{"prompt": …}` in each line.
    Jsonl(PathBuf),
}

/// How answers are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DrawSpec {
    /// Answers of a step; divides all answers.
    pub rows: usize,
    /// Answers to each prompt.
    #[serde(default = "one")]
    pub samples: u32,
    /// Most tokens of an answer, its end included.
    pub max_new: usize,
    /// Temperature; 0 takes the most probable token.
    pub temperature: f32,
}

fn one() -> u32 {
    1
}

/// A line of a JSONL file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    prompt: String,
}

impl GenerationSpec {
    /// Reads a specification; its paths become relative to the present folder.
    ///
    /// # Errors
    /// See [`JobError`]; a malformed file is reported with its line.
    pub fn load(path: &Path) -> Result<Self, JobError> {
        let spec: Self = spec::load(path, Self::paths)?;
        spec.check()?;
        Ok(spec)
    }

    /// Writes the specification, with paths that hold from anywhere; a file that says the same
    /// stays as it is.
    ///
    /// # Errors
    /// The system refuses.
    pub fn save(&self, path: &Path) -> Result<(), JobError> {
        spec::save(self, path, Self::paths)
    }

    fn paths(&mut self) -> Vec<&mut PathBuf> {
        let prompts = match &mut self.prompts {
            PromptSpec::Jsonl(path) => Some(path),
            PromptSpec::Quiz(_) => None,
        };
        self.model.path_mut().into_iter().chain(prompts).collect()
    }

    /// Checks every number of the specification against its limits.
    ///
    /// # Errors
    /// [`JobError`] names the first that is out of them.
    pub fn check(&self) -> Result<(), JobError> {
        let DrawSpec {
            rows,
            samples,
            max_new,
            temperature,
        } = self.generation;
        if !(1..=1 << 16).contains(&rows) {
            return Err(wrong("generation.rows", rows, "from 1 to 65536"));
        }
        if !(1..=1 << 16).contains(&samples) {
            return Err(wrong("generation.samples", samples, "from 1 to 65536"));
        }
        if !(1..=MAX_NEW).contains(&max_new) {
            return Err(wrong("generation.max_new", max_new, "from 1 to 4096"));
        }
        if !(temperature >= 0.0 && temperature.is_finite()) {
            let key = "generation.temperature";
            return Err(wrong(key, temperature, "0 or above, and finite"));
        }
        if let PromptSpec::Quiz(quiz) = &self.prompts
            && !(1..=MAX_ROWS).contains(&quiz.questions)
        {
            let key = "prompts.quiz.questions";
            return Err(wrong(key, quiz.questions, "from 1 to 4194304"));
        }
        Ok(())
    }

    /// How a model draws its answers.
    pub(super) fn sampling(&self, model: &Model) -> Sampling {
        Sampling {
            seed: self.seed,
            temperature: self.generation.temperature,
            max_new: self.generation.max_new,
            ends: model.tokenizer.ends().to_vec(),
        }
    }

    /// What a model is asked, as text and as it reads it.
    ///
    /// # Errors
    /// The file cannot be read, or the model not read a prompt.
    pub(super) fn prompts(&self, model: &Model) -> Result<(Vec<String>, Vec<Prompt>), JobError> {
        match &self.prompts {
            PromptSpec::Quiz(quiz) => {
                let set = EvalSet::held_out(
                    &[(quiz.family, quiz.difficulty)],
                    quiz.questions,
                    self.seed,
                    &model.composer(),
                    &model.tokenizer,
                    self.generation.max_new,
                )?;
                Ok((set.texts().to_vec(), set.prompts().to_vec()))
            }
            PromptSpec::Jsonl(path) => {
                let (mut texts, mut prompts) = (Vec::new(), Vec::new());
                for (index, (place, line)) in (0..).zip(spec::lines::<Line>(path)?) {
                    let tokens = model.tokenizer.encode_prompt(&line.prompt);
                    let tokens = tokens.map_err(|source| at(place, source))?;
                    texts.push(line.prompt);
                    prompts.push(Prompt { tokens, index });
                }
                Ok((texts, prompts))
            }
        }
    }
}
