//! Averaging jobs: replicas of one model at peers, which train apart and meet after each round.
//!
//! ```text
//! job.toml ─▶ charter (job, peers: one a replica) ─▶ every peer
//!                 │ blueprint: programs, rows, settings
//!                 ▼
//! channels ◀─▶ member (swarm_learn::averaging, pure) ◀─▶ replica, an engine in a thread of its own
//!                 │                                       └─▶ its state after each round, two files
//!                 └─▶ ledger: what all replicas signed ─▶ transcript, a file; one machine replays it
//! ```
//! A peer that was killed begins anew with its folder: the state after the last round that it
//! signed, and the round after that once more. What it may sign is what the table of its key says,
//! so it never signs two different things about one round.

pub mod blueprint;
pub mod keys;
pub mod ledger;
pub mod replica;
pub mod run;
pub mod status;
pub mod transcript;
pub mod word;
