//! Whole-program tests: the real binary, its messages and its exit codes.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod anvil;
mod audits;
mod averaging;
mod commands;
mod configs;
mod devchain;
mod disputes;
mod errors;
mod faults;
mod flood;
mod http;
mod job_chain;
mod jobs;
mod js_client;
mod keys;
mod live;
mod network;
mod node;
mod output;
mod peers;
mod pipelines;
mod receipts;
mod runs;
mod settlement;
mod signals;
mod stage_disputes;
mod swarm;
mod transformers;
