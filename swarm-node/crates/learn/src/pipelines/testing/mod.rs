//! Pipelines that meet, in memory: toys, and real stages.

mod faults;
mod hostile;
mod network;
mod stages;
