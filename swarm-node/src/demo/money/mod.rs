//! The money of a demo: its peers stake, sign what each epoch was worth, and are paid on a chain.
//!
//! ```text
//! demo's thread ──rounds──▶ Money ══▶ thread of the chain: connect ─▶ prepare ─▶ one settle::Node for each peer
//!               ◀─accounts─┘                               (deploy, stake, bind)   ◀── attestations ──▶
//! ```
//! The chain never stops the demo. Rounds that end before it answers wait in the channel; what cannot be settled in time
//! is shown as pending, with the reason. The peers' rounds are the same with any chain and with none.

mod account;
mod cast;
mod economy;
mod prepare;
mod run_file;
mod thread;

pub use account::{Account, MoneyReport, Place};
pub(super) use cast::Cast;
pub use cast::Funder;
pub(super) use economy::Economy;
pub use economy::token_text;
pub use run_file::{Run, RunError};
pub(super) use thread::Money;
