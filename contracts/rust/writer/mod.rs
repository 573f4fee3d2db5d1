//! One writer of transactions per account: intent → effect → done.
//!
//! A caller submits an [`Intent`] under a deterministic name and follows a [`Ticket`]. The
//! [`Writer`] sees to it that it happens once: through restarts, lost broadcasts, reorganisations,
//! dear blocks and dead endpoints. The state machine of a record is drawn in [`Record`]'s module,
//! the one of the writer in [`core`].
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
