//! Receipts: what a model answers to a prompt, or to the held-out questions of a family, with all
//! that it follows from; verified by one pass over each prompt with its answer.
//!
//! ```text
//! make    prompt, seed ─▶ decoding, a step per token ─▶ answer ─▶ receipt
//! verify  receipt ─▶ one pass over prompt and answer ─▶ drawn tokens ─▶ the claimed ones?
//! ```
//! A receipt names the model by two digests: the root of its parameters, in the tree by which
//! [`verde::state`] commits to states, and the digest of its configuration. Where the parameters
//! are those of a checkpoint of a job, the receipt has the roots of the state's other tensors, too:
//! with the roots of the parameters they give the state's own root, which stands in the job's
//! history.
//!
//! Sampling is Gumbel-max with the noise of the seed alone, so the answer is a function of model,
//! prompt and sampling. Logits of one pass have the bits of decoding, on every engine; a drawn
//! token is compared with the claimed one, and nothing is compared with a tolerance.
//!
//! ```
//! use std::sync::Arc;
//!
//! use reproducible_ops::engine::cpu::CpuEngine;
//! use swarm_learn::receipt::{ModelParts, Receipt, ReceiptModel};
//! use swarm_model::{ModelConfig, Tokenizer, init};
//! use swarm_task::charset::CHARACTERS;
//! use swarm_task::prompt::{Composer, NANO_LIMITS, Style, characters};
//!
//! let config = ModelConfig { num_layers: 1, ..ModelConfig::preset("nano")? };
//! let tokenizer = Tokenizer::characters(CHARACTERS);
//! let composer = Composer::new(Style::Terse, NANO_LIMITS, &characters);
//! let parts = ModelParts { config: &config, tokenizer: &tokenizer, composer: &composer };
//! let weights = init::initialise(&config, 5)?;
//! let mut model = ReceiptModel::new(Arc::new(CpuEngine::new(1)), parts, weights)?;
//!
//! let made = model.answer("sort 38152=", model.sampling(7, 1.0, 8))?;
//! let read = Receipt::from_text(&made.to_text()?)?;
//! assert_eq!(model.verify(&read)?.finding, None);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Limits: who chooses the seed chooses among the answers that the model may give; whoever asks
//! should choose it. A state is what the receipt says until its root is found in a history. The
//! tokenizer is bound by what it gives: the tokens of the prompt, the text of the answer and the
//! ends.

mod check;
mod file;
#[cfg(test)]
mod tests;

use std::sync::Arc;

pub use check::{Finding, Verified};
pub use file::{MAX_BYTES, MAX_TOKENS, ReceiptFileError};
use reproducible_ops::engine::Engine;
use reproducible_ops::program::Digest;
use reproducible_ops::random::key_from;
use reproducible_ops::weights::Weights;
use serde::{Deserialize, Serialize};
use swarm_identity::digest::{Hasher, hex};
use swarm_model::generate::{GenerateError, Prompt, Request};
use swarm_model::tokenizer::TextError;
use swarm_model::{Generator, ModelConfig, Tokenizer};
use swarm_task::FamilyId;
use swarm_task::prompt::Composer;
use verde::state::{StateError, StateTree};
use verde::tensor;

use super::eval::{EvalError, EvalSet};
use super::hex_text;
use super::job_run::History;
use super::setup::{self, SetupError};

/// What a model answered, with all that it follows from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    /// Which model.
    pub model: ModelName,
    /// The state of a job whose parameters the model has, where it is one.
    pub state: Option<StateName>,
    /// How answers were drawn.
    pub sampling: Sampling,
    /// What was asked and answered.
    pub content: Content,
}

/// What was asked and answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum Content {
    /// An answer to a prompt.
    Answer {
        /// What was asked.
        prompt: Passage,
        /// What was answered, its end included where it was reached.
        answer: Passage,
    },
    /// Answers to held-out questions.
    Evaluation {
        /// The questions.
        quiz: Quiz,
        /// How many of them were answered rightly.
        right: usize,
        /// The tokens of the answer to each.
        answers: Vec<Vec<u32>>,
    },
}

/// The first held-out questions of a family, drawn by the seed of the sampling.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quiz {
    /// The family, one whose questions are generated.
    pub family: FamilyId,
    /// Its level.
    pub difficulty: u8,
    /// How many.
    pub questions: usize,
}

/// What names a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelName {
    /// Root of the tree over its parameters.
    #[serde(with = "hex_text::digest")]
    pub root: Digest,
    /// Digest of its configuration.
    #[serde(with = "hex_text::digest")]
    pub config: Digest,
}

/// A state that has a model's parameters among its tensors.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StateName {
    /// Root of the state.
    #[serde(with = "hex_text::digest")]
    pub root: Digest,
    /// Its tensors beside the parameters.
    pub others: Vec<TensorName>,
}

/// What names a tensor of a state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TensorName {
    /// Its name in the state.
    pub name: String,
    /// Its root.
    #[serde(with = "hex_text::digest")]
    pub root: Digest,
}

/// Text with its tokens.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Passage {
    /// As people read it; ends and padding have no text.
    pub text: String,
    /// As the model reads and writes it.
    pub tokens: Vec<u32>,
}

/// How answers are drawn.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sampling {
    /// Seed of the noise, and of held-out questions.
    pub seed: u64,
    /// Temperature; 0 takes the most probable token.
    pub temperature: f32,
    /// Most tokens of an answer, its end included.
    pub max_new: usize,
    /// Tokens that end an answer.
    pub ends: Vec<u32>,
}

/// Why there is no receipt, or none was verified.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReceiptError {
    /// The model cannot be put to work.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// The model cannot answer.
    #[error(transparent)]
    Generate(#[from] GenerateError),
    /// The prompt cannot be read by the model, or the answer not be written.
    #[error(transparent)]
    Text(#[from] TextError),
    /// The questions cannot be asked.
    #[error(transparent)]
    Eval(#[from] EvalError),
    /// There is no root of a state.
    #[error(transparent)]
    State(#[from] StateError),
    /// The receipt cannot be a file, nor come from one.
    #[error(transparent)]
    File(#[from] ReceiptFileError),
    /// The configuration cannot be written.
    #[error("the model's configuration: {0}")]
    Config(serde_json::Error),
    /// The parameters are not those of the state.
    #[error(
        "the model's parameters with the checkpoint's other tensors are a state with the root \
         {found}, and {noted} is noted in the checkpoint; it was changed, so no receipt names it"
    )]
    OtherState {
        /// The root.
        found: String,
        /// The one that was noted.
        noted: String,
    },
}

/// A model that makes and verifies receipts.
pub struct ReceiptModel<'a> {
    name: ModelName,
    parameters: Vec<(String, Digest)>,
    state: Option<StateName>,
    parts: ModelParts<'a>,
    generator: Generator,
}

/// What a model reads and writes by.
#[derive(Clone, Copy)]
pub struct ModelParts<'a> {
    /// Shapes and constants.
    pub config: &'a ModelConfig,
    /// Text and tokens.
    pub tokenizer: &'a Tokenizer,
    /// How questions are worded for it.
    pub composer: &'a Composer<'a>,
}

impl<'a> ReceiptModel<'a> {
    /// A model with these parameters, all of which are hashed.
    ///
    /// # Errors
    /// The parameters are not the model's.
    pub fn new(
        engine: Arc<dyn Engine>,
        parts: ModelParts<'a>,
        weights: Weights,
    ) -> Result<Self, ReceiptError> {
        let ModelParts {
            config, tokenizer, ..
        } = parts;
        let parameters = roots(&weights);
        let text = serde_json::to_string(config).map_err(ReceiptError::Config)?;
        let config_digest = Hasher::new("receipt/config").bytes(text.as_bytes());
        Ok(Self {
            name: ModelName {
                root: StateTree::new(parameters.clone())?.root(),
                config: config_digest.finish(),
            },
            parameters,
            state: None,
            parts,
            generator: setup::generator(engine, config, tokenizer, weights)?,
        })
    }

    /// What names the model.
    pub fn name(&self) -> ModelName {
        self.name
    }

    /// Ties receipts to the state that has these tensors beside the model's parameters, and must
    /// have the root that is noted for it.
    ///
    /// # Errors
    /// It has another.
    pub fn tie(&mut self, others: &Weights, noted: &str) -> Result<(), ReceiptError> {
        let others = roots(others);
        let all = self.parameters.iter().chain(&others).cloned();
        let root = StateTree::new(all)?.root();
        if hex(&root) != noted {
            return Err(ReceiptError::OtherState {
                found: hex(&root),
                noted: noted.to_owned(),
            });
        }
        let name = |(name, root)| TensorName { name, root };
        self.state = Some(StateName {
            root,
            others: others.into_iter().map(name).collect(),
        });
        Ok(())
    }

    /// How the model draws, with this seed and temperature and so many tokens at most.
    pub fn sampling(&self, seed: u64, temperature: f32, max_new: usize) -> Sampling {
        Sampling {
            seed,
            temperature,
            max_new,
            ends: self.parts.tokenizer.ends().to_vec(),
        }
    }

    /// Continues a prompt, as it stands, and makes the receipt of it.
    ///
    /// # Errors
    /// The prompt is empty, too long, or not text of the model.
    pub fn answer(&mut self, prompt: &str, sampling: Sampling) -> Result<Receipt, ReceiptError> {
        let tokens = self.parts.tokenizer.encode_prompt(prompt)?;
        let prompt = Passage {
            text: prompt.to_owned(),
            tokens,
        };
        prompt.check_length(&sampling)?;
        let written = self.write(&[prompt.asked()], &sampling)?;
        let tokens: Vec<u32> = written.into_iter().flatten().collect();
        let answer = Passage {
            text: self.parts.tokenizer.decode(&tokens)?,
            tokens,
        };
        Ok(self.receipt(sampling, Content::Answer { prompt, answer }))
    }

    /// Answers held-out questions, and makes the receipt of it.
    ///
    /// # Errors
    /// There are no such questions, or the model has no room for an answer.
    pub fn evaluate(&mut self, quiz: Quiz, sampling: Sampling) -> Result<Receipt, ReceiptError> {
        let set = self.questions(quiz, &sampling)?;
        let answers = self.write(set.prompts(), &sampling)?;
        let content = Content::Evaluation {
            quiz,
            right: self.right(&set, &answers)?,
            answers,
        };
        Ok(self.receipt(sampling, content))
    }

    fn receipt(&self, sampling: Sampling, content: Content) -> Receipt {
        Receipt {
            model: self.name,
            state: self.state.clone(),
            sampling,
            content,
        }
    }

    /// The tokens of one answer to each prompt.
    fn write(
        &mut self,
        prompts: &[Prompt],
        sampling: &Sampling,
    ) -> Result<Vec<Vec<u32>>, ReceiptError> {
        sampling.check_limits()?;
        let written = self.generator.generate(&Request {
            prompts,
            samples: 1,
            max_new: sampling.max_new,
            key: sampling.key(),
            temperature: sampling.temperature,
        })?;
        let answers = written.into_iter().flatten();
        Ok(answers.map(|answer| answer.tokens).collect())
    }

    fn questions(&self, quiz: Quiz, sampling: &Sampling) -> Result<EvalSet, EvalError> {
        let ModelParts {
            tokenizer,
            composer,
            ..
        } = self.parts;
        EvalSet::held_out(
            &[(quiz.family, quiz.difficulty)],
            quiz.questions,
            sampling.seed,
            composer,
            tokenizer,
            sampling.max_new,
        )
    }

    /// How many questions are answered rightly.
    fn right(&self, set: &EvalSet, answers: &[Vec<u32>]) -> Result<usize, TextError> {
        let mut right = 0;
        for ((_, question), tokens) in set.items().iter().zip(answers) {
            let text = self.parts.tokenizer.decode(tokens)?;
            right += usize::from(question.score(&text) > 0.0);
        }
        Ok(right)
    }
}

impl Receipt {
    /// The steps of a job after which its history has the receipt's state; none where it has not.
    pub fn steps_in(&self, history: &History) -> Option<u64> {
        let root = hex(&self.state.as_ref()?.root);
        let number = history.roots.iter().position(|noted| *noted == root)?;
        Some(number as u64 * history.identity.stride)
    }
}

impl Passage {
    /// The prompt as a generator takes it.
    fn asked(&self) -> Prompt {
        Prompt {
            tokens: self.tokens.clone(),
            index: 0,
        }
    }
}

impl Sampling {
    /// The key of the noise.
    pub fn key(&self) -> [u32; 2] {
        let mut seed = [0; 32];
        seed[24..].copy_from_slice(&self.seed.to_be_bytes());
        key_from("swarm-node/receipt", &seed, &[0; 32])
    }
}

/// Names and roots of tensors.
fn roots(tensors: &Weights) -> Vec<(String, Digest)> {
    let tensors = tensors.iter();
    tensors
        .map(|(name, tensor)| (name.to_owned(), tensor::root(tensor)))
        .collect()
}
