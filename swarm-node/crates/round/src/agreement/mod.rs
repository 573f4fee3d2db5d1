//! Agreement: all members count the same messages, whenever these arrived at each of them.
//!
//! A message at the very edge of its window reaches some members in time and others not. So no
//! member's own clock decides what counts; the members agree on one small thing per round, which of
//! their *receipts* count, and everything else follows.
//!
//! ```text
//! last window ends                       ┌────────────── Tendermint ──────────────┐
//!   │ Receipt (a bit per place) ─► Minutes ─► Proposal ─► Prevotes ─► Precommits ─► Certificate
//!   │                              receipts,                                        │
//!   │                              contradictions,                                  ▼
//!   │                              transcript digest                   DecidedRound ─► resolve
//! ```
//! A place counts if receipts in the minutes with more than half of the weight show it. A voter
//! accepts minutes only if it can check every receipt in them, if every receipt and contradiction
//! that it had itself by the middle of the receipt window is in them, and if the transcript that
//! follows has the digest that they name. While less than a third of the weight is hostile,
//! * an honest message in time counts: more than two thirds show it, and nobody can leave an honest
//!   receipt out;
//! * hostile receipts alone count nothing;
//! * no two minutes of one round are decided, whatever is withheld, delayed or contradicted.
//!
//! The decision runs beside the next rounds, which need nothing of it. Whoever lacks it, or a
//! receipt or message that it names, asks any holder ([`Want`]); a decided round proves itself
//! ([`RoundRecord::open`]).
//!
//! | module | what is in it |
//! |---|---|
//! | `place` | the places of a round in their order |
//! | `receipt` | which of them a member had in time |
//! | `minutes` | what is agreed on, and what counts by it |
//! | `voters` | who votes |
//! | `vote`, `rules`, `consensus` | Tendermint, by `arc-malachitebft-core-driver` |
//! | `certificate`, `decided` | a decision, and its proof |
//! | `record` | the bytes of both |
//! | `progress` | one round on its way to its decision |
//! | `history` | the rounds that are decided, and who was present in them |

mod certificate;
mod consensus;
mod decided;
mod history;
mod minutes;
mod place;
mod progress;
mod receipt;
mod record;
mod rules;
#[cfg(test)]
pub(crate) mod testing;
mod vote;
mod voters;
mod want;

pub use certificate::{Certificate, CertificateError};
pub use consensus::MAX_AHEAD;
pub use decided::{AdoptError, DecidedRound};
pub use history::History;
pub use minutes::{MAX_STRUCK, Minutes};
pub use place::{MessagePlace, Places};
pub(crate) use progress::{Act, Decision, Progress, Surroundings, Times};
pub use receipt::{Receipt, ReceiptName};
pub use record::{MAX_RECORD, RoundRecord};
pub use vote::{Proposal, Vote};
pub use voters::{Seat, Voters};
pub use want::{MAX_WANTED, Want, Wanted};
