//! Moves and positions of dispute games as `DisputeGame.sol` reads them.
//!
//! ```text
//! verde::game::Move ──encode──▶ Move        with the parts of plan and programs that it needs
//!                   ◀──decode──             as the events of a game carry it, without those parts
//! verde::game::Place ─follow──▶ Position ──▶ bytes, of which the contract keeps the hash
//! ```
//! The rules are `verde`'s, and once more the contract's; here is only how one is written as the
//! other. A contract knows a plan and its programs by their digest, so a move to it shows the parts
//! that it is judged by; everybody has those, so `verde`'s moves are without them.

mod bytes;
pub mod calls;
mod decode;
mod encode;
mod event;
mod position;
mod step_claim;
mod types;

pub use bytes::{EncodeError, pack};
pub use decode::{DecodeError, decode};
pub use encode::Encoder;
pub use event::GameEvent;
pub use step_claim::{Refutation, SignedStep, announce, step_claim_digest};
pub use types::*;
