//! Node.

pub mod round;
