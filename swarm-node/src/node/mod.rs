//! The running node: one loop around the round core.
//!
//! ```text
//! join ─▶ run ─▶ node ─┬─ asking, query   what is asked of peers, and answered to them
//!                      ├─ disk, archive   what is written: signatures, rounds, the journal
//!                      ├─ duplicate       who else signs with the node's key
//!                      ├─ worker, learner what the model does
//!                      ├─ report, status, event, board   what the owner sees
//!                      └─ control, schedule              what the owner wants
//!                      ├─ settling, votes what rounds are worth, on a chain
//! home, swarm_file, round_file, evidence_file, config    where it lives, whom it joins, what it proves
//! ```
//! Invariants: the core decides, and everything here carries out; what a signature depends on is on
//! disk before it leaves; nothing a peer sends can stop the loop, and every queue has a limit.

pub mod announcing;
mod archive;
mod asking;
pub mod board;
pub mod config;
pub mod control;
mod disk;
mod duplicate;
pub mod event;
pub mod evidence_file;
pub mod home;
pub mod join;
mod learner;
#[expect(
    clippy::module_inception,
    reason = "the node's own state and its inputs"
)]
mod node;
pub mod parts;
pub mod query;
mod recent;
mod report;
pub mod round_file;
pub mod run;
pub mod schedule;
pub mod settling;
pub mod status;
pub mod swarm_file;
pub mod time;
mod votes;
mod worker;
