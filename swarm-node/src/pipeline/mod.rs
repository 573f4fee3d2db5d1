//! Pipelines: a job whose model is cut into stages that peers hold.
//!
//! ```text
//! job.toml ─▶ charter (job, peers, who holds what) ─▶ every peer
//!                 │ blueprint: programs, data, settings
//!                 ▼
//! probe ─▶ what links and engines take (each peer measures) ─▶ paths, what a step should take
//!                 ▼
//! channels ◀─▶ member (skippipe, pure) ◀─▶ engine, a thread of its own
//!                 │                    ◀─▶ paths, planned anew when who holds what has changed
//!                 └─▶ transcript, a file; one machine replays it
//! kept (what came to a stage in its last steps) ─▶ stage_job: a step of one stage, as a job of its own
//! ```
//! [`crate::meeting`] is how peers find together: the first one waits for the others and then tells
//! everybody who takes part.

pub mod blueprint;
pub mod kept;
pub mod paths;
pub mod probe;
pub mod run;
pub mod seats;
pub mod stage_job;
pub mod status;
pub mod transcript;
pub mod word;
