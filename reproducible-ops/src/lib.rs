//! Numbers.
pub mod random;
pub mod scalar;
