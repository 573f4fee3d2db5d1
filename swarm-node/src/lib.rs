//! The running node: models, tasks, learning and rounds, and the commands that put them to work.

pub mod model;
pub mod round;
pub mod task;
