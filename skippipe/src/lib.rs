//! SkipPipe: a model too big for one machine is cut into stages, and microbatches take paths
//! through the peers that hold them, around slow links and through failures.
//!
//! ```text
//! measured ─▶ topology ─▶ plan ◀─▶ sim ─▶ predict  which way: paths, placement, what a step takes
//!               │ paths
//! member, leader ─▶ messages ─▶ members …        passes, reduction, commits, succession, recovery
//!    │ work                                      done by whatever holds the parameters (Engine)
//!    └▶ transcript (records, statements) ─▶ replay: one machine computes a step again, bit for bit
//! ```
//! | module | what is in it |
//! |---|---|
//! | [`admission`] | members that came after the start |
//! | [`path`] | peers, stages, microbatches, and the paths that they take |
//! | [`topology`] | nodes, links, what work costs; read with serde, checked |
//! | [`sim`] | what a step takes, event by event, and what its time goes into |
//! | [`measured`] | what peers measured of links and engines, whom to believe, what is estimated |
//! | [`plan`] | paths and placement for a short step, lower bounds, planning again, memory |
//! | [`predict`] | what a whole step takes: passes, reduction, commit |
//! | `published` (feature `testing`) | the published schedule of 20 nodes that plans are measured by |
//! | [`content`] | bytes on their way, and their hash |
//! | [`encoding`] | tensors as bytes: f32, bf16, block-wise 8 bits |
//! | [`meeting`] | where pipelines that train apart meet, as records say it |
//! | [`message`] | what members say to each other |
//! | [`term`] | who leads, since when |
//! | [`settings`] | what members agree on beforehand |
//! | [`member`] | a peer's state machine; the leader's is inside |
//! | [`work`] | what it asks of an engine |
//! | [`event`] | what a watcher learns |
//! | [`transcript`] | what a step was, and what members sign |
//! | [`replay`] | a step computed again from its record |
//! | [`statements`] | what holders stated, held against that: who is wrong |
//! | [`wire`] | values as bytes, and their digests |
//!
//! Everything here is pure: no I/O and no clock; time, messages, signatures and what an engine
//! computed are arguments.
//!
//! Four peers in two places, two stages of which every path visits both: the plan keeps its
//! microbatches where they are.
//!
//! ```
//! use skippipe::plan::{Plan, Request};
//! use skippipe::topology::{Costs, Links, Micros, Node, Topology};
//!
//! let node = Node::new(Micros(100_000), 2, None);
//! let (near, far) = (Micros(5_000), Micros(900_000));
//! let delay = (0..4)
//!     .map(|from| (0..4).map(|to| if from / 2 == to / 2 { near } else { far }).collect())
//!     .collect();
//! let links = Links::Measured { bytes: 1 << 20, delay };
//! let topology = Topology::new(vec![node; 4], links, Costs::default())?;
//!
//! let request = Request {
//!     stages: 2,
//!     visits: 2,
//!     max_jump: 4,
//!     microbatches: 4,
//!     bytes: 1 << 20,
//!     seed: 1,
//!     evaluations: None,
//! };
//! let plan = Plan::make(&topology, &request)?;
//! for path in &plan.paths {
//!     let places: Vec<u32> = path.hops().iter().map(|hop| hop.peer.0 / 2).collect();
//!     assert_eq!(places[0], places[1], "no path crosses the slow links");
//! }
//! assert!(plan.bounds.time() <= plan.time && plan.time < Micros(2_000_000));
//!
//! // A peer leaves: its stage goes on with whoever is left.
//! let (left, places) = topology.without(&[plan.paths[0].hops()[1].peer])?;
//! let again = plan.replan(&places, &left, &request, 50)?;
//! assert!(again.plan.check(&left, &request).is_ok());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod admission;
pub mod content;
pub mod encoding;
pub mod event;
mod leader;
pub mod measured;
pub mod meeting;
pub mod member;
pub mod message;
pub mod path;
pub mod plan;
pub mod predict;
#[cfg(any(test, feature = "testing"))]
pub mod published;
pub mod replay;
pub mod settings;
pub mod sim;
pub mod statements;
pub mod term;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod topology;
pub mod transcript;
pub mod wire;
pub mod work;
