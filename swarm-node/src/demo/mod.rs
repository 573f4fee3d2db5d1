//! A whole swarm in one process: specialists who share, peers that learn alone, and what each could
//! after how many completions generated.
//!
//! ```text
//! base ─┬─ measure                                                        before
//!       ├─ council  ─ held-out questions, joint decisions                 round 0
//!       ├─ controls ─ peers in swarms of their own ─────────── measure    a curve per arm
//!       └─ swarm    ─ all peers in one swarm ─┬─────────────── measure    a curve
//!                            │                └─ council                  after the last round
//!                            └─ money ─ epochs on a chain                 earned, claimed, pending
//! ```
//! | arm | questions per round | of |
//! |---|---|---|
//! | swarm | `questions` practice and `common` common ones per peer | its own family; all |
//! | alone, own | as many | its own family |
//! | alone, all | as many | all families |
//! | generalist | `generalist` times as many | all families |
//!
//! Every arm has as many training steps, of at most as many groups; a swarm's peer gets most of its
//! groups from others. Peers meet in [`swarm_round::sim`], on virtual time, through real messages.
//! Peer n answers practice questions of the n-th family only; what it knows of the others it
//! learned from its peers, or from the common questions.
//!
//! Invariants: all but the seconds and what a chain does is a function of settings, seed and base;
//! threads and instruction sets change no bit. Held-out questions are never trained on, and the
//! same ones are asked for every seed.

mod arm;
mod controls;
mod council;
mod measure;
mod money;
mod parallel;
mod plan;
mod report;
mod run;
mod settle;
mod table;

pub use arm::{Arm, Point, Rates};
pub use council::Council;
pub use money::{
    Account, Funder, MoneyReport, Place, Run, RunError, TOKEN, UNITS_PER_POINT, token_text,
};
pub use report::{
    ArmReport, ArmSummary, CurvePoint, DemoReport, MoneySummary, PeerReport, RateSummary, Summary,
};
pub use run::{DemoError, run};
pub use settle::{SettleError, settle};
pub use table::{render, render_money};
