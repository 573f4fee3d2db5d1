//! Jobs of training on a chain: the contracts, what they are told, and what they say.
//!
//! ```text
//! Referee ◀─ GameRules ◀─ DisputeGame ◀─▶ JobEscrow ─▶ token
//! ```
//! A payer launches a job, a worker accepts it, does it, seals its claim and commits to it; whoever
//! recomputed something else opens a game ([`crate::game`]). All money is the escrow's.

mod calls;
mod deploy;
mod escrow;
mod event;
mod file;

pub use calls::{
    Commit, JobSpec, accept, cancel, commit, commit_seal, expire, finalize, id_of, launch, owed_to,
    reveal, seal, verifier_seal, withdraw,
};
pub use deploy::{JobContracts, JobParameters, deploy};
pub use escrow::{Escrow, JobState, JobView};
pub use event::JobEvent;
pub use file::{JobDeployment, VERSION};
