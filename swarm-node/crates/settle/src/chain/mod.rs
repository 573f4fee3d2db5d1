//! The node's side of a chain: which one, how to reach it, and the contracts of a swarm put on it.
//!
//! ```text
//! settings ─▶ Endpoint ─▶ Link (client, confirmations, clock) ─▶ writers, cursors, reads
//! ```
//! Everything that speaks JSON-RPC is in crate `contracts`; this room knows settings and secrets.

mod account;
mod binding;
mod clock;
mod config;
mod endpoint;
mod intents;
mod link;
mod permit;

pub use account::{account_writer, signer, trouble};
pub use binding::Binding;
pub use clock::{AHEAD_SECONDS, ChainClock};
pub use config::{ChainConfig, EndpointText};
pub use endpoint::{
    DEV_CHAINS, EMBEDDED_ID, Endpoint, EndpointError, confirmations, expected_id, public_url,
};
pub use intents::StoredIntents;
pub use link::{Link, LinkError, patiently, wall_clock};
pub use permit::permit;
