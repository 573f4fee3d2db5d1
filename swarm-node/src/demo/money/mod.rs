//! The money of a demo: its peers stake, sign what each epoch was worth, and are paid on a chain.
//!
//! ```text
//! demo's thread ──rounds──▶ Money ══▶ Office: connect ─▶ prepare ─▶ Desk: one settle::Node for each peer
//!               ◀─accounts─┘                               (deploy, stake, bind)   ◀── attestations ──▶
//! ```
//! The chain never stops the demo. Rounds that end before it answers wait in the channel; what
//! cannot be settled in time is shown as pending, with the reason. The peers' rounds are the same
//! with any chain and with none.

mod account;
mod cast;
mod desk;
mod economy;
mod ground;
mod handle;
mod office;
mod prepare;
mod run_file;

pub use account::{Account, MoneyReport, Place};
pub(super) use cast::Cast;
pub use cast::Funder;
pub(super) use economy::Economy;
pub use economy::{TOKEN, UNITS_PER_POINT, token_text};
pub(super) use handle::Money;
pub use run_file::{Run, RunError};
