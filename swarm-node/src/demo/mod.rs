//! A whole swarm on one machine: specialists who share, peers that learn alone, and what each could
//! after how many completions generated.
//!
//! ```text
//! base ─┬─ measure                                                        before
//!       ├─ ensemble ─ held-out questions, joint decisions                 round 0
//!       ├─ controls ─ peers in swarms of their own ─────────── measure    a curve per arm
//!       └─ swarm    ─ all peers in one swarm ─┬─────────────── measure    a curve
//!                            │                └─ ensemble                 after the last round
//!                            └─ rewards ─ epochs on a chain               earned, claimed, pending
//! a job ─ a worker that gets one bit wrong, and a verifier                 found, played, paid for
//! ```
//! | arm | questions per round | of |
//! |---|---|---|
//! | swarm | `questions` practice and `common` common ones per peer | its own family; all |
//! | alone, own | as many | its own family |
//! | alone, all | as many | all families |
//! | generalist | `generalist` times as many | all families |
//!
//! Every arm has as many training steps, of at most as many groups; a swarm's peer gets most of its
//! groups from others. The swarm's peers are processes of this program, over the real network
//! (`live`); on request they meet in [`swarm_round::sim`], on virtual time, through the same
//! messages. The controls always do. Peer n answers practice questions of the n-th family only;
//! what it knows of the others it learned from its peers, or from the common questions.
//!
//! Invariants: on virtual time, all but the seconds and what a chain does is a function of
//! settings, seed and base; threads and instruction sets change no bit. Held-out questions are
//! never trained on, and the same ones are asked for every seed.

mod arm;
mod cheat;
mod compare;
mod context;
mod controls;
mod ensemble;
mod error;
mod live;
mod measure;
mod plan;
mod play;
mod report;
mod rewards;
mod settle;
mod table;

pub use arm::{Arm, Point, Rates};
pub use cheat::CheatReport;
pub use compare::{Mode, run};
pub use ensemble::EnsembleAccuracy;
pub use error::DemoError;
pub use report::{
    ArmReport, ArmSummary, CurvePoint, DemoReport, DemoSummary, PeerReport, RateSummary,
    RewardSummary,
};
pub use rewards::{
    Funder, PeerBalance, RewardReport, RunError, RunFile, SettledOn, UNITS_PER_POINT,
};
pub use settle::{SettleError, settle};
pub use table::{render, render_rewards};
