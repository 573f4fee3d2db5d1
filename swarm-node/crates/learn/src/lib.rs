//! Learning: supervised warm start, GRPO on one's own and others' experience, evaluation,
//! checkpoints.
//!
//! ```text
//!                 head ─┬─ supervised ┐
//! forward program ──────┴─ grpo ──────┴─▶ assemble ─▶ trainer ◀─ inputs ◀─ batch (packing)
//!                                                       ▲   │
//! corpus ───────────────────────────▶ pretrain ─────────┤   ├──▶ checkpoint ─▶ run_folder
//! data_set ─▶ training_plan (the programs of a trainer as a plan) ─▶ job_run ─┘     job_audit ─▶ step_trace, evidence_file
//! model ─▶ generation_plan (the programs of the generator as a plan) ─▶ job_run, job_audit
//! step_trace ─▶ published (what a worker published of its job, as a record that refutes it)
//! stages of a model ─▶ pipeline (programs of each stage, their engine, a step of all of them replayed)
//! trainers apart ─▶ averaging (outer steps of groups of them, replayed)
//! pipelines apart ─▶ pipelines (outer steps stage by stage, replayed)
//! model ─▶ receipt (what it answered, verified by one pass)
//! round ─▶ driver ─▶ peer ─▶ group ─▶ advantage, sapo ──┘   └──▶ policy ─▶ eval
//!                      ├── judge (questions and rewards), exchange (texts of others)
//!                      └── guard (roll back)
//! ```
//! GRPO compares the completions of one prompt with each other. A group of four answers, one of
//! them right, teaches the right one most; a group of equal rewards teaches nothing:
//!
//! ```
//! use swarm_learn::advantage::{advantages, is_informative};
//!
//! let rewards = [0.0, 1.0, 0.0, 0.0];
//! assert!(is_informative(&rewards) && !is_informative(&[1.0; 4]));
//! // (reward − mean) / (standard deviation + ε); mean 1/4, deviation 1/2.
//! let found = advantages(&rewards);
//! assert!((found[1] - 1.5).abs() < 1e-3 && (found[0] + 0.5).abs() < 1e-3);
//! ```
//!
//! Invariants: everything that is trained on, and its order, is a function of seeds and texts; all
//! numbers come from programs or from fixed arithmetic. So a run has the same digest on every
//! machine and for any number of threads.
//!
//! The model is seen through two seams only: a forward program (`tokens`, `positions`, `segment`,
//! `parent` → `logits`), and a [`policy::Policy`] that writes.

pub mod advantage;
pub mod assemble;
pub mod averaging;
pub mod batch;
pub mod checkpoint;
pub mod config;
pub mod data_set;
pub mod driver;
pub mod eval;
pub mod evidence_file;
pub mod exchange;
pub mod generation_plan;
pub mod group;
pub mod grpo;
pub mod guard;
pub mod head;
mod hex_text;
pub mod inputs;
pub mod job_audit;
pub mod job_plan;
pub mod job_record;
pub mod job_run;
pub mod judge;
pub mod peer;
pub mod pipeline;
pub mod pipelines;
pub mod policy;
pub mod pretrain;
pub mod programs;
pub mod published;
pub mod receipt;
pub mod run_folder;
pub mod sapo;
pub mod schedule;
pub mod scorer;
pub mod setup;
pub mod step_trace;
pub mod supervised;
pub mod trainer;
pub mod training_plan;
mod wiring;

pub use config::LearnConfig;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
