//! The node's side of a chain.

mod endpoint;

pub use endpoint::{DEV_CHAINS, EMBEDDED_ID, Endpoint, EndpointError, confirmations, expected_id};
