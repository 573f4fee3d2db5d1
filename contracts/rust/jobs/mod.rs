//! Jobs of training on a chain: the contracts, what they are told, and what they say.
//!
//! ```text
//! Referee ◀─ GameRules ◀─ DisputeGame ◀─▶ JobEscrow ─▶ token
//! ```
//! A payer launches a job, a worker accepts it, does it, seals its claim and commits to it; whoever
//! recomputed something else opens a game ([`crate::game`]). All money is the escrow's.

mod calls;
mod deploy;
mod event;

pub use calls::{
    Commit, JobSpec, accept, commit, commit_seal, expire, finalize, id_of, launch, owed_to, seal,
    withdraw,
};
pub use deploy::{JobContracts, JobParameters, deploy};
pub use event::JobEvent;
