//! SkipPipe: a model too big for one machine is cut into stages, and microbatches take paths through the
//! peers that hold them, around slow links and through failures.
//!
//! ```text
//! member, leader ─▶ messages ─▶ members …        passes, reduction, commits, succession, recovery
//!    │ work                                      done by whatever holds the parameters (Engine)
//!    └▶ transcript (records, statements) ─▶ replay: one machine computes a step again, bit for bit
//! ```
//! | module | what is in it |
//! |---|---|
//! | [`path`] | peers, stages, microbatches, and the paths that they take |
//! | [`content`] | bytes on their way, and their hash |
//! | [`encoding`] | tensors as bytes: f32, bf16, block-wise 8 bits |
//! | [`message`] | what members say to each other |
//! | [`settings`] | what members agree on beforehand |
//! | [`member`] | a peer's state machine; the leader's is inside |
//! | [`work`] | what it asks of an engine |
//! | [`event`] | what a watcher learns |
//! | [`transcript`] | what a step was, and what members sign |
//! | [`replay`] | a step computed again from its record |
//!
//! Everything here is pure: no I/O and no clock; time, messages, signatures and what an engine computed
//! are arguments.

pub mod content;
pub mod encoding;
pub mod event;
mod leader;
pub mod member;
pub mod message;
pub mod path;
pub mod replay;
pub mod settings;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod transcript;
pub mod work;
