//! The node on the network: bytes in, bytes out, within limits.
//!
//! ```text
//!            Handle ── publish, judge, request, report, fetch ──▶ ┌────────┐
//!  daemon    Events ◀── Gossip, Request, Connected, … ─────────── │  task  │ ── libp2p ── peers
//!            Channels, ChannelEvents ◀── streams of a job ──────▶ └────────┘
//!                                 pure tables: dial, names, peers, score, gate, reachability
//! ```
//! This crate knows nothing of rounds, stakes or models. It carries four kinds of things: signed
//! *records* of at most 64 KiB, gossiped to the whole swarm; small *requests* with an answer;
//! *blobs* of any size, named by their hash; and, between the members of a job, ordered *channels*
//! of frames ([`channel`]). What a record means, whether it is good, and who is to be blamed, its
//! user says ([`Handle::judge`], [`Handle::report`]); what that costs a peer stands in [`limits`],
//! the one policy file.
//!
//! Everything that peers send is bounded before it is stored: connections by address and in all,
//! streams by connection, messages by peer and second, memory by share of the machine. Queues drop
//! and count; nothing waits for a slow reader, but the sender of a channel, whom flow control slows
//! down.
//!
//! ```no_run
//! use std::sync::Arc;
//!
//! use swarm_identity::Secret;
//! use swarm_net::{Config, Event, NoBlobs, Verdict};
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let config = Config {
//!     bootstrap: vec!["/ip4/203.0.113.5/udp/4001/quic-v1".parse()?],
//!     ..Config::new([7; 32])
//! };
//! let (handle, mut events) = swarm_net::start(config, &Secret::random()?, Arc::new(NoBlobs)).await?;
//! handle.publish(b"hello"[..].into()).await?;
//! while let Some(event) = events.next().await {
//!     if let Event::Gossip { from, id, .. } = event {
//!         handle.judge(id, from, Verdict::Accept);
//!     }
//! }
//! # Ok(())
//! # }
//! ```

mod address;
pub mod announcement;
#[cfg(any(test, feature = "attacker"))]
pub mod attacker;
pub mod bans;
mod behaviour;
mod bucket;
pub mod bulk;
pub mod cache;
mod candidates;
pub mod channel;
mod config;
mod dial;
mod event;
mod gate;
mod gossip;
mod handle;
#[cfg(test)]
mod hostile;
pub mod limits;
mod names;
pub mod peer_id;
mod peers;
mod reachability;
pub mod request;
pub mod resolve;
mod run_name;
pub mod runs;
mod score;
mod source;
mod stats;
mod task;
#[cfg(test)]
mod testing;
mod transport;

pub use bulk::blob::{Blob, BlobId, Blobs, FileBlob, NoBlobs};
pub use bulk::fetch::{FetchError, Fetched};
pub use channel::channels::{ChannelEvents, Channels, SendError, StartError};
pub use channel::event::ChannelEvent;
pub use config::{Config, default_listen};
pub use event::{Event, Events, GossipId, Reachability, Reply, Route, Verdict};
pub use gossip::GossipSettings;
pub use handle::{Handle, PublishError};
pub use libp2p::Multiaddr;
pub use libp2p::multiaddr::Error as MultiaddrError;
pub use limits::{Behaviour, ChannelLimits, Limits, Rate};
pub use peers::PeerInfo;
pub use request::RequestError;
pub use source::{Source, SourceInfo};
pub use stats::Stats;
pub use task::{NetError, start};
