//! Random numbers as a pure function of (key, counter): Philox4x32-10, the only source of
//! randomness in the project.
//!
//! * A key is derived from a domain, a job (or swarm) and a beacon by [`key_from`]; a [`Counter`]
//!   names the draw. Whoever knows both can recompute any single number, in any order, on any
//!   device.
//! * [`Stream`] deals numbers one after the other for shuffles and task generators on the host.
//! * [`uniform_at`] and [`fill_uniform`] are the program operator `philox_uniform`.

mod philox;
mod stream;

pub use philox::{Counter, block, fill_uniform, gumbel, key_from, uniform_at, uniform_open};
pub use stream::Stream;
