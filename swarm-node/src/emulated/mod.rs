//! An emulated network between the nodes of a cluster, wholly in this process.
//!
//! ```text
//!  node's namespace                  this process
//!  `swarm-node up` ─ tun0 ──▶ pump ──▶ Network (links, routers, partitions) ──▶ pump ──▶ tun0 of
//!                                        pure: time and chance are arguments             another
//! ```
//! Each node has a network namespace of its own with one TUN device; whoever holds the devices *is*
//! the network, so nothing is asked of the kernel but TUN: no bridge, no packet filter, no traffic
//! control. Namespaces and devices have no names outside this process and vanish with it, however
//! it ends.
//!
//! [`network`] and what it is made of ([`packet`], [`link`], [`nat`]) are the pure core;
//! `namespace` and `pump` are its shell, and exist on Linux only.

pub mod link;
#[cfg(target_os = "linux")]
pub mod namespace;
pub mod nat;
pub mod network;
pub mod packet;
#[cfg(target_os = "linux")]
pub mod pump;
