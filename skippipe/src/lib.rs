//! SkipPipe: a model too big for one peer is cut into stages, and microbatches take paths through the
//! peers that hold them, around slow links and through failures.
//!
//! Everything here is pure: no I/O and no clock; time, messages and what an engine computed are
//! arguments.

pub mod path;
pub mod sim;
pub mod topology;
