//! The running node: what joins models, tasks, learning, rounds and settlement into commands.
//!
//! ```text
//! main ─▶ cli ─┬─▶ config                       settings: default < file < environment < flag
//!              ├─▶ demo ─┬─▶ swarm_round::sim    a swarm on virtual time, and its peers alone
//!              │         └─▶ swarm_settle        what rounds were worth becomes money
//!              ├─▶ node ─┬─▶ swarm_net          a swarm on the network
//!              │         └─▶ api                the way to a node that runs
//!              ├─▶ lab ─▶ cluster ─▶ hosts       scenarios that assert: processes, on loopback or
//!              │                     emulated    in namespaces with a network between them
//!              ├─┬─▶ pipeline ─▶ skippipe      a model across peers, a stage each
//!              │ ├─▶ averaging                 replicas at peers, which meet now and then
//!              │ └─▶ meeting                   how the peers of either find together
//!              └─▶ job ──▶ swarm_learn           learning peers from a checkpoint
//! ```

// Printing goes through `cli::output`, which never panics where the macros do: on a closed pipe or
// a full disk.
#![deny(clippy::print_stdout, clippy::print_stderr)]

pub mod api;
pub mod averaging;
pub mod cli;
pub mod cluster;
pub mod config;
pub mod demo;
pub mod emulated;
pub mod engine_thread;
pub mod hosts;
pub mod job;
pub mod lab;
pub mod meeting;
pub mod node;
pub mod pipeline;
pub mod record_file;
