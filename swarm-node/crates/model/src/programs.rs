//! The decoder as programs: what training, prefill and decoding execute.
//!
//! All take the parameters of [`ModelConfig::parameters`] and the constants `rope.cos` and
//! `rope.sin` (f32 `[P, head_dim]`, values from [`rope::Tables`]). P is the number of positions
//! that the program addresses: T, or C of a decode step; positions are below P. Further inputs and
//! outputs:
//!
//! * [`forward`]: `tokens positions segment parent` i32 `[B, T]` → `logits` f32 `[B, T, vocab]`;
//! * [`prefill`]: `tokens positions` i32 `[B, T]` → caches, and `logits` if asked for;
//! * [`decode`]: `tokens positions` i32 `[B, 1]`, caches, and the inputs of sampling → caches,
//!   `logits` f32 `[B, vocab]`, `sampled greedy` i32 `[B]`, `logp` f32 `[B]`;
//! * [`replay`]: `tokens positions` i32 `[B, T]`, `places` i32 `[1, D]`, and the inputs of sampling
//!   for D rows → `sampled` i32 `[D]`: what decoding would have sampled after each of D tokens.
//!
//! *Caches* are `cache.{layer}.key` and `.value`, f32 `[B, kv_heads, C, head_dim]`: slot =
//! position. A decode step writes the slot of its token and attends to slots up to it, so what lies
//! behind (padding of a prompt, earlier tenants of the row) is never seen. Masked scores have
//! probability +0 and trailing zeros change no reduction: logits of prefill, decode and of a plain
//! causal row of forward are equal bit for bit, whatever B, T and C are.
//!
//! *Sampling* is Gumbel-max: inputs `key` i32 `[2]`, `counter` i32 `[B, 3]` (index, sample,
//! position: see [`reproducible_ops::random`]) and `temperature` f32 `[1]`; `sampled =
//! argmax(logits + temperature · gumbel)`, so temperature 0 is greedy. `logp` is the sampled
//! token's log-probability at temperature 1.

use burn::prelude::{Int, Tensor};
use burn::tensor::activation::log_softmax;
use burn::tensor::module::embedding;
use reproducible_ops::lower::{self, LowerError, Recorder, ops};
use reproducible_ops::program::{Program, Role};

use super::decoder::{CausalLm, Context, KeyValues, Mask};
use super::{ModelConfig, rope};

/// Why a program of a model cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum ProgramError {
    /// The decoder cannot be recorded.
    #[error("recording the decoder: {0}")]
    Lower(#[from] LowerError),
    /// More slots than positions, or fewer than tokens.
    #[error(
        "{tokens} tokens in {slots} slots for {max_positions} positions; tokens ≤ slots ≤ \
         positions must hold"
    )]
    Length {
        /// Tokens of one pass.
        tokens: usize,
        /// Slots of the cache.
        slots: usize,
        /// Positions of the model.
        max_positions: usize,
    },
    /// The model has fewer stages.
    #[error("stage {stage} of a model that is cut into {stages}")]
    Stage {
        /// The stage asked for.
        stage: usize,
        /// Stages of the model.
        stages: usize,
    },
}

/// Places of a replay whose logits are in memory at a time.
const DRAWS_AT_ONCE: usize = 64;

/// Name of a layer's key cache.
pub fn key_cache(layer: usize) -> String {
    format!("cache.{layer}.key")
}

/// Name of a layer's value cache.
pub fn value_cache(layer: usize) -> String {
    format!("cache.{layer}.value")
}

/// Logits of `rows` rows of `length` tokens with segments; the mask is that of [`Mask::segments`].
///
/// # Errors
/// See [`ProgramError`].
pub fn forward(config: &ModelConfig, rows: usize, length: usize) -> Result<Program, ProgramError> {
    check_lengths(config, length, length)?;
    record(config, |model, recorder| {
        let mut input = |name| recorder.int::<2>(name, Role::Data, [rows, length]);
        let (tokens, positions) = (input("tokens"), input("positions"));
        let (segment, parent) = (input("segment"), input("parent"));
        let mask = Mask::segments(positions.clone(), segment, parent);
        let context = context(recorder, [length, config.head_dim], positions, mask);
        recorder.output("logits", model.forward(tokens, &context));
    })
}

/// Sizes of a prefill.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Prefill {
    /// Prompts.
    pub rows: usize,
    /// Tokens of each, padding included.
    pub length: usize,
    /// Slots of the caches; those behind `length` are zero.
    pub slots: usize,
    /// Whether there is an output `logits` f32 `[B, T, vocab]`; without it the last layer's
    /// attention is not computed.
    pub logits: bool,
}

/// Keys and values of prompts, each at positions 0, 1, … of its row; padding goes behind.
///
/// # Errors
/// See [`ProgramError`].
pub fn prefill(config: &ModelConfig, sizes: Prefill) -> Result<Program, ProgramError> {
    let Prefill {
        rows,
        length,
        slots,
        logits,
    } = sizes;
    check_lengths(config, length, slots)?;
    record(config, |model, recorder| {
        let mut input = |name| recorder.int::<2>(name, Role::Data, [rows, length]);
        let (tokens, positions) = (input("tokens"), input("positions"));
        let mask = Mask::causal(positions.clone(), positions.clone());
        let context = context(recorder, [length, config.head_dim], positions, mask);
        let hidden = model.hidden(tokens, &context, &mut |layer, own| {
            let widen = |x: Tensor<4>| x.pad((0, 0, 0, slots - length), 0.0);
            recorder.output(&key_cache(layer), widen(own.key.clone()));
            recorder.output(&value_cache(layer), widen(own.value.clone()));
            own
        });
        if logits {
            recorder.output("logits", model.logits(hidden));
        }
    })
}

/// One token for each of `rows` rows over caches of `slots` slots, sampled in the program.
///
/// # Errors
/// See [`ProgramError`].
pub fn decode(config: &ModelConfig, rows: usize, slots: usize) -> Result<Program, ProgramError> {
    check_lengths(config, 1, slots)?;
    record(config, |model, recorder| {
        let mut input = |name| recorder.int::<2>(name, Role::Data, [rows, 1]);
        let (tokens, positions) = (input("tokens"), input("positions"));
        let all_slots = Tensor::<1, Int>::arange(0..slots as i64, recorder.device())
            .unsqueeze::<2>()
            .expand([rows, slots]);
        let mask = Mask::causal(positions.clone(), all_slots);
        let context = context(recorder, [slots, config.head_dim], positions.clone(), mask);
        let at = positions.expand([rows, config.num_kv_heads]);
        let hidden = model.hidden(tokens, &context, &mut |layer, own| {
            let mut cache = |name: &str, rows_of: Tensor<4>| {
                update(recorder, config, slots, name, rows_of, &at)
            };
            let key = cache(&key_cache(layer), own.key);
            let value = cache(&value_cache(layer), own.value);
            KeyValues { key, value }
        });
        let logits = model.logits(hidden).reshape([rows, config.vocab_size]);
        sample(recorder, logits);
    })
}

/// Sizes of a replay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Replay {
    /// Prompts with their completions.
    pub rows: usize,
    /// Tokens of each, padding included.
    pub length: usize,
    /// Tokens that are sampled.
    pub draws: usize,
}

/// What decoding would have sampled, from one pass over prompts and completions. Each row is at
/// positions 0, 1, … with padding behind; a place is row · T + position of the token whose logits
/// are sampled from.
///
/// Logits are computed for so many places at a time that memory does not grow with the vocabulary
/// times the completion.
///
/// # Errors
/// See [`ProgramError`].
pub fn replay(config: &ModelConfig, sizes: Replay) -> Result<Program, ProgramError> {
    let Replay {
        rows,
        length,
        draws,
    } = sizes;
    check_lengths(config, length, length)?;
    record(config, |model, recorder| {
        let mut input = |name| recorder.int::<2>(name, Role::Data, [rows, length]);
        let (tokens, positions) = (input("tokens"), input("positions"));
        let places = recorder.int::<2>("places", Role::Data, [1, draws]);
        let noise = Noise::inputs(recorder, draws);
        let mask = Mask::causal(positions.clone(), positions.clone());
        let context = context(recorder, [length, config.head_dim], positions, mask);
        let hidden = model.hidden(tokens, &context, &mut |_, own| own);
        let hidden = hidden.reshape([rows * length, config.hidden_size]);
        let starts = (0..draws).step_by(DRAWS_AT_ONCE);
        let sampled = starts.map(|start| {
            let count = DRAWS_AT_ONCE.min(draws - start);
            let picked = embedding(hidden.clone(), places.clone().narrow(1, start, count));
            let logits = model.logits(picked).reshape([count, config.vocab_size]);
            noise.draw(logits, noise.counter.clone().narrow(0, start, count))
        });
        let sampled = Tensor::cat(sampled.collect(), 0);
        recorder.output("sampled", sampled.reshape([draws]));
    })
}

/// The cache `name` with this step's rows written at `at`, also as an output of the same name.
fn update(
    recorder: &mut Recorder,
    config: &ModelConfig,
    slots: usize,
    name: &str,
    rows: Tensor<4>,
    at: &Tensor<2, Int>,
) -> Tensor<4> {
    let shape = [rows.dims()[0], config.num_kv_heads, slots, config.head_dim];
    let cache = recorder.float::<4>(name, Role::State, shape);
    let updated = ops::update_rows(cache, rows, at.clone());
    recorder.output(name, updated.clone());
    updated
}

/// Appends sampling to `logits` `[B, vocab]`.
fn sample(recorder: &mut Recorder, logits: Tensor<2>) {
    let [rows, _] = logits.dims();
    let noise = Noise::inputs(recorder, rows);
    let sampled = noise.draw(logits.clone(), noise.counter.clone());
    let logp = log_softmax(logits.clone(), 1).gather(1, sampled.clone());
    recorder.output("greedy", logits.clone().argmax(1).reshape([rows]));
    recorder.output("logits", logits);
    recorder.output("sampled", sampled.reshape([rows]));
    recorder.output("logp", logp.reshape([rows]));
}

/// The inputs of sampling.
struct Noise {
    key: Tensor<1, Int>,
    counter: Tensor<2, Int>,
    temperature: Tensor<1>,
}

impl Noise {
    fn inputs(recorder: &mut Recorder, rows: usize) -> Self {
        Self {
            key: recorder.int("key", Role::Data, [2]),
            counter: recorder.int("counter", Role::Data, [rows, 3]),
            temperature: recorder.float("temperature", Role::Data, [1]),
        }
    }

    /// One token per row of `logits` `[N, vocab]`, i32 `[N, 1]`; `counter` is `[N, 3]`.
    fn draw(&self, logits: Tensor<2>, counter: Tensor<2, Int>) -> Tensor<2, Int> {
        let [_, vocab] = logits.dims();
        let gumbel = ops::philox_uniform(self.key.clone(), counter, vocab)
            .log()
            .neg()
            .log()
            .neg();
        (logits + gumbel * self.temperature.clone().unsqueeze()).argmax(1)
    }
}

/// The rotations of `positions` from tables of the shape `[positions that are addressed,
/// head_dim]`.
pub(crate) fn context(
    recorder: &mut Recorder,
    table: [usize; 2],
    positions: Tensor<2, Int>,
    mask: Mask,
) -> Context {
    let cos = recorder.float::<2>(rope::COS, Role::Constant, table);
    let sin = recorder.float::<2>(rope::SIN, Role::Constant, table);
    Context::new(positions, cos, sin, mask)
}

pub(crate) fn record(
    config: &ModelConfig,
    body: impl FnOnce(&CausalLm, &mut Recorder),
) -> Result<Program, ProgramError> {
    Ok(lower::lower(&CausalLm::unfilled(config), body)?.program)
}

pub(crate) fn check_lengths(
    config: &ModelConfig,
    tokens: usize,
    slots: usize,
) -> Result<(), ProgramError> {
    let max_positions = config.max_positions;
    if tokens <= slots && slots <= max_positions {
        return Ok(());
    }
    Err(ProgramError::Length {
        tokens,
        slots,
        max_positions,
    })
}
