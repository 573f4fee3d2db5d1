//! The daemon of an open training swarm, as a library.

pub mod learn;
pub mod round;
pub mod task;
