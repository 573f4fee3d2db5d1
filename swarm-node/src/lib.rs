//! Node.
pub mod model;
