//! Pipeline training: what one peer computes for its stage of a model, and one machine for all of
//! them.
//!
//! ```text
//! stage 0        embed ─▶ hidden ──┐                    ┌──▶ loss ─▶ gradient ──┐                ┌─▶ backward
//! stage s                          └▶ forward ─▶ … ─────┘                       └▶ backward ─▶ … ┘
//!
//! each stage     gradients of its visits ─▶ sum ─▶ squares ─▶ (norm of all stages) ─▶ update
//! ```
//! [`programs::StagePrograms`] are the programs of a stage, [`stage_engine::StageEngine`] runs them
//! on an engine, [`worker::StageWorker`] is the engine as members of a pipeline
//! ([`skippipe::member`]) ask it for work, and [`skippipe::replay`] runs a step of all stages from
//! its record. [`microbatch`] is what is learned from, [`data`] which of it a step takes,
//! [`gradient`] what is added up, [`check`] what is refused. [`stage_plan`] is a step of a stage as
//! a plan, so that it can be disputed, and [`stage_audit`] computes it again alone.
//!
//! Invariants: without skips, with one replica of each stage and tensors sent as f32, parameters
//! and moments of all stages have the bits of a [`super::trainer::Trainer`] of the whole model.
//! Gradients are added in the order of microbatches, whatever order they arrived in. A stage that a
//! microbatch skips is the identity on the residual stream; the stage's gradient is the mean over
//! the tokens that visited it. A stage that no microbatch of a step visits keeps its state, powers
//! included.
//!
//! Limits: cross-entropy and AdamW. Everything that comes from a peer (hidden states, gradients,
//! sums, states, microbatches) is checked for type, range and finiteness before it is used.

pub mod check;
pub mod data;
pub mod gradient;
pub mod microbatch;
pub mod programs;
#[cfg(test)]
mod replay;
pub mod stage_audit;
pub mod stage_engine;
pub mod stage_plan;
pub mod worker;

#[cfg(test)]
mod tests;
