//! A toy stage and a network in memory: pipelines of many peers in one thread, on virtual time,
//! with anything going wrong.

pub mod network;
pub mod toy;

#[cfg(test)]
mod faults;
