//! One writer of transactions per account: it makes each transaction happen once.
//!
//! A caller submits an [`Intent`] under a name that is the same whenever the same thing is wanted,
//! and follows its [`Ticket`]. The [`Writer`] gives it a nonce, signs it, broadcasts it, offers
//! more if it is not mined, and watches until it is final: through restarts, lost broadcasts,
//! reorganisations, fee spikes and endpoints that are down. [`State`] is how far an intent has
//! come; the passes of the writer are drawn in [`core`].
//!
//! ```text
//!  callers ── submit ─▶ task ◀─▶ core (pure)
//!     ▲                  │ ├──▶ IntentStore (disk): a record before its effect
//!     └──── Ticket ◀─────┘ └──▶ Client (chain)
//! ```
//! Limits: [`WriterConfig`]; all channels are bounded. A name is remembered until
//! [`WriterConfig::done`] later ones are done; submitting it again after that is a new intent.

mod config;
pub mod core;
mod fees;
mod handle;
mod intent;
mod signer;
mod status;
mod store;
mod submitted;
mod task;
mod view;

pub use config::WriterConfig;
pub use handle::{Ticket, TicketError, Writer};
pub use intent::{
    Attempt, DATA_BYTES, Fees, ID_BYTES, Inclusion, Intent, IntentError, IntentId, Record, Sent,
    State, SubmitError,
};
pub use signer::{LocalSigner, SignError, TransactionSigner, UnsignedTransaction};
pub use status::{Outage, Status, WaitReason};
pub use store::{IntentStore, MemoryStore, StoreError};
pub use submitted::Submitted;
pub use view::View;
