//! SkipPipe: a model too big for one peer is cut into stages, and microbatches take paths through the
//! peers that hold them, around slow links and through failures.
//!
//! Everything here is pure: no I/O and no clock; time, messages and what an engine computed are
//! arguments.
//!
//! | module | what is in it |
//! |---|---|
//! | [`path`] | the vocabulary: peers, stages, microbatches, paths |
//! | [`topology`] | nodes, links, what work costs; read with serde, checked |
//! | [`sim`] | what a step takes, event by event, and what its time goes into |
//! | [`plan`] | paths and placement for a short step, lower bounds, planning again, memory |
//! | `published` (feature `testing`) | the published schedule of 20 nodes that plans are measured by |
//!
//! Four peers in two places, two stages of which every path visits both: the plan keeps its microbatches
//! where they are.
//!
//! ```
//! use skippipe::plan::{Plan, Request};
//! use skippipe::topology::{Costs, Links, Micros, Node, Topology};
//!
//! let node = Node { forward: Micros(100_000), slots: 2, stage: None };
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

pub mod path;
pub mod plan;
#[cfg(any(test, feature = "testing"))]
pub mod published;
pub mod sim;
pub mod topology;
