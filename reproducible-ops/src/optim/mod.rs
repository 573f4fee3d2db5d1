//! Optimizers as program transforms: a program with a loss becomes one whole training step.
//!
//! ```text
//! forward ──grad──▶ gradients ──clip──▶ clipped ──update──▶ outputs named like the inputs they replace
//! inputs added:   `learning_rate` (data), optimizer moments and powers (state)
//! outputs added:  every parameter and state by its name, `grad_norm`
//! ```
//!
//! A step needs no number from the host but the learning rate: what depends on the step count is a
//! state scalar that the program multiplies. [`crate::engine::Session::advance`] turns the outputs
//! into the next inputs.
//!
//! Every update is one chain of elementwise operators per parameter, from the gradient to the new
//! value, in which scalars enter as `reshape [] → [1, …] → expand`. An engine can therefore run it
//! as one pass over memory.

mod adamw;
mod clip;
mod sgd;
mod state;
mod step;
#[cfg(test)]
mod tests;

pub use adamw::{AdamW, Decay};
pub use clip::{Clipped, clip_by_global_norm, clip_by_norm, global_norm};
pub use sgd::Sgd;
pub use state::initial_state;
pub use step::{Optimizer, Parameter, StepError, TrainStep};

/// The data input with the learning rate: a scalar f32.
pub const LEARNING_RATE: &str = "learning_rate";
/// The output with the global gradient norm before clipping: a scalar f32.
pub const GRAD_NORM: &str = "grad_norm";
