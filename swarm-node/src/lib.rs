//! The swarm node as a library; see the modules.

pub mod task;
