//! A whole swarm in one process: specialists who share, the same peers alone as control, and what each has learned.
//!
//! ```text
//! base ─┬─ measure                                                  before
//!       ├─ council ─ held-out questions, joint decisions            round 0
//!       ├─ alone   ─ every peer in a swarm of its own  ── measure   alone
//!       └─ swarm   ─ all peers in one swarm ─┬─────────── measure   swarm
//!                           │                └─ council             after the last round
//!                           └─ money ─ epochs on a chain            earned, claimed, pending
//! ```
//! Peers meet in [`crate::round::sim`], on virtual time, through real messages. Peer n answers practice questions of the
//! n-th family only; what it knows of the others it learned from its peers, or from the common questions.
//!
//! Invariants: all but the seconds and what a chain does is a function of settings, seed and base; threads and instruction sets change no bit.
//! Held-out questions are never trained on, and the same ones are asked for every seed.

mod alone;
mod council;
mod measure;
mod money;
mod parallel;
mod plan;
mod report;
mod run;
mod settle;
mod table;

pub use council::Council;
pub use measure::Rates;
pub use money::{Account, Funder, MoneyReport, Place, Run, RunError, TOKEN, UNITS_PER_POINT, token_text};
pub use report::{DemoReport, MoneySummary, PeerReport, Summary};
pub use run::{DemoError, run};
pub use settle::{SettleError, settle};
pub use table::{render, render_money};
