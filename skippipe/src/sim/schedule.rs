//! What is simulated: the nodes of every microbatch.

use crate::path::Peer;
use crate::topology::Micros;

/// Routes of microbatches through nodes, in the order in which their sources send them off. Stages
/// do not matter here: whoever is visited computes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// Nodes of all routes, `stride` places each.
    nodes: Vec<u32>,
    lengths: Vec<u16>,
    release: Vec<u64>,
    stride: usize,
}

impl Schedule {
    /// No microbatches yet, of routes with at most `hops` nodes.
    pub fn new(hops: u16) -> Self {
        Self {
            nodes: Vec::new(),
            lengths: Vec::new(),
            release: Vec::new(),
            stride: usize::from(hops),
        }
    }

    /// Adds a microbatch that may start at `release`; false, and nothing is added, where it visits
    /// nobody or more nodes than there is room for.
    #[must_use]
    pub fn push(&mut self, route: impl IntoIterator<Item = Peer>, release: Micros) -> bool {
        let start = self.nodes.len();
        // One more than fits is enough to see that it does not.
        let route = route.into_iter().take(self.stride + 1);
        self.nodes.extend(route.map(|peer| peer.0));
        let length = self.nodes.len() - start;
        if length == 0 || length > self.stride {
            self.nodes.truncate(start);
            return false;
        }
        self.nodes.resize(start + self.stride, 0);
        self.lengths.push(length as u16);
        self.release.push(release.0);
        true
    }

    /// How many microbatches there are.
    pub fn len(&self) -> usize {
        self.lengths.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.lengths.is_empty()
    }

    /// Most nodes of a route.
    pub(crate) fn stride(&self) -> usize {
        self.stride
    }

    /// The nodes of a microbatch.
    pub(crate) fn route(&self, microbatch: usize) -> &[u32] {
        let start = microbatch * self.stride;
        &self.nodes[start..start + usize::from(self.lengths[microbatch])]
    }

    /// The nodes of a microbatch, to change them.
    pub(crate) fn route_mut(&mut self, microbatch: usize) -> &mut [u32] {
        let start = microbatch * self.stride;
        &mut self.nodes[start..start + usize::from(self.lengths[microbatch])]
    }

    /// Has a microbatch visit the nodes that another one of as many hops visits.
    pub(crate) fn copy_route(&mut self, from: usize, to: usize) {
        let start = from * self.stride;
        let route = start..start + usize::from(self.lengths[from]);
        self.nodes.copy_within(route, to * self.stride);
    }

    /// The nodes of all microbatches, to rename them; places that no route uses are among them.
    pub(crate) fn nodes_mut(&mut self) -> &mut [u32] {
        &mut self.nodes
    }

    pub(crate) fn release(&self, microbatch: usize) -> u64 {
        self.release[microbatch]
    }
}
