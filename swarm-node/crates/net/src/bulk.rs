//! Blobs: content of any size, named by its hash and fetched from whoever has it.
//!
//! | module | what is in it |
//! |---|---|
//! | [`blob`] | names, and what a node serves |
//! | [`outline`] | hashes of pieces, and how they lead to a name |
//! | [`frame`] | what lies on a stream |
//! | `streams` | raw streams as a part of the swarm |
//! | `server` | serving, within limits |
//! | `schedule` | who fetches which piece; a pure table |
//! | `partial` | a blob on disk while it is fetched |
//! | [`fetch`] | fetching from several peers |

pub mod blob;
pub mod fetch;
pub mod frame;
pub(crate) mod network;
pub mod outline;
mod partial;
mod schedule;
pub(crate) mod server;
pub(crate) mod streams;
#[cfg(test)]
mod tests;
