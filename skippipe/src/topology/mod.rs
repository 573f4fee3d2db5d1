//! The network that a plan is made for: how fast its nodes compute, how many microbatches they
//! hold, which stage they serve, and how long messages take between them.
//!
//! Invariants of a [`Topology`]: 1 to [`MAX_NODES`] nodes, one row and column of links per node, no
//! time above [`MAX_TIME`], at least one slot a node. Read with serde it is checked as well, so
//! whoever has one may compute with it without checks; sums of times cannot overflow.
//!
//! ```
//! use skippipe::topology::Topology;
//!
//! let two = r#"{
//!     "nodes": [{"forward": 440000, "slots": 3, "stage": 0}, {"forward": 440000, "slots": 3}],
//!     "links": {"modelled": {
//!         "latency": [[0, 20000], [20000, 0]],
//!         "bytes_per_second": [[0, 12500000], [12500000, 0]],
//!         "overhead": 1000}}
//! }"#;
//! let topology: Topology = serde_json::from_str(two)?;
//! assert_eq!(topology.network(12_500)?.delay(0, 1).0, 22_000);
//!
//! let wrong = two.replace("\"slots\": 3, \"stage\": 0", "\"slots\": 0");
//! let error = serde_json::from_str::<Topology>(&wrong).unwrap_err();
//! assert!(error.to_string().starts_with("node 0 has 0 slots"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod links;
mod network;
mod time;

use serde::{Deserialize, Serialize};

use crate::path::{Peer, Stage};

pub use links::{Links, MAX_BYTES};
pub(crate) use network::Lines;
pub use network::Network;
pub use time::Micros;

/// Most nodes of a topology.
pub const MAX_NODES: usize = 4096;
/// Most stages of a model.
pub const MAX_STAGES: u16 = 256;
/// Most microbatches that a node holds at once.
pub const MAX_SLOTS: u16 = 1024;
/// The longest delay, computation or pause: an hour.
pub const MAX_TIME: Micros = Micros(3_600_000_000);
/// The largest factor of [`Costs`], in thousandths.
pub const MAX_PERMILLE: u32 = 100_000;

/// A node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Node {
    /// Time of one stage's forward pass of one microbatch.
    pub forward: Micros,
    /// Time of the backward pass, where it was measured; [`Costs`] says it otherwise.
    #[serde(default)]
    pub backward: Option<Micros>,
    /// Time of the loss, where it was measured.
    #[serde(default)]
    pub loss: Option<Micros>,
    /// Microbatches that it holds at once: from a forward pass to the backward pass of the same.
    pub slots: u16,
    /// The stage that it serves; none where the planner shall choose.
    #[serde(default)]
    pub stage: Option<Stage>,
}

/// What other work costs, measured by the forward pass of the same node, and what lies between two
/// tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Costs {
    /// A backward pass, in thousandths of a forward pass.
    pub backward_permille: u32,
    /// The loss at stage 0, in thousandths of a forward pass.
    pub loss_permille: u32,
    /// How long a node pauses after a task.
    pub pause: Micros,
    /// How long it pauses after it sent off a new microbatch, instead.
    pub pause_after_new: Micros,
}

impl Node {
    /// A node whose other work costs what [`Costs`] say.
    pub fn new(forward: Micros, slots: u16, stage: Option<Stage>) -> Self {
        Self {
            forward,
            backward: None,
            loss: None,
            slots,
            stage,
        }
    }
}

impl Default for Costs {
    fn default() -> Self {
        Self {
            backward_permille: 1500,
            loss_permille: 250,
            pause: Micros::ZERO,
            pause_after_new: Micros::ZERO,
        }
    }
}

/// Nodes and the links between them, checked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Unchecked")]
pub struct Topology {
    nodes: Vec<Node>,
    links: Links,
    costs: Costs,
}

/// A topology as it is read.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Unchecked {
    nodes: Vec<Node>,
    links: Links,
    #[serde(default)]
    costs: Costs,
}

/// Why numbers are no topology.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TopologyError {
    /// None, or more than [`MAX_NODES`].
    #[error("{0} nodes; a topology has 1 to {MAX_NODES}")]
    Nodes(usize),
    /// None, or more than [`MAX_SLOTS`].
    #[error("node {node} has {slots} slots; give it 1 to {MAX_SLOTS}")]
    Slots {
        /// Which.
        node: usize,
        /// What it has.
        slots: u16,
    },
    /// A stage from [`MAX_STAGES`] on.
    #[error("node {node} serves {stage}; stages are numbered from 0 to below {MAX_STAGES}")]
    Stage {
        /// Which.
        node: usize,
        /// Its stage.
        stage: Stage,
    },
    /// Longer than [`MAX_TIME`].
    #[error("a {name} of {time}; the longest is an hour")]
    Time {
        /// What takes so long.
        name: &'static str,
        /// How long.
        time: Micros,
    },
    /// Above [`MAX_PERMILLE`].
    #[error("{name} is {permille} thousandths of a forward pass; the most is {MAX_PERMILLE}")]
    Factor {
        /// Which factor.
        name: &'static str,
        /// Its value.
        permille: u32,
    },
    /// A matrix that does not fit the nodes.
    #[error("{name} of links has {rows} rows; there are {nodes} nodes")]
    Rows {
        /// Which matrix.
        name: &'static str,
        /// How many it has.
        rows: usize,
        /// How many it should have.
        nodes: usize,
    },
    /// A row of a matrix that does not fit the nodes.
    #[error("{name} of links has {seen} entries in row {row}; there are {nodes} nodes")]
    Row {
        /// Which matrix.
        name: &'static str,
        /// The first wrong row.
        row: usize,
        /// How many entries it has.
        seen: usize,
        /// How many it should have.
        nodes: usize,
    },
    /// A link that moves nothing.
    #[error("the link from node {from} to node {to} moves 0 bytes a second; give it at least 1")]
    Silent {
        /// Its sender.
        from: usize,
        /// Its receiver.
        to: usize,
    },
    /// A message above [`MAX_BYTES`].
    #[error("messages of {0} bytes; the most is {MAX_BYTES}")]
    Bytes(u64),
    /// Measured delays hold for the size that they were measured with.
    #[error("delays were measured with {measured} bytes, not {bytes}; model the links, or measure")]
    OtherSize {
        /// What was measured.
        measured: u64,
        /// What was asked for.
        bytes: u64,
    },
    /// A peer that is not among the nodes.
    #[error("{peer} is not among the {nodes} nodes")]
    Unknown {
        /// Who.
        peer: Peer,
        /// How many there are.
        nodes: usize,
    },
}

impl Topology {
    /// A topology of these.
    ///
    /// # Errors
    /// A number out of bounds, which the error names.
    pub fn new(nodes: Vec<Node>, links: Links, costs: Costs) -> Result<Self, TopologyError> {
        if nodes.is_empty() || nodes.len() > MAX_NODES {
            return Err(TopologyError::Nodes(nodes.len()));
        }
        for (index, node) in nodes.iter().enumerate() {
            check_node(index, node)?;
        }
        check_costs(&costs)?;
        links.check(nodes.len())?;
        Ok(Self {
            nodes,
            links,
            costs,
        })
    }

    /// The nodes; a [`Peer`] is a place among them.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The links.
    pub fn links(&self) -> &Links {
        &self.links
    }

    /// What work costs.
    pub fn costs(&self) -> &Costs {
        &self.costs
    }

    /// All times, for hops of so many bytes.
    ///
    /// # Errors
    /// More than [`MAX_BYTES`], delays of more than an hour, or delays that were measured with
    /// another size.
    pub fn network(&self, bytes: u64) -> Result<Network, TopologyError> {
        links::check_bytes(bytes)?;
        let delays = self.links.delays(bytes)?;
        for delay in &delays {
            check_time("delay", Micros(*delay))?;
        }
        let lines = self.links.lines(bytes);
        Ok(Network::new(&self.nodes, delays, lines, &self.costs))
    }

    /// The same with other slots at every node.
    ///
    /// # Errors
    /// None, or more than [`MAX_SLOTS`].
    pub fn with_slots(mut self, slots: u16) -> Result<Self, TopologyError> {
        self.nodes.iter_mut().for_each(|node| node.slots = slots);
        Self::new(self.nodes, self.links, self.costs)
    }

    /// The same with every node's stage as given.
    ///
    /// # Errors
    /// A stage that is none.
    pub fn with_stages(mut self, stages: &[Option<Stage>]) -> Result<Self, TopologyError> {
        for (node, stage) in self.nodes.iter_mut().zip(stages) {
            node.stage = *stage;
        }
        Self::new(self.nodes, self.links, self.costs)
    }

    /// What is left without some nodes, and who is who: the new place of every old peer.
    ///
    /// # Errors
    /// A peer that is none, or nobody is left.
    pub fn without(&self, gone: &[Peer]) -> Result<(Self, Vec<Option<Peer>>), TopologyError> {
        let nodes = self.nodes.len();
        if let Some(peer) = gone.iter().copied().find(|peer| peer.index() >= nodes) {
            return Err(TopologyError::Unknown { peer, nodes });
        }
        let (mut kept, mut places) = (Vec::new(), Vec::new());
        for peer in (0..nodes as u32).map(Peer) {
            let stays = !gone.contains(&peer);
            places.push(stays.then_some(Peer(kept.len() as u32)));
            if stays {
                kept.push(peer.index());
            }
        }
        let nodes = kept.iter().map(|node| self.nodes[*node]).collect();
        let left = Self::new(nodes, self.links.among(&kept), self.costs)?;
        Ok((left, places))
    }
}

impl TryFrom<Unchecked> for Topology {
    type Error = TopologyError;

    fn try_from(read: Unchecked) -> Result<Self, TopologyError> {
        Self::new(read.nodes, read.links, read.costs)
    }
}

fn check_node(index: usize, node: &Node) -> Result<(), TopologyError> {
    if node.slots == 0 || node.slots > MAX_SLOTS {
        let slots = node.slots;
        return Err(TopologyError::Slots { node: index, slots });
    }
    if let Some(stage) = node.stage.filter(|stage| stage.0 >= MAX_STAGES) {
        return Err(TopologyError::Stage { node: index, stage });
    }
    check_time("forward pass", node.forward)?;
    check_time("backward pass", node.backward.unwrap_or_default())?;
    check_time("loss", node.loss.unwrap_or_default())
}

fn check_costs(costs: &Costs) -> Result<(), TopologyError> {
    check_time("pause", costs.pause)?;
    check_time("pause after a new microbatch", costs.pause_after_new)?;
    check_factor("a backward pass", costs.backward_permille)?;
    check_factor("the loss", costs.loss_permille)
}

fn check_factor(name: &'static str, permille: u32) -> Result<(), TopologyError> {
    match permille <= MAX_PERMILLE {
        true => Ok(()),
        false => Err(TopologyError::Factor { name, permille }),
    }
}

fn check_time(name: &'static str, time: Micros) -> Result<(), TopologyError> {
    match time <= MAX_TIME {
        true => Ok(()),
        false => Err(TopologyError::Time { name, time }),
    }
}

#[cfg(test)]
mod tests;
