//! The local API of a running node: what `status`, `peers`, `pause` and monitoring talk to.
//!
//! | path | answer |
//! |---|---|
//! | `GET /healthz` | 200 while the process answers |
//! | `GET /readyz` | 200 while the node works or waits, 503 while it drains |
//! | `GET /metrics` | Prometheus text; the help of a metric is its documentation |
//! | `GET /api/status` | [`Status`](crate::node::status::Status) as JSON |
//! | `GET /api/events` | server-sent events, one [`Happening`](crate::node::event::Happening) each |
//! | `GET /api/rounds/{round}` | the record of a decided round, as bytes |
//! | `POST /api/control` | a [`Control`](crate::node::control::Control) as JSON; answers the mode |
//!
//! It listens on loopback only. All but the first two want `Authorization: Bearer TOKEN`; the token
//! is new at every start and lies with the address in the node's folder, readable by its owner
//! alone. A `Host` that is not the loopback address, or an `Origin` of another site, is refused, so
//! that no page in a browser can reach it by a name that it made up.

mod access;
mod client;
mod metrics;
mod routes;
mod server;

pub use access::{Access, ApiFile, ApiFileError};
pub use client::{Client, ClientError};
pub use server::{ApiError, Server};
