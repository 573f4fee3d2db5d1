//! Puts a model, an engine and the learner together.

use std::sync::Arc;

use reproducible_ops::engine::Engine;
use reproducible_ops::tensor::TensorError;
use reproducible_ops::weights::Weights;
use swarm_model::generate::GenerateError;
use swarm_model::programs::ProgramError;
use swarm_model::rope::Tables;
use swarm_model::{Generator, ModelConfig, Tokenizer, programs, rope};

use super::assemble::{AssembleError, Objective, OptimizerConfig};
use super::programs::{Programs, TrainError};
use super::scorer::Scorer;
use super::trainer::Trainer;

/// Why a model cannot be set up for learning.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SetupError {
    /// The model cannot be recorded.
    #[error(transparent)]
    Program(#[from] ProgramError),
    /// The training programs cannot be assembled.
    #[error(transparent)]
    Assemble(#[from] AssembleError),
    /// The position tables cannot be made.
    #[error(transparent)]
    Tables(#[from] TensorError),
    /// The trainer does not take the weights.
    #[error(transparent)]
    Train(#[from] TrainError),
    /// The generator does not take the weights.
    #[error(transparent)]
    Generate(#[from] GenerateError),
}

/// The training programs of a model; made once and shared by all peers that train it.
///
/// # Errors
/// The model cannot be recorded or differentiated.
pub fn training_programs(
    model: &ModelConfig,
    rows: usize,
    length: usize,
    objective: Objective,
    optimizer: &OptimizerConfig,
) -> Result<Arc<Programs>, SetupError> {
    let forward = programs::forward(model, rows, length)?;
    Ok(Arc::new(Programs::new(&forward, objective, optimizer)?))
}

/// A training run of a model from these parameters.
///
/// # Errors
/// The parameters are not the model's, or the engine refuses the programs.
pub fn trainer(
    engine: &dyn Engine,
    model: &ModelConfig,
    programs: Arc<Programs>,
    params: &Weights,
) -> Result<Trainer, SetupError> {
    let params = with_tables(model, programs.length, params)?;
    Ok(Trainer::new(engine, programs, &params)?)
}

/// Scores completions under these parameters.
///
/// # Errors
/// The parameters are not the model's, or the engine refuses the program.
pub fn scorer(
    engine: &dyn Engine,
    model: &ModelConfig,
    rows: usize,
    length: usize,
    params: &Weights,
) -> Result<Scorer, SetupError> {
    let forward = programs::forward(model, rows, length)?;
    Ok(Scorer::new(
        engine,
        &forward,
        &with_tables(model, length, params)?,
    )?)
}

/// A generator of a model with these parameters.
///
/// # Errors
/// The parameters are not the model's.
pub fn generator(
    engine: Arc<dyn Engine>,
    model: &ModelConfig,
    tokenizer: &Tokenizer,
    params: Weights,
) -> Result<Generator, SetupError> {
    let mut generator = Generator::new(engine, model.clone(), tokenizer.ends())?;
    generator.set_weights(params)?;
    Ok(generator)
}

/// Parameters with the constants of the forward program of rows of `length` tokens.
///
/// # Errors
/// The model has fewer positions.
pub fn with_tables(
    model: &ModelConfig,
    length: usize,
    params: &Weights,
) -> Result<Weights, SetupError> {
    let Tables { cos, sin } = Tables::new(model, length)?;
    let mut all = params.clone();
    all.extend([(rope::COS.to_owned(), cos), (rope::SIN.to_owned(), sin)]);
    Ok(all)
}
